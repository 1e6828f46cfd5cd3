//! Multicast DNS (RFC 6762) as discovery uses it: questions, their schedule, and the adverts in received messages.

mod families;
mod question;
mod reply;
mod rounds;
mod schedule;

pub use families::{Families, InterfaceFamily};
pub use question::{
    ForeignQuestions, LOOPBACK_DATAGRAM_BYTES, NETWORK_DATAGRAM_BYTES, NETWORK_KNOWN_ANSWERS, Question,
    Subtype,
};
pub use reply::{ReplyAssembler, ReplyError, ReplyTotals, parse_reply};
pub use rounds::{DueQuery, QueryMode, QuerySchedule};

use simple_dns::Name;

/// The longest message that is parsed, as RFC 6762 §17 allows.
const MAX_MESSAGE_BYTES: usize = 9_000;
const HEADER_BYTES: usize = 12;
const SERVICE_LABELS: [&[u8]; 3] = [b"_meshzero", b"_tcp", b"local"];
const SERVICE_TYPE: &str = "_meshzero._tcp.local";

/// Returns the labels of `name` in front of the service type, or `None` if it ends otherwise.
fn before_service_type<'a, 'n>(name: &'a Name<'n>) -> Option<&'a [simple_dns::Label<'n>]> {
    let labels = name.get_labels();
    let (front, kind) = labels.split_at_checked(labels.len().checked_sub(SERVICE_LABELS.len())?)?;
    let is_service_type = kind
        .iter()
        .zip(SERVICE_LABELS)
        .all(|(label, expected)| label.as_ref().eq_ignore_ascii_case(expected));
    is_service_type.then_some(front)
}

/// Rejects a message that announces more records than its bytes can hold: the parser would reserve memory for them.
fn check_counts(bytes: &[u8]) -> Result<(), ReplyError> {
    const MIN_QUESTION_BYTES: usize = 5;
    const MIN_RECORD_BYTES: usize = 11;
    if bytes.len() < HEADER_BYTES || bytes.len() > MAX_MESSAGE_BYTES {
        return Err(ReplyError::Length(bytes.len()));
    }
    let count = |offset: usize| usize::from(u16::from_be_bytes([bytes[offset], bytes[offset + 1]]));
    let min_bytes = count(4) * MIN_QUESTION_BYTES + (count(6) + count(8) + count(10)) * MIN_RECORD_BYTES;
    if min_bytes > bytes.len() - HEADER_BYTES { Err(ReplyError::Counts) } else { Ok(()) }
}
