//! Starts the fuzzer on [`meshzero_fuzz::words`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{sow, words};

libfuzzer_sys::fuzz_target!(init: sow("words", &words::seeds()), |bytes: &[u8]| words::run(bytes));
