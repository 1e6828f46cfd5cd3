//! The handshake: the first bytes of both ends, so that neither uses a connection to the wrong peer.
//!
//! The client sends a [`Hello`], the endpoint an [`HelloAnswer`]; each is the four bytes [`MAGIC`], two bytes of length
//! (little-endian) and that many bytes of MessagePack with field names, so that later versions can add fields.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::control;
use crate::id::{InstanceId, LinkId, NodeId};
use crate::name::{MeshName, ServiceName};

/// The first bytes of every connection, in both directions. The last byte is the version. The first one is never the beginning of
/// a message for a ZeroMQ socket: libzmq interprets unknown bytes as its oldest protocol, and delivers what they mean there to
/// the application.
pub const MAGIC: [u8; 4] = *b"\x00MZ\x03";

/// The maximum size of a hello or an answer, in bytes with its six bytes of prefix.
pub const MAX_HELLO_BYTES: usize = 512;

const PREFIX_BYTES: usize = 6;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Requests and tells.
    Requests,
    /// News.
    News,
    /// Peer updates between two nodes.
    Peer {
        /// Set if each end forwards all the services that it knows, not just its own.
        hand_on: bool,
    },
    /// Nothing: the connection closes after the handshake.
    Probe,
}

/// The client's message of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The mesh that the client belongs to.
    pub mesh: MeshName,
    /// The client's node.
    pub node: NodeId,
    /// The instance that the client expects to find; `None` accepts any.
    pub instance: Option<InstanceId>,
    /// The purpose of the connection.
    pub purpose: Purpose,
    /// The longest reply or news item that the client accepts, in bytes.
    pub message_bytes: u32,
    /// The link that continues over this connection; `None` begins one.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// Set if the client accepts long replies in [pieces](crate::wire::fragments).
    #[serde(default)]
    pub pieces: bool,
    /// The link for which this connection is on standby, with [`Purpose::Probe`]: the endpoint returns the link's state in
    /// [`Welcome::standby`], and reads another hello, by which the link continues over this connection. An endpoint of an earlier
    /// version returns nothing and closes the connection.
    #[serde(default)]
    pub standby: Option<LinkId>,
}

/// A request to continue a link over another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The link.
    pub link: LinkId,
    /// Bytes of the endpoint's stream that the client has.
    pub received: u64,
    /// The number of the attempt, from 1. The client reads nothing more from the connections of earlier attempts, and the
    /// endpoint ignores those that arrive late. 0 if attempts are not numbered.
    #[serde(default)]
    pub attempt: u64,
}

/// The endpoint's answer when it accepts a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The endpoint's node.
    pub node: NodeId,
    /// The instance that answers here.
    pub instance: InstanceId,
    /// The service's name; `None` for an endpoint that was never announced under one.
    pub service: Option<ServiceName>,
    /// The longest message that the endpoint accepts, in bytes.
    pub message_bytes: u32,
    /// The link that this connection carries; `None` if it carries none.
    pub link: Option<LinkId>,
    /// Bytes of the client's stream that the endpoint has: none for a new link.
    #[serde(default)]
    pub received: u64,
    /// The state of the link for which this connection is on standby.
    #[serde(default)]
    pub standby: Option<LinkState>,
}

/// The state of a link at its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkState {
    /// Set if the link has a connection that the endpoint considers permanent.
    pub attached: bool,
    /// Set if the endpoint waits for bytes. Otherwise it is busy with received ones, and another connection would not help.
    pub reading: bool,
    /// Bytes of the link that the endpoint has received.
    pub received: u64,
    /// Bytes of the link that the endpoint has written.
    pub written: u64,
}

impl Default for LinkState {
    fn default() -> Self {
        Self { attached: true, reading: false, received: 0, written: 0 }
    }
}

impl LinkState {
    /// Returns true if bytes are stuck on the link's connection that another connection would deliver at once. The client has
    /// received `received` bytes, and had written `written` bytes some time ago.
    pub fn is_stuck(&self, received: u64, written: u64) -> bool {
        !self.attached || self.written > received || self.reading && self.received < written
    }
}

/// The reason why an endpoint rejects a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The two belong to different meshes.
    #[error("it belongs to the mesh \"{theirs}\"")]
    OtherMesh {
        /// The endpoint's mesh.
        theirs: MeshName,
    },
    /// An instance other than the expected one answers at this address.
    #[error("another service now answers at this address")]
    OtherInstance,
    /// The endpoint has reached its limit of connections.
    #[error("it has reached its connection limit")]
    Full,
    /// The endpoint is closing.
    #[error("it is closing")]
    Draining,
    /// The endpoint does not know the link that should continue: it has been given up, or never existed.
    #[error("it no longer knows the link")]
    UnknownLink,
}

