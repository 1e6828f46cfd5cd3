//! Messages of Rust types, in both encodings.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use meshzero_proto::codec::{Blob, DecodeLimits, Encoding, WireType, decode, encode};
use serde::{Deserialize, Serialize};

use crate::memory;

/// Small, so that short inputs reach them.
const LIMITS: DecodeLimits = DecodeLimits { bytes: 64 << 10, nesting: 16, values: 1_000, values_per_byte: 1 };

/// A struct of plain fields.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pose {
    position: [f32; 3],
    at: (u64, i16),
    name: String,
    letter: char,
    still: bool,
    huge: i128,
}

/// An enum that contains itself.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Without content.
    Stop,
    /// With fields.
    Move {
        /// The first field.
        x: i32,
        /// The second field.
        speed: Option<u8>,
    },
    /// With one field.
    Say(String),
    /// With a list.
    All(Vec<Command>),
    /// Boxed.
    Later(Duration, Box<Command>),
}

/// Maps and options.
#[derive(Debug, Serialize, Deserialize)]
pub struct Maps {
    numbers: BTreeMap<u32, Option<String>>,
    #[serde(default)]
    flags: BTreeMap<bool, ()>,
    nested: BTreeMap<String, BTreeMap<i8, Vec<u16>>>,
}

/// Elements that are much larger than their bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heavy {
    ballast: Option<[[u64; 32]; 4]>,
    more: Vec<Heavy>,
    result: Result<(), u8>,
}

/// An untagged enum, which serde has to buffer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Untagged {
    /// A number.
    Number(i64),
    /// A list.
    List(Vec<Untagged>),
    /// A map.
    Map(BTreeMap<String, Untagged>),
}

/// A tagged enum, one variant with the fields of another type.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Tagged {
    /// With the fields of another type.
    Flat {
        /// Its own field.
        own: u8,
        /// The fields of the other type.
        #[serde(flatten)]
        rest: BTreeMap<String, Option<u32>>,
    },
    /// Without fields.
    Plain,
}

/// Types with deserializers of their own.
pub type Foreign = (IpAddr, Blob, Vec<Blob>, Option<Box<Foreigner>>);

/// A part of [`Foreign`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Foreigner(std::num::NonZeroU16, std::net::SocketAddr, std::ops::Range<u8>);

/// The first byte selects the type and the encoding of the others.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    let encoding = if what & 0x80 == 0 { Encoding::Bincode } else { Encoding::MessagePack };
    match what & 0x0f {
        0 => read::<Pose>(bytes, encoding),
        1 => read::<Command>(bytes, encoding),
        2 => read::<Maps>(bytes, encoding),
        3 => read::<Heavy>(bytes, encoding),
        4 => read::<Untagged>(bytes, encoding),
        5 => read::<Tagged>(bytes, encoding),
        6 => read::<Vec<u64>>(bytes, encoding),
        7 => read::<Blob>(bytes, encoding),
        8 => read::<Vec<String>>(bytes, encoding),
        9 => read::<Vec<()>>(bytes, encoding),
        10 => read::<Foreign>(bytes, encoding),
        11 => read::<Vec<Vec<Option<bool>>>>(bytes, encoding),
        // Their order differs between maps.
        12 => drop(decoded::<HashMap<u16, HashMap<String, u8>>>(bytes, encoding)),
        13 => read::<()>(bytes, encoding),
        // `Some(None)` is `None` in MessagePack.
        14 => drop(decoded::<Vec<Option<Option<u8>>>>(bytes, encoding)),
        _ => read::<Option<Box<[Command]>>>(bytes, encoding),
    }
}

fn decoded<T: WireType>(bytes: &[u8], encoding: Encoding) -> Option<T> {
    match memory::within(3 * LIMITS.bytes, || decode::<T>(bytes, encoding, &LIMITS)) {
        Ok(value) => Some(value),
        Err(error) => {
            assert!((1..1_000).contains(&error.to_string().len()));
            None
        }
    }
}

