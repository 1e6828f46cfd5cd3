//! Pairs of types that a schema does not distinguish, and whose bincode differs; and pairs that are equal on the wire.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{WireType, type_info};

/// Declares types in modules of their own, so that pairs can have one name.
macro_rules! types {
    ($($module:ident { $($item:item)* })*) => {$(
        #[allow(dead_code)]
        mod $module {
            use super::*;
            $(#[derive(Serialize, Deserialize)] $item)*
        }
    )*};
}

types! {
    one {
        pub(super) struct Order { x: u32, y: u32 }
        pub(super) enum Mixed { A, B(u8), C }
        pub(super) enum Payloads { A(u8), B(u16) }
        pub(super) enum Units { A, B }
        pub(super) struct Renamed { a: u8 }
        pub(super) struct Width { n: u32 }
        pub(super) struct Optional { o: Option<u8> }
        pub(super) struct Keys { m: HashMap<u32, u8> }
        pub(super) struct Fixed { a: [u8; 3] }
        pub(super) struct Text { s: String }
        pub(super) struct Deep { inner: Vec<Option<(u8, Payloads)>> }
        pub(super) struct Tree { v: u8, kids: Vec<Tree> }
        pub(super) enum Expr { Num(i64), Add(Box<Expr>, Box<Expr>), Neg(Box<Expr>) }
        pub(super) struct Address { ip: IpAddr }
        pub(super) struct Wait { d: Duration }
        pub(super) enum Shrinks { A { x: u8, y: u8 }, B }
        pub(super) enum Tuple { A(u8, u16) }
        pub(super) struct Left { a: Vec<u8>, b: u8 }
        pub(super) struct Floats { f: f32 }
        pub(super) struct Grown { a: u8 }
        pub(super) struct Holder { p: Order }
        pub(super) struct Documented { a: u32 }
        pub(super) enum Words { A, B }
        pub(super) struct Alias { #[serde(alias = "aa", alias = "ab")] a: u8, b: u16 }
    }
    two {
        pub(super) struct Order { y: u32, x: u32 }
        pub(super) enum Mixed { A, C, B(u8) }
        pub(super) enum Payloads { B(u16), A(u8) }
        pub(super) enum Units { B, A }
        pub(super) struct Renamed { b: u8 }
        pub(super) struct Width { n: u64 }
        pub(super) struct Optional { o: Option<Option<u8>> }
        pub(super) struct Keys { m: HashMap<u64, u8> }
        pub(super) struct Fixed { a: Vec<u8> }
        pub(super) struct Text { s: char }
        pub(super) struct Deep { inner: Vec<Option<(u8, Payloads)>> }
        pub(super) struct Tree { v: u8, kids: Vec<Option<Tree>> }
        pub(super) enum Expr { Num(i64), Neg(Box<Expr>), Add(Box<Expr>, Box<Expr>) }
        pub(super) struct Address { ip: String }
        pub(super) struct Wait { d: u64 }
        pub(super) enum Shrinks { A { y: u8, x: u8 }, B }
        pub(super) enum Tuple { A(u16, u8) }
        pub(super) struct Left { b: u8, a: Vec<u8> }
        pub(super) struct Floats { f: f64 }
        pub(super) struct Grown { a: u8, #[serde(default)] b: u8 }
        /// Only the name of the field's type differs.
        pub(super) struct Holder { p: Point }
        pub(super) struct Point { x: u32, y: u32 }
        /// Says more.
        pub(super) struct Documented {
            /// About a.
            a: u32,
        }
        pub(super) enum Words {
            /// About A.
            A,
            B,
        }
        pub(super) struct Alias { #[serde(alias = "aa", alias = "ab")] a: u8, b: u32 }
    }
    single {
        pub(super) struct Plain { a: u8, b: u8, c: u8 }
        pub(super) struct PlainOption { a: u8, b: Option<u8>, c: u8 }
        pub(super) struct Two { a: u8, c: u8 }
        pub(super) struct SkipIf { a: u8, #[serde(skip_serializing_if = "Option::is_none")] b: Option<u8>, c: u8 }
        pub(super) struct SkipSerializing { a: u8, #[serde(skip_serializing, default)] b: u8, c: u8 }
        pub(super) struct SkipDeserializing { a: u8, #[serde(skip_deserializing)] b: u8, c: u8 }
        pub(super) struct SkipBoth { a: u8, #[serde(skip)] b: u8, c: u8 }
        pub(super) struct Inner { b: u8 }
        pub(super) struct Flat { a: u8, #[serde(flatten)] inner: Inner }
        pub(super) struct Unflat { a: u8, b: u8 }
        pub(super) struct Uneven { #[serde(serialize_with = "wider")] d: u32, e: u8 }
        pub(super) struct Even { d: u32, e: u8 }
        pub(super) enum SkipMiddle { A, #[serde(skip)] B, C(u8) }
        pub(super) enum SkipLast { A, C(u8), #[serde(skip)] B }
        #[serde(tag = "t")] pub(super) enum Tagged { A { x: u8 }, B { y: u8 } }
        pub(super) enum Untagged { A { x: u8 }, B { y: u8 } }
        #[serde(untagged)] pub(super) enum Either { A { x: u8 }, B(String) }
        pub(super) enum External { A { x: u8 }, B(String) }
        pub(super) struct New(u32);
        #[serde(transparent)] pub(super) struct Transparent { x: u32 }
        pub(super) struct Pair(u8, u8);
        pub(super) struct Nothing;
        pub(super) struct Seconds { #[serde(with = "super::seconds")] d: Duration }
        pub(super) struct Number { d: u64 }
        pub(super) struct Generic<T> { v: T }
        pub(super) struct ByteOrder { v: u8 }
    }
}

fn wider<S: serde::Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::from(*value))
}

mod seconds {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(d: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(d.as_secs())
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// Checks that two types never use bincode together.
fn assert_distinct<A: WireType, B: WireType>() {
    let (a, b) = (type_info::<A>(), type_info::<B>());
    if let (Some(one), Some(other)) = (a.fingerprint(), b.fingerprint()) {
        assert_ne!(one, other, "{} and {} are both {}", a.name(), b.name(), a.shape_text());
    }
}

/// Checks that two types are proven and have one fingerprint.
fn assert_same<A: WireType, B: WireType>() {
    let (a, b) = (type_info::<A>(), type_info::<B>());
    assert_eq!(a.unproven_reason(), None, "{}: {}", a.name(), a.shape_text());
    assert_eq!(b.unproven_reason(), None, "{}: {}", b.name(), b.shape_text());
    assert_eq!(a.fingerprint(), b.fingerprint(), "{} and {}", a.shape_text(), b.shape_text());
}

/// Checks that two versions of a type are proven, and never use bincode together.
fn assert_distinct_versions<A: WireType, B: WireType>() {
    for info in [type_info::<A>(), type_info::<B>()] {
        assert_eq!(info.unproven_reason(), None, "{}: {}", info.name(), info.shape_text());
    }
    assert_distinct::<A, B>();
}

#[test]
fn two_versions_with_different_bytes_have_different_fingerprints() {
    assert_distinct_versions::<one::Order, two::Order>();
    assert_distinct_versions::<one::Mixed, two::Mixed>();
    assert_distinct_versions::<one::Payloads, two::Payloads>();
    assert_distinct_versions::<one::Units, two::Units>();
    assert_distinct_versions::<one::Renamed, two::Renamed>();
    assert_distinct_versions::<one::Width, two::Width>();
    assert_distinct_versions::<one::Optional, two::Optional>();
    assert_distinct_versions::<one::Keys, two::Keys>();
    assert_distinct_versions::<one::Fixed, two::Fixed>();
    assert_distinct_versions::<one::Text, two::Text>();
    assert_distinct_versions::<one::Deep, two::Deep>();
    assert_distinct_versions::<one::Tree, two::Tree>();
    assert_distinct_versions::<one::Expr, two::Expr>();
    assert_distinct_versions::<one::Address, two::Address>();
    assert_distinct_versions::<one::Wait, two::Wait>();
    assert_distinct_versions::<one::Shrinks, two::Shrinks>();
    assert_distinct_versions::<one::Tuple, two::Tuple>();
    assert_distinct_versions::<one::Left, two::Left>();
    assert_distinct_versions::<one::Floats, two::Floats>();
    assert_distinct_versions::<one::Grown, two::Grown>();
    assert_distinct_versions::<one::Alias, two::Alias>();
}

#[test]
fn similar_types_of_different_layouts_have_different_fingerprints() {
    assert_distinct::<u32, u64>();
    assert_distinct::<u64, i64>();
    assert_distinct::<f32, f64>();
    assert_distinct::<String, char>();
    assert_distinct::<Option<()>, ()>();
    assert_distinct::<Option<u8>, Option<Option<u8>>>();
    assert_distinct::<[u8; 3], Vec<u8>>();
    assert_distinct::<HashMap<u32, u8>, HashMap<u8, u8>>();
    assert_distinct::<HashMap<String, u8>, HashMap<(u8, u8), u8>>();
    assert_distinct::<Vec<HashMap<String, f32>>, Vec<HashMap<String, f64>>>();
    assert_distinct::<single::SkipIf, single::PlainOption>();
    assert_distinct::<single::SkipIf, single::Two>();
    assert_distinct::<single::SkipSerializing, single::Two>();
    assert_distinct::<single::SkipSerializing, single::Plain>();
    assert_distinct::<single::SkipDeserializing, single::Plain>();
    assert_distinct::<single::SkipDeserializing, single::Two>();
    assert_distinct::<single::Flat, single::Unflat>();
    assert_distinct::<single::Uneven, single::Even>();
    assert_distinct::<single::SkipMiddle, single::SkipLast>();
    assert_distinct::<single::Tagged, single::Untagged>();
    assert_distinct::<single::Either, single::External>();
    assert_distinct::<single::Generic<u8>, single::Generic<i8>>();
    assert_distinct::<Result<u8, String>, Result<String, u8>>();
    assert_distinct::<IpAddr, String>();
    assert_distinct::<Duration, u64>();
}

#[test]
fn types_of_the_same_layout_have_the_same_fingerprint() {
    assert_same::<one::Holder, two::Holder>();
    assert_same::<one::Documented, two::Documented>();
    assert_same::<one::Words, two::Words>();
    assert_same::<single::New, u32>();
    assert_same::<single::Transparent, u32>();
    assert_same::<single::Pair, (u8, u8)>();
    assert_same::<(), single::Nothing>();
    assert_same::<(u8, u8, u8), [u8; 3]>();
    assert_same::<u64, usize>();
    assert_same::<i64, isize>();
    assert_same::<String, PathBuf>();
    assert_same::<HashSet<u8>, Vec<u8>>();
    assert_same::<BTreeMap<String, u8>, HashMap<String, u8>>();
    assert_same::<single::SkipBoth, single::Two>();
    assert_same::<single::Seconds, single::Number>();
    assert_same::<single::Generic<u8>, single::ByteOrder>();
    assert_same::<Box<u8>, u8>();
}

#[test]
fn unproven_types_give_the_reason() {
    for (info, reason) in [
        (type_info::<single::SkipIf>(), "leaves out the field `b`"),
        (type_info::<single::SkipSerializing>(), "writes other values than it reads"),
        (type_info::<single::Uneven>(), "writes other values than it reads"),
        (type_info::<single::SkipMiddle>(), "writes other values than it reads"),
        (type_info::<single::Tagged>(), "self-describing"),
        (type_info::<single::Either>(), "self-describing"),
        (type_info::<single::Flat>(), "self-describing"),
        (type_info::<serde_json::Value>(), "self-describing"),
    ] {
        let actual = info.unproven_reason().unwrap_or("it was proven");
        assert!(actual.contains(reason), "{}: {actual}: {}", info.name(), info.shape_text());
    }
}
