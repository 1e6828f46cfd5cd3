//! Tests of types from other crates: they are encoded in both encodings, and decoded unchanged.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroI64, NonZeroU8, NonZeroU32, Wrapping};
use std::ops::{Bound, Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{bytes_of, decode_default};
use crate::codec::{Encoding, WireType, type_info};
use crate::name::{ServiceName, Topic};

/// Checks that both encodings preserve `value`, and that bincode is proven safe.
fn assert_round_trip<T: WireType + PartialEq + Debug>(value: T) {
    let info = type_info::<T>();
    assert_eq!(info.unproven_reason(), None, "{}: {}", info.name(), info.shape_text());
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let decoded: Result<T, _> = decode_default(&bytes_of(&value, encoding), encoding);
        assert_eq!(decoded.as_ref(), Ok(&value), "{encoding:?}");
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Expr {
    Num(f64),
    Var { name: String },
    Add(Box<Expr>, Box<Expr>),
    Call(String, Vec<Expr>),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    value: u8,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
    named: BTreeMap<String, Tree>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapper<T> {
    inner: T,
    count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Id(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Empty {}

#[test]
fn numbers_text_and_bytes() {
    assert_round_trip((true, 'ü', "text".to_owned(), ()));
    assert_round_trip((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    assert_round_trip((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    assert_round_trip((f32::MIN_POSITIVE, f64::MAX, usize::MAX, isize::MIN));
    assert_round_trip(Bytes::from_static(b"\x00\xff"));
    assert_round_trip(Wrapping(7_u16));
}

#[test]
fn addresses_times_and_paths() {
    assert_round_trip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_round_trip(IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert_round_trip(SocketAddr::from(([192, 168, 0, 1], 80)));
    assert_round_trip(Duration::new(3, 999_999_999));
    assert_round_trip(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    assert_round_trip(PathBuf::from("/etc/hosts"));
}

#[test]
fn types_that_check_their_values() {
    assert_round_trip((NonZeroU8::MIN, NonZeroU32::MAX, NonZeroI64::MIN));
    assert_round_trip(ServiceName::new("robot/arm").expect("a name"));
    assert_round_trip(Topic::new("").expect("a topic"));
    assert_round_trip(vec![NonZeroU32::MIN; 3]);
}

#[test]
fn collections() {
    assert_round_trip(vec![1_u8, 2, 3]);
    assert_round_trip(HashMap::from([(1_u32, "one".to_owned()), (300, "many".to_owned())]));
    assert_round_trip(BTreeMap::from([(Id(1), vec![Id(2)]), (Id(3), vec![])]));
    assert_round_trip(HashSet::from(["a".to_owned(), "b".to_owned()]));
    assert_round_trip(BTreeSet::from([-1_i64, 5]));
    assert_round_trip(VecDeque::from([Some(1_u8), None]));
    assert_round_trip(LinkedList::from([Some(1_u8), None]));
    assert_round_trip(Vec::<String>::new());
}

#[test]
fn arrays_tuples_and_ranges() {
    assert_round_trip([0.5_f32; 32]);
    assert_round_trip([[1_u8; 4]; 4]);
    assert_round_trip((1_u8, (2_u16, [3_u32; 2]), "x".to_owned()));
    assert_round_trip(Range { start: 1_u8, end: 5 });
    assert_round_trip(RangeInclusive::new(-1_i32, 1));
    assert_round_trip(Bound::Excluded(4_u64));
}

#[test]
fn options_results_and_generics() {
    assert_round_trip(Some(Some(7_u8)));
    assert_round_trip(Result::<u8, String>::Err("no".to_owned()));
    assert_round_trip(Wrapper { inner: Wrapper { inner: vec![Some(1.5_f64)], count: 1 }, count: 2 });
    assert_round_trip((Unit, Empty {}, Id(9)));
    assert_round_trip(Box::new(Wrapper { inner: Box::new(3_u8), count: 0 }));
}

#[test]
fn types_that_contain_themselves() {
    let sum = Expr::Add(Box::new(Expr::Num(1.0)), Box::new(Expr::Var { name: "x".to_owned() }));
    assert_round_trip(Expr::Call("max".to_owned(), vec![sum, Expr::Nothing]));
    let leaf = Tree { value: 1, left: None, right: None, named: BTreeMap::new() };
    let named = BTreeMap::from([("leaf".to_owned(), leaf.clone())]);
    assert_round_trip(Tree { value: 0, left: Some(Box::new(leaf)), right: None, named });
}

#[test]
fn types_without_equality() {
    let counter = AtomicU32::new(70_000);
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let decoded: AtomicU32 = decode_default(&bytes_of(&counter, encoding), encoding).expect("it decodes");
        assert_eq!(decoded.load(Ordering::Relaxed), 70_000);
    }
}

#[test]
fn bincode_preserves_a_nested_none_and_message_pack_flattens_it() {
    let value: Option<Option<u8>> = Some(None);
    assert_eq!(decode_default(&bytes_of(&value, Encoding::Bincode), Encoding::Bincode), Ok(Some(None::<u8>)));
    let flat = decode_default(&bytes_of(&value, Encoding::MessagePack), Encoding::MessagePack);
    assert_eq!(flat, Ok(None::<Option<u8>>));
}

#[test]
fn dynamic_values_are_sent_as_message_pack() {
    let value = serde_json::json!({ "a": [1, -2, 2.5, null, true, "text", { "b": {} }] });
    assert_eq!(type_info::<serde_json::Value>().fingerprint(), None);
    let decoded = decode_default(&bytes_of(&value, Encoding::MessagePack), Encoding::MessagePack);
    assert_eq!(decoded, Ok(value));
}

#[test]
fn types_that_cannot_be_traced_give_the_reason() {
    /// Never a leaf.
    #[derive(Serialize, Deserialize)]
    #[allow(dead_code)]
    enum Endless {
        More(Box<Endless>),
    }
    /// No variant at all.
    #[derive(Serialize, Deserialize)]
    enum Never {}
    /// Only newtypes and lists.
    #[derive(Serialize, Deserialize)]
    struct Bare(Vec<Bare>);
    #[derive(Serialize, Deserialize)]
    #[allow(dead_code)]
    struct Chain(Option<Box<Chain>>);
    for (info, reason) in [
        (type_info::<Endless>(), "contains itself endlessly"),
        (type_info::<Never>(), "no variants"),
        (type_info::<Bare>(), "contains itself through a tuple or a newtype"),
        (type_info::<Chain>(), "contains itself through a tuple or a newtype"),
    ] {
        let actual = info.unproven_reason().unwrap_or("it was proven");
        assert!(actual.contains(reason), "{}: {actual}", info.name());
    }
}

#[test]
fn a_type_that_is_too_large_to_be_traced_gives_the_reason() {
    type Many<T> = [Vec<T>; 32];
    #[derive(Serialize, Deserialize)]
    struct Large(Many<Many<Many<Many<u8>>>>);
    assert_eq!(type_info::<Large>().unproven_reason(), Some("it is too large to be read completely"));
}

#[test]
fn a_type_that_panics_is_not_proven() {
    #[derive(Serialize)]
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("a Deserialize that panics, for a test")
        }
    }
    assert_eq!(type_info::<Panics>().unproven_reason(), Some("its Deserialize or Serialize panics"));
}
