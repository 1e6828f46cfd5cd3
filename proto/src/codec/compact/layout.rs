//! The bytes that say how an integer is encoded.

/// The largest integer that is encoded as one byte.
pub(super) const LARGEST_IN_ONE_BYTE: u8 = 250;
/// Says that an integer of 16 bits follows.
pub(super) const U16_FOLLOWS: u8 = 251;
/// Says that an integer of 32 bits follows.
pub(super) const U32_FOLLOWS: u8 = 252;
/// Says that an integer of 64 bits follows.
pub(super) const U64_FOLLOWS: u8 = 253;
/// Says that an integer of 128 bits follows.
pub(super) const U128_FOLLOWS: u8 = 254;
