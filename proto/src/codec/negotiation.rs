//! The choice of an encoding by both ends.

use super::encoding::Encoding;
use super::fingerprint::Fingerprint;

/// Returns the encoding that both ends can use: bincode contains no names, so the shapes must be the same.
pub fn negotiated_encoding(ours: Option<Fingerprint>, theirs: Option<Fingerprint>) -> Encoding {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs => Encoding::Bincode,
        _ => Encoding::MessagePack,
    }
}
