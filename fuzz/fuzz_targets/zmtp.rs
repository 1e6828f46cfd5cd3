//! Starts the fuzzer on [`meshzero_fuzz::zmtp`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{sow, zmtp};

libfuzzer_sys::fuzz_target!(init: sow("zmtp", &zmtp::seeds()), |bytes: &[u8]| zmtp::run(bytes));
