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

use super::{bytes_of, read};
use crate::codec::{Encoding, WireType, type_info};
use crate::name::{ServiceName, Topic};

/// Checks that both encodings preserve `value`, and that bincode is proven safe.
fn travels<T: WireType + PartialEq + Debug>(value: T) {
    let info = type_info::<T>();
    assert_eq!(info.unproven_reason(), None, "{}: {}", info.name(), info.shape_text());
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let back: Result<T, _> = read(&bytes_of(&value, encoding), encoding);
        assert_eq!(back.as_ref(), Ok(&value), "{encoding:?}");
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
    travels((true, 'ü', "text".to_owned(), ()));
    travels((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    travels((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    travels((f32::MIN_POSITIVE, f64::MAX, usize::MAX, isize::MIN));
    travels(Bytes::from_static(b"\x00\xff"));
    travels(Wrapping(7_u16));
}

#[test]
fn addresses_times_and_paths() {
    travels(IpAddr::V4(Ipv4Addr::LOCALHOST));
    travels(IpAddr::V6(Ipv6Addr::LOCALHOST));
    travels(SocketAddr::from(([192, 168, 0, 1], 80)));
    travels(Duration::new(3, 999_999_999));
    travels(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    travels(PathBuf::from("/etc/hosts"));
}

#[test]
fn types_that_check_their_values() {
    travels((NonZeroU8::MIN, NonZeroU32::MAX, NonZeroI64::MIN));
    travels(ServiceName::new("robot/arm").expect("a name"));
    travels(Topic::new("").expect("a topic"));
    travels(vec![NonZeroU32::MIN; 3]);
}

#[test]
fn collections() {
    travels(vec![1_u8, 2, 3]);
    travels(HashMap::from([(1_u32, "one".to_owned()), (300, "many".to_owned())]));
    travels(BTreeMap::from([(Id(1), vec![Id(2)]), (Id(3), vec![])]));
    travels(HashSet::from(["a".to_owned(), "b".to_owned()]));
    travels(BTreeSet::from([-1_i64, 5]));
    travels(VecDeque::from([Some(1_u8), None]));
    travels(LinkedList::from([Some(1_u8), None]));
    travels(Vec::<String>::new());
}

#[test]
fn arrays_tuples_and_ranges() {
    travels([0.5_f32; 32]);
    travels([[1_u8; 4]; 4]);
    travels((1_u8, (2_u16, [3_u32; 2]), "x".to_owned()));
    travels(Range { start: 1_u8, end: 5 });
    travels(RangeInclusive::new(-1_i32, 1));
    travels(Bound::Excluded(4_u64));
}

#[test]
fn options_results_and_generics() {
    travels(Some(Some(7_u8)));
    travels(Result::<u8, String>::Err("no".to_owned()));
    travels(Wrapper { inner: Wrapper { inner: vec![Some(1.5_f64)], count: 1 }, count: 2 });
    travels((Unit, Empty {}, Id(9)));
    travels(Box::new(Wrapper { inner: Box::new(3_u8), count: 0 }));
}

#[test]
fn types_that_contain_themselves() {
    let sum = Expr::Add(Box::new(Expr::Num(1.0)), Box::new(Expr::Var { name: "x".to_owned() }));
    travels(Expr::Call("max".to_owned(), vec![sum, Expr::Nothing]));
    let leaf = Tree { value: 1, left: None, right: None, named: BTreeMap::new() };
    let named = BTreeMap::from([("leaf".to_owned(), leaf.clone())]);
    travels(Tree { value: 0, left: Some(Box::new(leaf)), right: None, named });
}

#[test]
fn types_without_equality() {
    let counter = AtomicU32::new(70_000);
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let back: AtomicU32 = read(&bytes_of(&counter, encoding), encoding).expect("it decodes");
        assert_eq!(back.load(Ordering::Relaxed), 70_000);
    }
}

#[test]
fn a_nested_none_is_kept_by_bincode_and_flattened_by_message_pack() {
    let value: Option<Option<u8>> = Some(None);
    assert_eq!(read(&bytes_of(&value, Encoding::Bincode), Encoding::Bincode), Ok(Some(None::<u8>)));
    let flat = read(&bytes_of(&value, Encoding::MessagePack), Encoding::MessagePack);
    assert_eq!(flat, Ok(None::<Option<u8>>));
}

#[test]
fn dynamic_values_travel_as_message_pack() {
    let value = serde_json::json!({ "a": [1, -2, 2.5, null, true, "text", { "b": {} }] });
    assert_eq!(type_info::<serde_json::Value>().fingerprint(), None);
    let back = read(&bytes_of(&value, Encoding::MessagePack), Encoding::MessagePack);
    assert_eq!(back, Ok(value));
}

#[test]
fn types_that_no_trace_can_see_through_end_their_trace() {
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
        let why = info.unproven_reason().unwrap_or("it was proven");
        assert!(why.contains(reason), "{}: {why}", info.name());
    }
}

#[test]
fn a_type_that_is_too_large_to_be_seen_whole_ends_its_trace() {
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
