//! Tests of the cost of a trace, and of the equality of direct and complete readings.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::*;

/// A protocol of many messages: each variant holds a struct of its own, as those of real programs do.
macro_rules! protocol {
    ($($message:ident)*) => {
        $(
            #[derive(Serialize, Deserialize)]
            struct $message {
                id: u32,
                name: String,
                at: Option<Point>,
                tags: Vec<String>,
                #[serde(default)]
                note: String,
                inner: Inner,
            }
        )*

        #[derive(Serialize, Deserialize)]
        enum Protocol {
            $($message($message),)*
        }
    };
}

#[derive(Serialize, Deserialize)]
struct Point {
    x: f32,
    y: f32,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    kind: Kind,
    points: BTreeMap<String, Point>,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Small,
    Large { size: u64, by: Option<SocketAddr> },
    Other(String),
}

protocol! {
    A0 A1 A2 A3 A4 A5 A6 A7 A8 B0 B1 B2 B3 B4 B5 B6 B7 B8 C0 C1 C2 C3 C4 C5 C6 C7 C8
}

const VARIANTS: usize = 27;

/// The number of fields of one message, nested ones included.
const FIELDS: usize = 16;

/// Returns the trace as formats with names read it, with or without going straight to each struct, and the number of values read.
fn readable<T: DeserializeOwned>(goes_straight: bool) -> (Shapes, usize) {
    let mut root = Shape::Unseen;
    let mut state = ReflectionState::new(Format::Readable);
    explore(attempt::<T>, &mut state, &mut root).expect("all of it can be read");
    for place in state.structs().collect::<Vec<_>>() {
        if !goes_straight || !find_required_there(attempt::<T>, &mut state, &mut root, place) {
            find_required(attempt::<T>, &mut state, &mut root, place);
        }
    }
    let steps = state.total_steps;
    (Shapes { root, definitions: state.into_definitions() }, steps)
}

#[test]
fn a_trace_takes_as_long_as_its_type_is_large_and_no_longer() {
    let (_, steps) = readable::<Protocol>(true);
    assert!(steps < VARIANTS * FIELDS * FIELDS, "{steps} values were read");
    let (_, thorough) = readable::<Protocol>(false);
    assert!(thorough > 3 * steps, "{thorough} values were read, and {steps} on the short way");
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aliased {
    #[serde(alias = "kind", alias = "sort")]
    what: String,
    #[serde(default)]
    tree: Option<Box<Aliased>>,
    #[serde(default)]
    hidden: Hidden,
}

/// Only read if its holder is not left out.
#[derive(Default, Serialize, Deserialize)]
struct Hidden {
    required: u8,
    #[serde(default)]
    optional: u8,
    expression: Option<Expression>,
}

#[derive(Serialize, Deserialize)]
enum Expression {
    Both { left: Box<Expression>, right: Box<Expression> },
    Not { of: Box<Expression> },
    Number { value: f64, unit: Option<String> },
}

#[derive(Serialize, Deserialize)]
struct Checked {
    #[serde(deserialize_with = "at_least_one")]
    count: u8,
    all: HashMap<u8, Vec<(Kind, Expression)>>,
}

fn at_least_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("none")),
        count => Ok(count),
    }
}

#[test]
fn direct_and_complete_readings_find_the_same() {
    fn same<T: DeserializeOwned>() {
        let ((short, _), (long, _)) = (readable::<T>(true), readable::<T>(false));
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
        assert_eq!(format!("{short:?}"), format!("{:?}", trace_readable::<T>()));
    }
    same::<Protocol>();
    same::<Aliased>();
    same::<Expression>();
    same::<Checked>();
    same::<Vec<Kind>>();
    same::<(Point, Inner, Option<Hidden>)>();
}
