//! Tests of the shapes that a trace finds, as the text from which fingerprints are computed. A change here separates programs
//! from older ones: they can still exchange messages, but no longer in bincode.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::codec::{Fingerprint, WireType, type_info};

fn assert_shape<T: WireType>(text: &str) {
    let info = type_info::<T>();
    assert_eq!((info.shape_text(), info.unproven_reason()), (text, None));
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
struct Robot {
    pose: Pose,
    last: Option<Pose>,
    #[serde(rename = "state of mind")]
    state: State,
    log: Vec<(u32, String)>,
    by_name: BTreeMap<String, State>,
    address: Ipv4Addr,
}

#[derive(Serialize, Deserialize)]
struct Pose {
    at: [f32; 3],
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum State {
    Idle,
    Busy(Job),
    Failed { why: Reason, job: Option<Job> },
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum Job {
    Walk(u8, i16),
    Wait(Wait),
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum Wait {
    Short,
    Long(f64),
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum Reason {
    Unknown,
    Known(char),
}

#[test]
fn the_text_of_a_shape_is_stable() {
    assert_shape::<u8>("u8");
    assert_shape::<(bool, [u16; 2], ())>("(bool,[u16;2],(),)");
    assert_shape::<Robot>(concat!(
        "{pose:{at:[f32;3],},last:option<#1>,",
        r#""state of mind":enum{Idle,Busy(enum{Walk(u8,i16,),Wait(enum{Short,Long(f64),}),}),"#,
        "Failed{why:enum{Unknown,Known(char),},job:option<#3>,},},",
        "log:list<(u32,text,)>,by_name:map<text,#2>,address:[u8;4],}",
    ));
    let fingerprint = type_info::<u8>().fingerprint().expect("a byte is safe");
    assert_eq!(fingerprint.to_string(), "77ff351abee528ea4aaf0db10a5c9ea2");
    assert_eq!(Fingerprint::from_bytes(fingerprint.to_bytes()), fingerprint);
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum Left {
    Go(Box<Right>),
    Twice(Box<Left>, Box<Left>),
    Stop,
}

#[derive(Serialize, Deserialize)]
#[allow(dead_code)]
enum Right {
    Back(Box<Left>),
    Both { left: Left, right: Box<Right> },
    Stay(Vec<Right>),
}

#[test]
fn enums_that_contain_each_other_are_explored_completely() {
    assert_shape::<Left>(
        "enum{Go(enum{Back(#0),Both{left:#0,right:#1,},Stay(list<#1>),}),Twice[#0;2],Stop,}",
    );
}

#[test]
fn a_type_is_traced_once() {
    assert!(std::ptr::eq(type_info::<Robot>(), type_info::<Robot>()));
    let of_other_thread = std::thread::spawn(type_info::<Robot>).join().expect("the thread ends");
    assert!(std::ptr::eq(type_info::<Robot>(), of_other_thread));
}
