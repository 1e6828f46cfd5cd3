//! Tests with malicious bytes: they neither cause a panic, nor exceed the limits, nor take long to be refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bytes_of;
use crate::codec::{DecodeError, DecodeLimits, Encoding, WireType, decode};
use crate::limits::Limits;

const ENCODINGS: [Encoding; 2] = [Encoding::Bincode, Encoding::MessagePack];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    next: Option<Box<Node>>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Expr {
    Neg(Box<Expr>),
    Num(u8),
}

#[derive(Debug, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, Serialize, Deserialize)]
struct Empty {}

#[derive(Debug, Serialize, Deserialize)]
struct Heavy {
    ballast: Option<[[u64; 32]; 32]>,
    left: Option<Box<Heavy>>,
    right: Option<Box<Heavy>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeavyTuple(Option<[[u64; 32]; 32]>, Option<Box<HeavyTuple>>, Option<Box<HeavyTuple>>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    List(Vec<Untagged>),
    Map(HashMap<String, Untagged>),
}

/// Returns the length of a list or a text as bincode writes it.
fn length(length: u64) -> Vec<u8> {
    bytes_of(&length, Encoding::Bincode)
}

/// Refuses `bytes` in a time too short for the allocation that they announce.
#[track_caller]
fn refused<T: WireType>(bytes: &[u8], encoding: Encoding) -> DecodeError {
    let start = Instant::now();
    let result = decode::<T>(bytes, encoding, &DecodeLimits::default());
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(30), "it took {elapsed:?}");
    match result {
        Ok(_) => panic!("{} bytes were decoded as a value", bytes.len()),
        Err(error) => error,
    }
}

#[test]
fn a_forged_length_allocates_nothing() {
    for forged in [1 << 20, 1 << 33, 1 << 60, u64::MAX - 1] {
        let bytes = length(forged);
        for error in [
            refused::<Vec<u64>>(&bytes, Encoding::Bincode),
            refused::<String>(&bytes, Encoding::Bincode),
            refused::<Bytes>(&bytes, Encoding::Bincode),
            refused::<HashMap<u32, u8>>(&bytes, Encoding::Bincode),
            refused::<Vec<Vec<String>>>(&bytes, Encoding::Bincode),
            refused::<BTreeMap<String, Vec<u8>>>(&bytes, Encoding::Bincode),
        ] {
            assert!(error.problem.contains("the bytes end"), "{error}");
        }
    }
    for forged in [0xc6, 0xdb, 0xdd, 0xdf] {
        let bytes = [forged, 255, 255, 255, 255];
        refused::<Vec<u64>>(&bytes, Encoding::MessagePack);
        refused::<String>(&bytes, Encoding::MessagePack);
        refused::<Bytes>(&bytes, Encoding::MessagePack);
        refused::<HashMap<u32, u8>>(&bytes, Encoding::MessagePack);
        refused::<Node>(&bytes, Encoding::MessagePack);
        refused::<Empty>(&bytes, Encoding::MessagePack);
        refused::<()>(&bytes, Encoding::MessagePack);
        refused::<serde_json::Value>(&bytes, Encoding::MessagePack);
    }
}

#[test]
fn elements_without_bytes_are_counted() {
    let bytes = length(3_000_000_000);
    assert_eq!(
        refused::<Vec<()>>(&bytes, Encoding::Bincode).problem,
        "has more elements than the limit of a message"
    );
    refused::<Vec<Empty>>(&bytes, Encoding::Bincode);
    refused::<Vec<[u64; 0]>>(&bytes, Encoding::Bincode);
    refused::<HashMap<(), ()>>(&bytes, Encoding::Bincode);
    refused::<HashSet<()>>(&bytes, Encoding::Bincode);
    refused::<Vec<Vec<()>>>(&[bytes.clone(), bytes].concat(), Encoding::Bincode);
}

