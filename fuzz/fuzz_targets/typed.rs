//! Starts the fuzzer on [`meshzero_fuzz::typed`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{sow, typed};

libfuzzer_sys::fuzz_target!(init: sow("typed", &typed::seeds()), |bytes: &[u8]| typed::run(bytes));