impl Rejection {
    /// Returns true if the rejection comes from the expected instance, if the client expects one: another would return
    /// [`Rejection::OtherInstance`] or [`Rejection::OtherMesh`].
    pub fn is_from_expected_instance(&self) -> bool {
        match self {
            Self::OtherMesh { .. } | Self::OtherInstance => false,
            Self::Full | Self::Draining | Self::UnknownLink => true,
        }
    }
}

/// An endpoint's answer to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloAnswer {
    /// The conversation begins.
    Welcome(Welcome),
    /// The connection closes.
    Rejected(Rejection),
}

/// The reason why bytes are not a hello or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The first bytes are not [`MAGIC`].
    #[error("the other end does not speak meshzero{}", .guess.map(|name| format!("; it looks like {name}")).unwrap_or_default())]
    NotMeshzero {
        /// The protocol to which the first bytes belong, if it is known.
        guess: Option<&'static str>,
    },
    /// The protocol's version is another.
    #[error("the other end speaks version {theirs} of the protocol, this one version {}", MAGIC[3])]
    OtherVersion {
        /// The other end's version.
        theirs: u8,
    },
    /// The announced length is over [`MAX_HELLO_BYTES`].
    #[error("a hello of {0} bytes; at most {MAX_HELLO_BYTES} are allowed")]
    TooLong(usize),
    /// The body does not decode.
    #[error("a hello that does not decode: {0}")]
    Invalid(String),
}

/// Encodes a hello.
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    encode(hello)
}

/// Encodes an answer.
pub fn encode_answer(answer: &HelloAnswer) -> Vec<u8> {
    encode(answer)
}

/// Reads a hello off the front of `bytes`, and returns it with its length; `None` when more bytes are needed.
///
/// # Errors
/// [`HelloError`]: this is not a hello. The first differing byte is enough.
pub fn parse_hello(bytes: &[u8]) -> Result<Option<(Hello, usize)>, HelloError> {
    parse(bytes)
}

/// Reads an answer off the front of `bytes`, and returns it with its length; `None` when more bytes are needed.
///
/// # Errors
/// [`HelloError`]: this is not an answer. The first differing byte is enough.
pub fn parse_answer(bytes: &[u8]) -> Result<Option<(HelloAnswer, usize)>, HelloError> {
    parse(bytes)
}

/// Returns the number of bytes still to be read of a greeting that begins with `bytes`. It never exceeds the greeting, so that a
/// reader does not take bytes after it.
///
/// # Errors
/// [`HelloError`]: this is not a greeting.
pub fn missing_bytes(bytes: &[u8]) -> Result<usize, HelloError> {
    Ok(match complete_length(bytes)? {
        Some(end) => end.saturating_sub(bytes.len()),
        None => PREFIX_BYTES - bytes.len(),
    })
}

fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend(control::to_bytes(body));
    let length = u16::try_from(bytes.len() - PREFIX_BYTES).expect("names are bounded");
    bytes[4..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(T, usize)>, HelloError> {
    let Some(end) = complete_length(bytes)? else { return Ok(None) };
    let Some(body) = bytes.get(PREFIX_BYTES..end) else { return Ok(None) };
    let body = control::from_bytes(body).map_err(HelloError::Invalid)?;
    Ok(Some((body, end)))
}

/// Returns the length of the greeting that begins with `bytes`; `None` while its prefix is incomplete.
fn complete_length(bytes: &[u8]) -> Result<Option<usize>, HelloError> {
    let compared = bytes.len().min(3);
    if bytes[..compared] != MAGIC[..compared] {
        return Err(HelloError::NotMeshzero { guess: guess(bytes) });
    }
    if let Some(&theirs) = bytes.get(3)
        && theirs != MAGIC[3]
    {
        return Err(HelloError::OtherVersion { theirs });
    }
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let end = PREFIX_BYTES + usize::from(u16::from_le_bytes([prefix[4], prefix[5]]));
    if end > MAX_HELLO_BYTES {
        return Err(HelloError::TooLong(end));
    }
    Ok(Some(end))
}

fn guess(bytes: &[u8]) -> Option<&'static str> {
    const FIRST_BYTES: [(&[u8], &str); 10] = [
        (b"HTTP/", "a web server"),
        (b"GET ", "a web browser"),
        (b"POST ", "a web client"),
        (b"HEAD ", "a web client"),
        (b"PUT ", "a web client"),
        (b"SSH-", "SSH"),
        (b"\x16\x03", "TLS"),
        (b"\x15\x03", "TLS"),
        (b"\xff\x00\x00\x00", "ZeroMQ"),
        (b"220 ", "a mail or file server"),
    ];
    FIRST_BYTES.iter().find(|(first, _)| bytes.starts_with(first)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            mesh: MeshName::new("x".repeat(128)).expect("128 bytes fit"),
            node: NodeId::from_random([1; 16]),
            instance: Some(InstanceId::from_random([2; 16])),
            purpose: Purpose::Peer { hand_on: true },
            message_bytes: u32::MAX,
            resume: Some(Resume {
                link: LinkId::from_random([0xff; 16]),
                received: u64::MAX,
                attempt: u64::MAX,
            }),
            pieces: true,
            standby: Some(LinkId::from_random([0xff; 16])),
        }
    }

    fn welcome() -> HelloAnswer {
        HelloAnswer::Welcome(Welcome {
            node: NodeId::from_random([1; 16]),
            instance: InstanceId::from_random([2; 16]),
            service: Some(ServiceName::new("y".repeat(128)).expect("128 bytes fit")),
            message_bytes: u32::MAX,
            link: Some(LinkId::from_random([0xff; 16])),
            received: u64::MAX,
            standby: Some(LinkState { attached: true, reading: true, received: u64::MAX, written: u64::MAX }),
        })
    }

    #[test]
    fn the_longest_hello_and_answer_fit_and_decode() {
        let bytes = encode_hello(&hello());
        assert!(bytes.len() <= MAX_HELLO_BYTES, "{}", bytes.len());
        assert_eq!(parse_hello(&bytes), Ok(Some((hello(), bytes.len()))));
        let bytes = encode_answer(&welcome());
        assert!(bytes.len() <= MAX_HELLO_BYTES, "{}", bytes.len());
        assert_eq!(parse_answer(&bytes), Ok(Some((welcome(), bytes.len()))));
    }

    #[test]
    fn an_incomplete_hello_waits_for_the_rest() {
        let bytes = encode_hello(&hello());
        for end in 0..bytes.len() {
            assert_eq!(parse_hello(&bytes[..end]), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn a_reader_never_reads_past_the_greeting() {
        let mut bytes = encode_hello(&hello());
        let length = bytes.len();
        bytes.extend_from_slice(b"what follows");
        let mut read = 0;
        while read < length {
            let wanted = missing_bytes(&bytes[..read]).expect("a greeting");
            assert!(wanted > 0 && read + wanted <= length, "{read} + {wanted}");
            read += wanted;
        }
        assert_eq!(missing_bytes(&bytes[..length]), Ok(0));
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_bytes() {
        let http = parse_hello(b"GET / HTTP/1.1\r\n").expect_err("HTTP is refused");
        assert!(http.to_string().contains("web browser"), "{http}");
        assert!(parse_hello(b"Q").is_err());
        assert_eq!(parse_hello(b"\x00MZ\x07"), Err(HelloError::OtherVersion { theirs: 7 }));
    }

    #[test]
    fn an_excessive_length_is_an_error_at_once() {
        assert_eq!(parse_hello(b"\x00MZ\x03\xff\xff"), Err(HelloError::TooLong(65_541)));
    }

    #[test]
    fn a_link_is_stuck_if_bytes_are_missing_and_not_if_the_endpoint_is_busy() {
        let idle = LinkState { attached: true, reading: true, received: 100, written: 50 };
        assert!(!idle.is_stuck(50, 100), "all has arrived");
        assert!(idle.is_stuck(50, 101) && idle.is_stuck(49, 100));
        let busy = LinkState { reading: false, ..idle };
        assert!(
            !busy.is_stuck(50, 10_000) && busy.is_stuck(49, 100),
            "bytes that it has written are still missing"
        );
        assert!(LinkState { attached: false, ..idle }.is_stuck(50, 100));
    }

    #[test]
    fn a_hello_of_an_earlier_version_has_no_standby() {
        #[derive(Serialize)]
        struct Earlier {
            mesh: MeshName,
            node: NodeId,
            instance: Option<InstanceId>,
            purpose: Purpose,
            message_bytes: u32,
        }
        let Hello { mesh, node, instance, purpose, message_bytes, .. } = hello();
        let bytes = encode(&Earlier { mesh, node, instance, purpose, message_bytes });
        let expected = Hello { resume: None, pieces: false, standby: None, ..hello() };
        assert_eq!(parse_hello(&bytes), Ok(Some((expected, bytes.len()))));
    }

    #[test]
    fn fields_of_later_versions_are_ignored() {
        #[derive(Serialize)]
        struct Later {
            #[serde(flatten)]
            hello: Hello,
            join_code: &'static str,
        }
        let bytes = encode(&Later { hello: hello(), join_code: "" });
        assert_eq!(parse_hello(&bytes), Ok(Some((hello(), bytes.len()))));
    }
}