#[test]
fn depth_is_bounded_for_every_type() {
    let limits = Limits::default();
    for (bytes, encoding) in
        [(vec![1; 100_000], Encoding::Bincode), (vec![0x91; 100_000], Encoding::MessagePack)]
    {
        for error in [refused::<Node>(&bytes, encoding), refused::<Chain>(&bytes, encoding)] {
            assert!(
                error.problem == "is nested deeper than the limit of a message"
                    || encoding == Encoding::MessagePack,
                "{error}"
            );
        }
    }
    let bytes = vec![0; 100_000];
    assert_eq!(
        refused::<Expr>(&bytes, Encoding::Bincode).problem,
        "is nested deeper than the limit of a message"
    );
    let lists = vec![0x91; 100_000];
    refused::<serde_json::Value>(&lists, Encoding::MessagePack);
    refused::<Untagged>(&lists, Encoding::MessagePack);
    refused::<()>(&lists, Encoding::MessagePack);
    let maps = [0x81, 0xa1, b'z'].repeat(30_000);
    refused::<serde_json::Value>(&maps, Encoding::MessagePack);
    refused::<Empty>(&maps, Encoding::MessagePack);
    refused::<Node>(&[&[0x81, 0xa1, b'z'][..], &lists].concat(), Encoding::MessagePack);
    refused::<Node>(&[0x81, 0xa4, b'n', b'e', b'x', b't'].repeat(20_000), Encoding::MessagePack);

    // A value at the limit decodes, and one beyond does not.
    let chain =
        |levels: u32| (1..levels).fold(Node { next: None }, |node, _| Node { next: Some(Box::new(node)) });
    for encoding in ENCODINGS {
        let bytes = bytes_of(&chain(limits.nesting), encoding);
        assert_eq!(decode(&bytes, encoding, &DecodeLimits::typed(&limits)), Ok(chain(limits.nesting)));
        let bytes = bytes_of(&chain(limits.nesting + 1), encoding);
        refused::<Node>(&bytes, encoding);
    }
}

#[test]
fn memory_is_bounded_where_few_bytes_make_large_values() {
    let nones = [length(1_000_000), vec![0; 1_000_000]].concat();
    let problem = "takes more memory than the limit of a message";
    assert_eq!(refused::<Vec<String>>(&nones, Encoding::Bincode).problem, problem);
    assert_eq!(refused::<Vec<Option<[[u64; 32]; 32]>>>(&nones, Encoding::Bincode).problem, problem);
    assert_eq!(
        refused::<Vec<Option<Box<[[u64; 32]; 32]>>>>(
            &[length(10_000), [vec![1], vec![0; 1_024]].concat().repeat(10_000)].concat(),
            Encoding::Bincode
        )
        .problem,
        problem
    );

    fn tree(depth: u32, bytes: &mut Vec<u8>) {
        bytes.push(0);
        for _ in 0..2 {
            bytes.push(u8::from(depth > 0));
            if depth > 0 {
                tree(depth - 1, bytes);
            }
        }
    }
    let mut bytes = Vec::new();
    tree(12, &mut bytes);
    // A thread of its own, because a value of 8 KiB takes several times as much stack at each level of a debug build.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
        assert_eq!(refused::<Heavy>(&bytes, Encoding::Bincode).problem, problem);
        assert_eq!(refused::<HeavyTuple>(&bytes, Encoding::Bincode).problem, problem);
    });
    thread.expect("a thread starts").join().expect("both are refused");

    let nulls = [vec![0xdd, 0, 15, 66, 64], vec![0xc0; 1_000_000]].concat();
    refused::<Vec<Option<[[u64; 32]; 32]>>>(&nulls, Encoding::MessagePack);
    refused::<serde_json::Value>(&nulls, Encoding::MessagePack);
}

#[test]
fn an_untyped_message_may_have_fewer_values() {
    let limits = Limits::default();
    let count = limits.values + 1;
    let bytes = bytes_of(&vec![1_u8; count], Encoding::MessagePack);
    type Values = Vec<serde_json::Value>;
    assert!(decode::<Values>(&bytes, Encoding::MessagePack, &DecodeLimits::typed(&limits)).is_ok());
    assert!(decode::<Values>(&bytes, Encoding::MessagePack, &DecodeLimits::untyped(&limits)).is_err());
    let bytes = bytes_of(&vec![1_u8; count - 1], Encoding::MessagePack);
    assert!(decode::<Values>(&bytes, Encoding::MessagePack, &DecodeLimits::untyped(&limits)).is_ok());
}

