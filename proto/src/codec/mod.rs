//! Encoding and decoding of values.
//!
//! A message is encoded as bincode if both ends have the same [`Fingerprint`] of its type, and otherwise as MessagePack with
//! names, which programs of other versions and without Rust understand. The fingerprint identifies a shape that a trace of the
//! type's own serde code has proven; [`type_info()`] determines it once per type. All received bytes are read under a budget, the
//! same for both encodings.

mod blob;
mod bounded;
mod budget;
mod compact;
pub(crate) mod control;
mod converted_values;
mod encoding;
mod error;
mod fingerprint;
mod json;
mod lenient;
mod msgpack;
mod negotiation;
mod output;
mod packed;
mod peek;
mod reflect;
mod schema;
mod shape;
mod shape_text;
mod transcode;
mod type_info;
mod well_formed;
mod wire;

pub(crate) use blob::detached_len;
pub use blob::{Blob, DetachedBlob, detaching};
pub use budget::DecodeLimits;
pub use encoding::{Encoding, decode, decode_part, encode, encode_preferring, read};
pub use error::{DecodeError, EncodeError};
pub use fingerprint::Fingerprint;
pub use json::Json;
pub(crate) use json::decode_json;
pub use negotiation::negotiated_encoding;
pub use packed::Packed;
pub use peek::{single_entry, whole_bytes};
pub use type_info::{TypeInfo, type_info};
pub use wire::WireType;

#[cfg(test)]
mod tests;
