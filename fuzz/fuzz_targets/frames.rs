//! Starts the fuzzer on [`meshzero_fuzz::frames`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{frames, sow};

libfuzzer_sys::fuzz_target!(init: sow("frames", &frames::seeds()), |bytes: &[u8]| frames::run(bytes));