#[test]
fn valid_messages_of_the_largest_size_are_accepted() {
    let limits = Limits::default();
    let typed = DecodeLimits::typed(&limits);
    let bytes = limits.message_bytes - 8;
    for encoding in ENCODINGS {
        let blob = Bytes::from(vec![7; bytes]);
        assert_eq!(decode(&bytes_of(&blob, encoding), encoding, &typed), Ok(blob));
        let small = vec![1_u64; bytes];
        assert_eq!(decode(&bytes_of(&small, encoding), encoding, &typed), Ok(small));
        let floats = vec![[0.5_f32, 1.0, -1.0]; bytes / 16];
        assert_eq!(decode(&bytes_of(&floats, encoding), encoding, &typed), Ok(floats));
        let flags = vec![Some(true); bytes / 2];
        assert_eq!(decode(&bytes_of(&flags, encoding), encoding, &typed), Ok(flags));
    }
}

/// A generator of random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Changes, truncates, extends and replaces `good` in many ways, and reads the results as a `T`.
fn mutate<T: WireType>(random: &mut Random, good: &T) {
    let limits = DecodeLimits { bytes: 1 << 20, values: 1_000, ..DecodeLimits::default() };
    for encoding in ENCODINGS {
        let honest = bytes_of(good, encoding);
        for round in 0..300 {
            let mut bytes = honest.clone();
            match round % 4 {
                0 => bytes = (0..random.below(64)).map(|_| random.next() as u8).collect(),
                1 => bytes.truncate(random.below(bytes.len() + 1)),
                2 => bytes.extend((0..random.below(8)).map(|_| random.next() as u8)),
                _ => {}
            }
            for _ in 0..random.below(4) {
                if !bytes.is_empty() {
                    let place = random.below(bytes.len());
                    bytes[place] = random.next() as u8;
                }
            }
            // The result does not matter, if there is no panic; an error can be displayed.
            if let Err(error) = decode::<T>(&bytes, encoding, &limits) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

#[test]
fn random_and_damaged_bytes_never_panic() {
    #[derive(Serialize, Deserialize)]
    struct Everything {
        numbers: (u8, i16, u32, i64, u128, f32, f64),
        text: String,
        letter: char,
        flag: bool,
        list: Vec<Option<Expr>>,
        map: BTreeMap<u16, HashMap<String, Bytes>>,
        address: IpAddr,
        wait: Duration,
        at: SystemTime,
        result: Result<(), [u8; 4]>,
    }
    let everything = Everything {
        numbers: (1, -2, 70_000, i64::MIN, 1 << 100, 0.5, f64::NAN),
        text: "größer".to_owned(),
        letter: 'ß',
        flag: true,
        list: vec![None, Some(Expr::Neg(Box::new(Expr::Num(3))))],
        map: BTreeMap::from([(3, HashMap::from([("a".to_owned(), Bytes::from_static(b"xyz"))]))]),
        address: IpAddr::from([1, 2, 3, 4]),
        wait: Duration::from_millis(1_500),
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
        result: Err([1, 2, 3, 4]),
    };
    let mut random = Random(0x5EED_C0DE);
    for _ in 0..20 {
        mutate(&mut random, &everything);
        mutate(&mut random, &serde_json::json!({ "a": [1, null, { "b": "c" }], "d": -1.5 }));
        mutate(&mut random, &Untagged::List(vec![Untagged::Number(1), Untagged::Map(HashMap::new())]));
        mutate(&mut random, &Node { next: Some(Box::new(Node { next: None })) });
        mutate(&mut random, &vec!["text".to_owned(), String::new()]);
        mutate(&mut random, &Some(Some(Empty {})));
    }
}
