//! Starts the fuzzer on [`meshzero_fuzz::values`].

#![no_main]
#![allow(missing_docs, reason = "the macro generates the function that the fuzzer calls")]

use meshzero_fuzz::{sow, values};

libfuzzer_sys::fuzz_target!(init: sow("values", &values::seeds()), |bytes: &[u8]| values::run(bytes));
