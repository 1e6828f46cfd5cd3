//! Removal of items that were superseded while a subscriber was disconnected.

use std::collections::HashMap;

use super::{GapReason, Missed, gap, read_gap, read_item};
use crate::wire::frame::{FrameKind, Frames};

/// Removes the items that newer ones of their topic supersede, and keeps `max_items` of each topic. Gaps at the beginning
/// give the numbers and the reasons. All other frames stay, in their order.
pub fn newest(frames: &[u8], max_items: u32) -> Vec<u8> {
    let mut ranges = Vec::new();
    let mut reader = Frames::new(frames);
    let offset = |reader: &Frames<'_>| frames.len() - reader.remaining();
    let mut start = 0;
    while let Some((header, payload)) = reader.next() {
        ranges.push((start..offset(&reader), header.kind, payload));
        start = offset(&reader);
    }
    let mut missing = Missed::default();
    let mut newer: HashMap<&[u8], u32> = HashMap::new();
    let mut is_kept = |kind: FrameKind, payload| match (kind, read_item(payload), read_gap(payload)) {
        (FrameKind::News, Some((topic, _)), _) => {
            let newer = newer.entry(topic).or_default();
            *newer = newer.saturating_add(1);
            if *newer > max_items {
                missing.add(1, GapReason::Superseded);
            }
            *newer <= max_items
        }
        (FrameKind::Gap, _, Some((count, reason))) => {
            missing.add(count, reason);
            false
        }
        _ => true,
    };
    let mut kept: Vec<_> =
        ranges.into_iter().rev().filter(|(_, kind, payload)| is_kept(*kind, payload)).collect();
    kept.reverse();
    let gaps = std::iter::from_fn(|| missing.take());
    let mut out: Vec<u8> = gaps.flat_map(|(count, reason)| gap(count, reason)).collect();
    kept.into_iter().for_each(|(range, ..)| out.extend_from_slice(&frames[range]));
    out.extend_from_slice(&frames[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoding;
    use crate::name::Topic;
    use crate::news::begin_item;
    use crate::wire::frame::{self, Header};

    fn item(topic: &str, number: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        let writer = begin_item(&mut frame, &Topic::new(topic).expect("a topic"));
        frame.push(number);
        writer.end::<()>(&mut frame, Ok(Encoding::Bincode)).expect("it is written");
        frame
    }

    fn control_frame(kind: FrameKind) -> Vec<u8> {
        let mut frame = Vec::new();
        frame::write(&mut frame, Header::new(kind, 7), b"");
        frame
    }

    #[test]
    fn the_newest_items_of_each_topic_remain_and_the_others_are_counted() {
        let frames = [
            control_frame(FrameKind::Subscribed),
            item("a", 1),
            gap(5, GapReason::Superseded),
            item("b", 2),
            item("a", 3),
            control_frame(FrameKind::Ack),
            gap(2, GapReason::Rate),
            item("a", 4),
        ];
        let expected = [
            gap(2, GapReason::Rate),
            gap(6, GapReason::Superseded),
            control_frame(FrameKind::Subscribed),
            item("b", 2),
            item("a", 3),
            control_frame(FrameKind::Ack),
            item("a", 4),
        ];
        assert_eq!(newest(&frames.concat(), 2), expected.concat());
        let of_one = newest(&frames.concat(), 1);
        assert_eq!(of_one, newest(&of_one, 1), "the second time nothing is removed");
        assert_eq!(
            newest(&[item("a", 1), b"rest".to_vec()].concat(), 1),
            [item("a", 1), b"rest".to_vec()].concat()
        );
    }
}
