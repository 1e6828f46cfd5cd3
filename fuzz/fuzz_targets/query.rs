//! Starts the fuzzer on [`meshzero_fuzz::query`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{query, sow};

libfuzzer_sys::fuzz_target!(init: sow("query", &query::seeds()), |bytes: &[u8]| query::run(bytes));
