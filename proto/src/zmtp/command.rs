//! Commands that two ends exchange besides messages (RFC 37, "Commands"): socket types, subscriptions, heartbeats.

use bytes::{Buf, Bytes};

use super::ZmtpError;
use super::frame::write_command;

const READY: &[u8] = b"READY";
const ERROR: &[u8] = b"ERROR";
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";
const CANCEL: &[u8] = b"CANCEL";
const PING: &[u8] = b"PING";
const PONG: &[u8] = b"PONG";

/// The property of READY with the socket type. Names of properties may be written in any case.
const SOCKET_TYPE: &[u8] = b"Socket-Type";

/// The property by which an endpoint of meshzero declares that it speaks meshzero's own protocol too.
const MESHZERO: &[u8] = b"X-Meshzero";

/// The longest context of a PING, in bytes (RFC 37).
const PING_CONTEXT_BYTES: usize = 16;

/// The type of a ZeroMQ socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketType {
    /// Sends requests, and waits for each reply.
    Req,
    /// Replies to requests, one at a time.
    Rep,
    /// Sends requests, without waiting.
    Dealer,
    /// Replies in any order.
    Router,
    /// Publishes.
    Pub,
    /// Publishes, and receives subscriptions.
    XPub,
    /// Subscribes.
    Sub,
    /// Subscribes, by messages.
    XSub,
}

const NAMES: [(&[u8], SocketType); 8] = [
    (b"REQ", SocketType::Req),
    (b"REP", SocketType::Rep),
    (b"DEALER", SocketType::Dealer),
    (b"ROUTER", SocketType::Router),
    (b"PUB", SocketType::Pub),
    (b"XPUB", SocketType::XPub),
    (b"SUB", SocketType::Sub),
    (b"XSUB", SocketType::XSub),
];

impl SocketType {
    fn name(self) -> &'static [u8] {
        NAMES.iter().find(|(_, candidate)| *candidate == self).map_or(b"", |(name, _)| *name)
    }
}

/// The content of the other end's READY command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadyCommand {
    pub(super) socket: SocketType,
    pub(super) is_meshzero: bool,
}

/// A received command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ZmtpCommand {
    Ready(ReadyCommand),
    /// The other end closes the connection, with its reason.
    Error(String),
    Subscribe(Bytes),
    Cancel(Bytes),
    /// A PING, to be answered with a PONG of the same context.
    Ping(Bytes),
    /// A command that is ignored here, possibly of a later version.
    Other,
}

/// Reads a command's content.
pub(super) fn parse(mut content: Bytes) -> Result<ZmtpCommand, ZmtpError> {
    let name = take_short(&mut content).ok_or(ZmtpError::Command)?;
    Ok(match &name[..] {
        READY => ZmtpCommand::Ready(read_properties(content)?),
        ERROR => {
            let reason = take_short(&mut content).ok_or(ZmtpError::Command)?;
            ZmtpCommand::Error(String::from_utf8_lossy(&reason).into_owned())
        }
        SUBSCRIBE => ZmtpCommand::Subscribe(content),
        CANCEL => ZmtpCommand::Cancel(content),
        PING => {
            // The first two bytes are the time that the sender waits, in tenths of a second.
            let context = content.len().checked_sub(2).filter(|length| *length <= PING_CONTEXT_BYTES);
            context.ok_or(ZmtpError::Command)?;
            content.advance(2);
            ZmtpCommand::Ping(content)
        }
        _ => ZmtpCommand::Other,
    })
}

/// Takes bytes that are preceded by their length in one byte.
fn take_short(content: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(*content.first()?);
    (content.len() > length).then(|| {
        content.advance(1);
        content.split_to(length)
    })
}

fn read_properties(mut content: Bytes) -> Result<ReadyCommand, ZmtpError> {
    let (mut socket, mut is_meshzero) = (None, false);
    while !content.is_empty() {
        let name = take_short(&mut content).ok_or(ZmtpError::Command)?;
        let length = u32::from_be_bytes(*content.first_chunk().ok_or(ZmtpError::Command)?);
        content.advance(4);
        let length = usize::try_from(length).ok().filter(|length| *length <= content.len());
        let value = content.split_to(length.ok_or(ZmtpError::Command)?);
        if name.eq_ignore_ascii_case(SOCKET_TYPE) {
            let known = NAMES.iter().find(|(name, _)| *name == &value[..]).map(|(_, socket)| *socket);
            let unknown = || ZmtpError::SocketType(String::from_utf8_lossy(&value).into_owned());
            socket = Some(known.ok_or_else(unknown)?);
        } else if name.eq_ignore_ascii_case(MESHZERO) {
            is_meshzero = true;
        }
    }
    Ok(ReadyCommand { socket: socket.ok_or(ZmtpError::Command)?, is_meshzero })
}

/// Appends the command with this end's socket type, which also declares that it speaks meshzero if `is_endpoint`.
pub fn write_ready(out: &mut Vec<u8>, socket: SocketType, is_endpoint: bool) {
    let mut content = command_with_name(READY);
    let mut property = |name: &[u8], value: &[u8]| {
        content.push(u8::try_from(name.len()).expect("the names above are short"));
        content.extend_from_slice(name);
        content.extend_from_slice(&u32::try_from(value.len()).expect("they are short").to_be_bytes());
        content.extend_from_slice(value);
    };
    property(SOCKET_TYPE, socket.name());
    if is_endpoint {
        property(MESHZERO, b"1");
    }
    write_command(out, &content);
}

/// Appends the command with the reason why this end closes the connection; at most the first 255 bytes of `reason` are sent.
pub fn write_error(out: &mut Vec<u8>, reason: &str) {
    let reason = &reason.as_bytes()[..reason.len().min(u8::MAX.into())];
    let mut content = command_with_name(ERROR);
    content.push(u8::try_from(reason.len()).expect("it is truncated"));
    content.extend_from_slice(reason);
    write_command(out, &content);
}

/// Appends the answer to a PING.
pub fn write_pong(out: &mut Vec<u8>, context: &[u8]) {
    let mut content = command_with_name(PONG);
    content.extend_from_slice(context);
    write_command(out, &content);
}

/// Appends the message that begins the subscription to a prefix, or ends it: in the form of 3.0, which every version accepts.
pub fn write_subscription(out: &mut Vec<u8>, prefix: &[u8], begins: bool) {
    let content = [&[u8::from(begins)], prefix].concat();
    super::write_message(out, [&content[..]]);
}

fn command_with_name(name: &[u8]) -> Vec<u8> {
    let mut content = vec![u8::try_from(name.len()).expect("the names above are short")];
    content.extend_from_slice(name);
    content
}
