//! The bytes of a message that have not been read yet, and the primitives of the compact encoding in them.

use serde::de::Error;

use super::layout::{LARGEST_IN_ONE_BYTE, U16_FOLLOWS, U32_FOLLOWS, U64_FOLLOWS, U128_FOLLOWS};
use crate::codec::budget::{Budget, DecodeLimits};

/// The unread bytes of a message, with the budget of its decoding.
pub(super) struct Reader<'de> {
    bytes: &'de [u8],
    pub(super) budget: Budget,
}

impl<'de> Reader<'de> {
    #[inline(always)]
    pub(super) fn new(bytes: &'de [u8], limits: &DecodeLimits) -> Self {
        Self { bytes, budget: Budget::new(limits, bytes.len()) }
    }

    /// Returns the number of unread bytes.
    #[inline(always)]
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline(always)]
    fn array<const N: usize, E: Error>(&mut self) -> Result<[u8; N], E> {
        match self.bytes.split_first_chunk() {
            Some((array, rest)) => {
                self.bytes = rest;
                Ok(*array)
            }
            None => Err(end()),
        }
    }

    #[inline(always)]
    pub(super) fn u8<E: Error>(&mut self) -> Result<u8, E> {
        self.array().map(|[byte]| byte)
    }

    #[inline(always)]
    pub(super) fn u16<E: Error>(&mut self) -> Result<u16, E> {
        match self.u8()? {
            byte @ ..=LARGEST_IN_ONE_BYTE => Ok(byte.into()),
            U16_FOLLOWS => self.array().map(u16::from_le_bytes),
            _ => Err(too_wide()),
        }
    }

    #[inline(always)]
    pub(super) fn u32<E: Error>(&mut self) -> Result<u32, E> {
        match self.u8()? {
            byte @ ..=LARGEST_IN_ONE_BYTE => Ok(byte.into()),
            U16_FOLLOWS => self.array().map(|array| u16::from_le_bytes(array).into()),
            U32_FOLLOWS => self.array().map(u32::from_le_bytes),
            _ => Err(too_wide()),
        }
    }

    #[inline(always)]
    pub(super) fn u64<E: Error>(&mut self) -> Result<u64, E> {
        match self.u8()? {
            byte @ ..=LARGEST_IN_ONE_BYTE => Ok(byte.into()),
            U16_FOLLOWS => self.array().map(|array| u16::from_le_bytes(array).into()),
            U32_FOLLOWS => self.array().map(|array| u32::from_le_bytes(array).into()),
            U64_FOLLOWS => self.array().map(u64::from_le_bytes),
            _ => Err(too_wide()),
        }
    }

    /// Not inlined into the code of each type: integers of 128 bits are rare.
    #[inline(never)]
    pub(super) fn u128<E: Error>(&mut self) -> Result<u128, E> {
        match self.u8()? {
            byte @ ..=LARGEST_IN_ONE_BYTE => Ok(byte.into()),
            U16_FOLLOWS => self.array().map(|array| u16::from_le_bytes(array).into()),
            U32_FOLLOWS => self.array().map(|array| u32::from_le_bytes(array).into()),
            U64_FOLLOWS => self.array().map(|array| u64::from_le_bytes(array).into()),
            U128_FOLLOWS => self.array().map(u128::from_le_bytes),
            _ => Err(too_wide()),
        }
    }

    #[inline(always)]
    pub(super) fn i8<E: Error>(&mut self) -> Result<i8, E> {
        self.array().map(i8::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn i16<E: Error>(&mut self) -> Result<i16, E> {
        self.u16().map(|zigzag| (zigzag >> 1) as i16 ^ -((zigzag & 1) as i16))
    }

    #[inline(always)]
    pub(super) fn i32<E: Error>(&mut self) -> Result<i32, E> {
        self.u32().map(|zigzag| (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    #[inline(always)]
    pub(super) fn i64<E: Error>(&mut self) -> Result<i64, E> {
        self.u64().map(|zigzag| (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    #[inline(always)]
    pub(super) fn i128<E: Error>(&mut self) -> Result<i128, E> {
        self.u128().map(|zigzag| (zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
    }

    #[inline(always)]
    pub(super) fn f32<E: Error>(&mut self) -> Result<f32, E> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn f64<E: Error>(&mut self) -> Result<f64, E> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn bool<E: Error>(&mut self) -> Result<bool, E> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(E::custom(format_args!("the byte {byte} is neither true nor false"))),
        }
    }

    /// Returns true if an optional value follows.
    #[inline(always)]
    pub(super) fn is_some<E: Error>(&mut self) -> Result<bool, E> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(E::custom(format_args!("there is no variant {byte}"))),
        }
    }

    /// Reads the UTF-8 of a character; its first byte tells its length.
    #[inline(always)]
    pub(super) fn char<E: Error>(&mut self) -> Result<char, E> {
        let length = match self.bytes.first() {
            Some(..0x80) => 1,
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            Some(_) => return Err(no_character()),
            None => return Err(end()),
        };
        let text = std::str::from_utf8(self.slice(length)?).ok();
        text.and_then(|text| text.chars().next()).ok_or_else(no_character)
    }

    #[inline(always)]
    pub(super) fn length<E: Error>(&mut self) -> Result<usize, E> {
        let length = self.u64()?;
        usize::try_from(length).map_err(|_| E::custom(format_args!("a length of {length}")))
    }

    #[inline(always)]
    fn slice<E: Error>(&mut self, length: usize) -> Result<&'de [u8], E> {
        match self.bytes.split_at_checked(length) {
            Some((slice, rest)) => {
                self.bytes = rest;
                Ok(slice)
            }
            None => Err(end()),
        }
    }

    /// Reads bytes with their length, and charges for them.
    #[inline(always)]
    pub(super) fn bytes<E: Error>(&mut self) -> Result<&'de [u8], E> {
        let length = self.length()?;
        let bytes = self.slice(length)?;
        self.budget.memory(length)?;
        Ok(bytes)
    }

    /// Reads text with its length, and charges for it.
    #[inline(always)]
    pub(super) fn text<E: Error>(&mut self) -> Result<&'de str, E> {
        let length = self.length()?;
        let text = std::str::from_utf8(self.slice(length)?);
        let text = text.map_err(|_| E::custom("text that is not UTF-8"))?;
        self.budget.memory(length)?;
        Ok(text)
    }
}

#[cold]
fn end<E: Error>() -> E {
    E::custom("the bytes end before the value does")
}

#[cold]
fn too_wide<E: Error>() -> E {
    E::custom("an integer that is too large for its type")
}

#[cold]
fn no_character<E: Error>() -> E {
    E::custom("bytes that are not a character")
}