/// Reads a `T`, and if that succeeds, encodes it and reads it again.
fn read<T: WireType>(bytes: &[u8], encoding: Encoding) {
    let Some(value) = decoded::<T>(bytes, encoding) else { return };
    let mut written = Vec::new();
    if encode(&value, encoding, 1 << 20, &mut written).is_err() {
        // Bincode refuses to encode a value that it could not read again.
        assert_eq!((encoding, written.len()), (Encoding::Bincode, 0));
        return;
    }
    let again: T =
        decode(&written, encoding, &DecodeLimits::default()).expect("it was encoded from this value");
    // By their bytes: NaN is not equal to itself.
    let mut twice = Vec::new();
    encode(&again, encoding, 1 << 20, &mut twice).expect("it was written before");
    assert_eq!(twice, written);
}

/// A value of each type in each encoding.
pub fn seeds() -> Vec<Vec<u8>> {
    fn both<T: WireType>(all: &mut Vec<Vec<u8>>, what: u8, value: &T) {
        for (what, encoding) in [(what, Encoding::Bincode), (what | 0x80, Encoding::MessagePack)] {
            let mut bytes = vec![what];
            if encode(value, encoding, 1 << 20, &mut bytes).is_ok() {
                all.push(bytes);
            }
        }
    }
    let mut all = Vec::new();
    let pose = Pose {
        position: [0.5, f32::NAN, -1.0],
        at: (1 << 40, -2),
        name: "arm".into(),
        letter: 'ß',
        still: true,
        huge: i128::MIN,
    };
    both(&mut all, 0, &pose);
    let commands = || {
        vec![
            Command::Stop,
            Command::Move { x: -70_000, speed: Some(3) },
            Command::Say("größer".into()),
            Command::Later(Duration::from_millis(1_500), Box::new(Command::Move { x: 1, speed: None })),
        ]
    };
    both(&mut all, 1, &Command::All(commands()));
    let maps = Maps {
        numbers: BTreeMap::from([(1, None), (70_000, Some("x".into()))]),
        flags: BTreeMap::from([(true, ())]),
        nested: BTreeMap::from([("a".into(), BTreeMap::from([(-1, vec![1, 300])]))]),
    };
    both(&mut all, 2, &maps);
    let leaf = || Heavy { ballast: None, more: Vec::new(), result: Ok(()) };
    both(&mut all, 3, &Heavy { more: vec![leaf(), leaf()], result: Err(1), ..leaf() });
    let untagged = Untagged::Map(BTreeMap::from([("a".into(), Untagged::List(vec![Untagged::Number(-1)]))]));
    both(&mut all, 4, &untagged);
    both(
        &mut all,
        5,
        &Tagged::Flat { own: 1, rest: BTreeMap::from([("x".into(), Some(2)), ("y".into(), None)]) },
    );
    both(&mut all, 5, &Tagged::Plain);
    both(&mut all, 6, &vec![1u64, 300, 70_000, u64::MAX]);
    both(&mut all, 7, &Blob::from(vec![7; 40]));
    both(&mut all, 8, &vec!["a".to_owned(), String::new(), "温度".to_owned()]);
    both(&mut all, 9, &vec![(); 5]);
    let address = "[::1]:80".parse().expect("an address");
    let one = std::num::NonZeroU16::MIN;
    let foreign: Foreign = (
        IpAddr::from([1, 2, 3, 4]),
        Blob::from(vec![1, 2]),
        vec![Blob::default()],
        Some(Box::new(Foreigner(one, address, 1..9))),
    );
    both(&mut all, 10, &foreign);
    both(&mut all, 11, &vec![vec![Some(true), None], vec![]]);
    both(&mut all, 12, &HashMap::from([(1u16, HashMap::from([("a".to_owned(), 1u8)]))]));
    both(&mut all, 13, &());
    both(&mut all, 14, &vec![None, Some(None), Some(Some(1u8))]);
    both(&mut all, 15, &Some(commands().into_boxed_slice()));
    all
}
