//! The messages between the two ends of a connection other than calls and news, and the headers in frames.

use bytes::BytesMut;
use meshzero_proto::codec::type_info;
use meshzero_proto::discovery::advert::{Advert, MAX_RECEIVED_ADDRESSES};
use meshzero_proto::discovery::peer::{MAX_UPDATE_BYTES, PeerUpdate};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::{MeshName, ServiceName, Topic, TypeName};
use meshzero_proto::news::{self, GapReason, Policy, Subscribe};
use meshzero_proto::wire::catalogue::{Catalogue, MessageEntry};
use meshzero_proto::wire::description::Description;
use meshzero_proto::wire::frame;
use meshzero_proto::wire::refusal::Refusal;

use crate::memory;

/// The first byte selects the kind of the others.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    let few = 3 * (16 * bytes.len() + 4_096);
    match what % 6 {
        0 => {
            if let Ok(catalogue) = memory::within(few, || Catalogue::from_bytes(bytes)) {
                let name = catalogue.entry(0).map(|entry| entry.name.to_string()).unwrap_or_default();
                assert_eq!(catalogue.negotiate(&name, None, None).is_some(), !catalogue.names().is_empty());
                assert_eq!(Catalogue::from_bytes(&catalogue.to_bytes()), Ok(catalogue));
            }
        }
        1 => {
            // Its schemas are maps, and short ones are many times as long in memory.
            let most = 3 * (64 * bytes.len() + 4_096);
            if let Ok(description) = memory::within(most, || Description::from_bytes(bytes)) {
                assert!(!description.to_string().is_empty());
                Description::from_bytes(&description.to_bytes()).expect("it was encoded from this value");
            }
        }
        2 => {
            if let Ok(told) = memory::within(few, || PeerUpdate::decode(bytes)) {
                assert!(told.known.iter().all(|advert| advert.addresses.len() <= MAX_RECEIVED_ADDRESSES));
                let mut frames = BytesMut::from(&told.to_frames()[..]);
                let mut again = PeerUpdate::default();
                while let Some(frame) = frame::take(&mut frames, MAX_UPDATE_BYTES).expect("frames") {
                    let part = PeerUpdate::decode(&frame.payload).expect("it was encoded from this value");
                    again.known.extend(part.known);
                    again.gone.extend(part.gone);
                }
                assert_eq!(again, told);
            }
        }
        3 => {
            if let Ok(subscribe) = memory::within(few, || Subscribe::from_bytes(bytes)) {
                assert_eq!(Subscribe::from_bytes(&subscribe.to_bytes()), Ok(subscribe));
            }
        }
        4 => {
            let refusal = memory::within(few, || Refusal::from_bytes(bytes));
            assert!(!refusal.to_string().is_empty());
            assert_eq!(Refusal::from_bytes(&refusal.to_bytes()), refusal);
        }
        _ => {
            if let Some((topic, item)) = news::read_item(bytes) {
                assert_eq!(topic.len() + item.len() + 1, bytes.len());
            }
            if let Some((count, reason)) = news::read_gap(bytes) {
                let again = news::gap(count, reason);
                assert_eq!(news::read_gap(&again[frame::HEADER_BYTES..]), Some((count, reason)));
            }
        }
    }
}

/// One of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let fingerprint = type_info::<u32>().fingerprint();
    let name = TypeName::new("Move").expect("a name");
    let catalogue = Catalogue::new(vec![MessageEntry { name, message: fingerprint, reply: None }; 3]);
    let schema = r#"{"type":"object","properties":{"x":{"type":"number"}}}"#;
    let description = format!(
        r#"{{"service":"arm","messages":[{{"name":"Move","message":{0},"reply":null}}],"topics":[{{"topic":"pose","item":{0},"retained":true}}]}}"#,
        schema
    );
    let advert = Advert {
        instance: InstanceId::from_random([1; 16]),
        node: NodeId::from_random([2; 16]),
        mesh: MeshName::default(),
        service: ServiceName::new("robot/arm").expect("a name"),
        addresses: vec![([10, 0, 0, 1], 4_000).into(), ([0u16; 8], 4_000).into()],
        leaving: false,
    };
    let told =
        PeerUpdate { known: vec![advert.clone(), advert], gone: vec![InstanceId::from_random([3; 16])] };
    let told: Vec<Vec<u8>> =
        frame::Frames::new(&told.to_frames()).map(|(_, payload)| payload.to_vec()).collect();
    let subscribe =
        |policy| Subscribe { prefix: Topic::new("pose").expect("a topic"), fingerprint, policy }.to_bytes();
    let mut words = vec![(0, catalogue.to_bytes()), (1, description.into_bytes())];
    words.extend(told.into_iter().map(|told| (2, told)));
    words.extend([Policy::default(), Policy::last(1)].map(|policy| (3, subscribe(policy))));
    let handles = vec!["Move".to_owned(), "Stop".to_owned()];
    words.extend(
        [
            Refusal::NoHandler { message: "Jump".into(), handles },
            Refusal::Undecodable { message: "Move".into(), problem: "x: expected f32".into() },
            Refusal::ReplyTooLarge { limit: 1 << 20 },
            Refusal::Busy,
        ]
        .map(|refusal| (4, refusal.to_bytes())),
    );
    words.push((5, news::gap(7, GapReason::Overflow)[frame::HEADER_BYTES..].to_vec()));
    words.push((5, b"\x04poseitem".to_vec()));
    words.into_iter().map(|(what, bytes)| [&[what][..], &bytes].concat()).collect()
}
