//! Tests of the codec's guarantees, one per module.

mod attacks;
mod attributes;
mod errors;
mod evolution;
mod foreign;
mod pairs;
mod shapes;
mod wide;

use super::*;

/// Returns the bytes of `value`.
fn bytes_of<T: WireType>(value: &T, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, encoding, usize::MAX, &mut bytes).expect("a value of a test encodes");
    bytes
}

/// Decodes with the default limits.
fn decode_default<T: WireType>(bytes: &[u8], encoding: Encoding) -> Result<T, DecodeError> {
    decode(bytes, encoding, &DecodeLimits::default())
}
