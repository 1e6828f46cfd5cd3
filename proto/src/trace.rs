//! The trace context that travels with a message, by W3C Trace Context: its trace, and its span.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// Length of a [`TraceContext`] in a frame, in bytes.
pub const TRACE_BYTES: usize = 25;

/// The only flag that level 1 of the standard defines. Others are zero and ignored.
const SAMPLED: u8 = 1;

/// The version of the header that is written.
const VERSION: &str = "00";

/// A trace: all work with one cause, in any number of programs.
///
/// ```
/// # use meshzero_proto::trace::TraceId;
/// assert_eq!(TraceId::from_bytes([7; 16]).map(|id| id.to_string()), Some("07".repeat(16)));
/// assert_eq!(TraceId::from_bytes([0; 16]), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

/// A span of a trace: one step of the work, such as one call.
///
/// ```
/// # use meshzero_proto::trace::SpanId;
/// assert_eq!(SpanId::from_bytes([7; 8]).map(|id| id.to_string()), Some("07".repeat(8)));
/// assert_eq!(SpanId::from_bytes([0; 8]), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// Returns the id with these bytes, the most significant first; `None` for zeros, which are not a valid id.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        NonZeroU128::new(u128::from_be_bytes(bytes)).map(Self)
    }

    /// Returns its bytes, the most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl SpanId {
    /// Returns the id with these bytes, the most significant first; `None` for zeros, which are not a valid id.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        NonZeroU64::new(u64::from_be_bytes(bytes)).map(Self)
    }

    /// Returns its bytes, the most significant first.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The decision to record a trace, made where it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// It may be recorded.
    Sampled,
    /// It need not be recorded.
    NotSampled,
}

/// The position of some work in a trace: the trace, and the span within it.
///
/// It is written and parsed as the `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-1/), so that it can
/// come from an HTTP request or an OpenTelemetry span, and continue as one.
///
/// ```
/// # use meshzero_proto::trace::{InvalidTraceParent, TraceContext};
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = header.parse()?;
/// assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), header);
/// # Ok::<(), InvalidTraceParent>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    sampling: Sampling,
}

impl TraceContext {
    /// Creates the context of the span `span_id` of the trace `trace_id`.
    pub fn new(trace_id: TraceId, span_id: SpanId, sampling: Sampling) -> Self {
        Self { trace_id, span_id, sampling }
    }

    /// Returns the trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the span in it.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Returns true if the trace is to be recorded, as decided where it began.
    pub fn is_sampled(&self) -> bool {
        self.sampling == Sampling::Sampled
    }

    /// Returns another span of the same trace.
    pub fn with_span(self, span_id: SpanId) -> Self {
        Self { span_id, ..self }
    }

    /// Encodes it as in a frame: 16 bytes of trace, 8 of span, one of flags.
    pub fn to_bytes(self) -> [u8; TRACE_BYTES] {
        let mut bytes = [0; TRACE_BYTES];
        bytes[..16].copy_from_slice(&self.trace_id.to_bytes());
        bytes[16..24].copy_from_slice(&self.span_id.to_bytes());
        bytes[24] = self.flags();
        bytes
    }

    /// Decodes the bytes in a frame. An id of zeros is not valid, and neither is a context without both ids.
    pub fn from_bytes(bytes: &[u8; TRACE_BYTES]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, flags) = rest.split_first_chunk()?;
        Some(Self {
            trace_id: TraceId::from_bytes(*trace_id)?,
            span_id: SpanId::from_bytes(*span_id)?,
            sampling: sampling(*flags.first()?),
        })
    }

    fn flags(self) -> u8 {
        if self.is_sampled() { SAMPLED } else { 0 }
    }
}

fn sampling(flags: u8) -> Sampling {
    if flags & SAMPLED == 0 { Sampling::NotSampled } else { Sampling::Sampled }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags())
    }
}

/// The text is not a valid `traceparent`. A program that continues traces of others begins one of its own instead.
///
/// ```
/// # use meshzero_proto::trace::TraceContext;
/// let error = "00-0-0-00".parse::<TraceContext>().expect_err("its ids are too short");
/// assert_eq!(error.to_string(), "not a traceparent: the trace id is not 32 lower-case hexadecimal digits");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent: {problem}")]
pub struct InvalidTraceParent {
    problem: &'static str,
}

impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    /// Parses a `traceparent`: of version 00, or of a later one, of which the first four fields are read.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let invalid = |problem| InvalidTraceParent { problem };
        let mut fields = text.split('-');
        let mut next = || fields.next().unwrap_or_default();
        let [version, trace_id, span_id, flags] = [next(), next(), next(), next()];
        match hex::<1>(version) {
            Some([0xff]) => return Err(invalid("the version ff is forbidden")),
            Some(_) => {}
            None => return Err(invalid("the version is not two lower-case hexadecimal digits")),
        }
        let trace_id =
            hex(trace_id).ok_or(invalid("the trace id is not 32 lower-case hexadecimal digits"))?;
        let span_id = hex(span_id).ok_or(invalid("the span id is not 16 lower-case hexadecimal digits"))?;
        let [flags] = hex(flags).ok_or(invalid("the flags are not two lower-case hexadecimal digits"))?;
        if version == VERSION && fields.next().is_some() {
            return Err(invalid("version 00 has four fields"));
        }
        Ok(Self {
            trace_id: TraceId::from_bytes(trace_id).ok_or(invalid("the trace id is zero"))?,
            span_id: SpanId::from_bytes(span_id).ok_or(invalid("the span id is zero"))?,
            sampling: sampling(flags),
        })
    }
}

/// Returns the bytes that `text` contains as two lower-case digits each, if it has exactly this many.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let hex_digit = |hex_digit: u8| match hex_digit {
        b'0'..=b'9' => Some(hex_digit - b'0'),
        b'a'..=b'f' => Some(hex_digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_later_version_is_read_and_this_one_written() {
        for later in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            format!("01{}-x", &PARENT[2..]),
        ] {
            let context: TraceContext = later.parse().expect("its first fields are those of version 00");
            assert_eq!(context.to_string(), PARENT);
        }
    }

    #[test]
    fn unknown_flags_are_not_forwarded() {
        let context: TraceContext = PARENT.replace("-01", "-ff").parse().expect("any flags");
        assert_eq!(context.to_string(), PARENT);
        let context: TraceContext = PARENT.replace("-01", "-fe").parse().expect("any flags");
        assert!(!context.is_sampled());
        let mut bytes = context.to_bytes();
        bytes[24] = 0xfe;
        assert_eq!(TraceContext::from_bytes(&bytes), Some(context));
    }

    #[test]
    fn an_invalid_traceparent_gives_the_reason() {
        let zero_trace = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = PARENT.replace("00f067aa0ba902b7", &"0".repeat(16));
        let upper = PARENT.to_uppercase();
        for (text, problem) in [
            ("", "version"),
            ("0-", "version"),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "forbidden"),
            ("00", "trace id"),
            (&zero_trace, "zero"),
            (&zero_span, "zero"),
            (&upper, "lower-case"),
            (&PARENT[..52], "flags"),
            (&PARENT[..54], "flags"),
            (&format!("{PARENT}-"), "four fields"),
            (&format!("{PARENT}0"), "flags"),
            (&format!(" {PARENT}"), "version"),
            (&PARENT.replace("00f0", "00g0"), "span id"),
            (&PARENT.replace("00f0", "ä00"), "span id"),
        ] {
            let error = text.parse::<TraceContext>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_context_without_ids_is_none() {
        let bytes_of_context = PARENT.parse::<TraceContext>().expect("well-formed").to_bytes();
        let zeroed = |range: std::ops::Range<usize>| {
            let mut bytes = bytes_of_context;
            bytes[range].fill(0);
            TraceContext::from_bytes(&bytes)
        };
        assert_eq!(zeroed(0..16), None);
        assert_eq!(zeroed(16..24), None);
        assert!(zeroed(24..25).is_some_and(|context| !context.is_sampled()));
    }

    proptest! {
        #[test]
        fn written_contexts_are_read_back(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let sampling = if is_sampled { Sampling::Sampled } else { Sampling::NotSampled };
            let context = TraceContext::new(
                TraceId::from_bytes(trace.to_be_bytes()).expect("not zero"),
                SpanId::from_bytes(span.to_be_bytes()).expect("not zero"),
                sampling,
            );
            prop_assert_eq!(context.to_string().parse(), Ok(context));
            prop_assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
        }

        #[test]
        fn no_text_panics_and_valid_text_is_written_as_it_was_read(text in "\\PC*|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?") {
            if let Ok(context) = text.parse::<TraceContext>() {
                let written = context.to_string();
                prop_assert_eq!(&written[2..53], &text[2..53]);
            }
        }
    }
}
