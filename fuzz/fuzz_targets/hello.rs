//! Starts the fuzzer on [`meshzero_fuzz::hello`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{hello, sow};

libfuzzer_sys::fuzz_target!(init: sow("hello", &hello::seeds()), |bytes: &[u8]| hello::run(bytes));
