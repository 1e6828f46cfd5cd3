//! Tests of two versions of one program that exchange messages: the second has a field added, one renamed, and two variants
//! swapped.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::{bytes_of, decode_default};
use crate::codec::{Encoding, WireType, type_info};

mod v1 {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Move {
        pub(super) target: [f32; 2],
        pub(super) speed: u8,
        pub(super) how: How,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum How {
        Fast,
        Gently(u8),
        Through { points: Vec<u16> },
    }
}

mod v2 {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Move {
        pub(super) target: [f32; 2],
        // Renamed from `speed`; the first version still reads it, because it is written under its old name.
        #[serde(rename = "speed", alias = "velocity")]
        pub(super) velocity: u8,
        pub(super) how: How,
        #[serde(default)]
        pub(super) note: Option<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum How {
        Gently(u8),
        Fast,
        Through { points: Vec<u16> },
    }
}

/// The third version writes the new name, and reads both.
mod v3 {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Move {
        pub(super) target: [f32; 2],
        #[serde(alias = "speed")]
        pub(super) velocity: u8,
        pub(super) how: v2::How,
        #[serde(default)]
        pub(super) note: Option<String>,
    }
}

/// Encodes `value`, and decodes it as a `U`, as an end with another version of the type would.
fn send_to_other_version<T: WireType, U: WireType + Debug>(value: &T) -> U {
    let (ours, theirs) = (type_info::<T>().fingerprint(), type_info::<U>().fingerprint());
    assert!(ours.is_some() && theirs.is_some());
    assert_ne!(ours, theirs, "versions with different bytes have different fingerprints");
    decode_default(&bytes_of(value, Encoding::MessagePack), Encoding::MessagePack)
        .expect("the other version understands")
}

#[test]
fn the_versions_understand_each_other() {
    for (old_how, new_how) in [
        (v1::How::Fast, v2::How::Fast),
        (v1::How::Gently(3), v2::How::Gently(3)),
        (v1::How::Through { points: vec![1, 2] }, v2::How::Through { points: vec![1, 2] }),
    ] {
        let old = v1::Move { target: [1.0, 2.0], speed: 5, how: old_how };
        let new = v2::Move { target: [1.0, 2.0], velocity: 5, how: new_how, note: None };
        assert_eq!(send_to_other_version::<_, v2::Move>(&old), new);
        let with_note = v2::Move { note: Some("careful".to_owned()), ..new };
        assert_eq!(send_to_other_version::<_, v1::Move>(&with_note), old);
    }
}

#[test]
fn an_alias_reads_the_output_of_older_versions() {
    let old = v1::Move { target: [0.0; 2], speed: 9, how: v1::How::Fast };
    let new: v3::Move = send_to_other_version(&old);
    assert_eq!(new, v3::Move { target: [0.0; 2], velocity: 9, how: v2::How::Fast, note: None });
}

#[test]
fn in_bincode_the_versions_would_confuse_variants() {
    let bytes = bytes_of(&v1::How::Fast, Encoding::Bincode);
    assert_ne!(decode_default::<v2::How>(&bytes, Encoding::Bincode), Ok(v2::How::Fast));
}
