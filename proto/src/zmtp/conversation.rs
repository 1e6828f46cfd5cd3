//! The receiving side of a connection, from the greeting on: bytes become messages, subscriptions and heartbeats.

use bytes::{Buf, Bytes, BytesMut};

use super::command::{self, SocketType, ZmtpCommand};
use super::frame;
use super::greeting::{self, GREETING_BYTES};

/// The longest command, in bytes. READY may contain properties of an application; a subscription's prefix is a topic.
const COMMAND_BYTES: usize = 8 << 10;

/// The maximum number of frames in one message. REQ and SUB send two, and proxies add one each.
const MAX_FRAMES: usize = 64;

/// The reason why a conversation cannot continue. Only its own connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// The first bytes are not a ZMTP greeting.
    #[error("the other end does not speak ZMTP")]
    NoGreeting,
    /// An older version.
    #[error("the other end speaks ZMTP {0}; the oldest supported version is 3.0, of libzmq 4.0")]
    UnsupportedVersion(u8),
    /// A security mechanism other than NULL.
    #[error("the other end requires the security mechanism {0:?}; only NULL is supported")]
    Mechanism(String),
    /// Flags of a frame that no version has.
    #[error("a frame with the unknown flags {0:#04x}")]
    Flags(u8),
    /// A frame or a message is longer than the limit.
    #[error("a message of {announced} bytes or more; at most {limit} are allowed")]
    TooLong {
        /// Bytes that were announced.
        announced: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// A message has more frames than the limit.
    #[error("a message of more than {MAX_FRAMES} frames")]
    TooManyFrames,
    /// A command that cannot be read.
    #[error("a command that cannot be read")]
    Command,
    /// An unknown socket type.
    #[error("the other end is a socket of the unsupported type {0:?}")]
    SocketType(String),
    /// A frame arrived before READY, or READY arrived twice.
    #[error("the handshake is out of order")]
    OutOfOrder,
    /// The other end closes the connection.
    #[error("the other end gave up: {0:?}")]
    Closed(String),
}

/// A received event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZmtpEvent {
    /// The other end has declared its socket type. The conversation begins.
    Ready {
        /// Its socket type.
        socket: SocketType,
        /// Set if it is an endpoint of meshzero, which speaks ZMTP too.
        is_meshzero: bool,
    },
    /// A message as its frames; there is at least one.
    Message(Vec<Bytes>),
    /// A subscription begins.
    Subscribe(Bytes),
    /// A subscription ends.
    Cancel(Bytes),
    /// A PING, to be answered with a PONG of this content.
    Ping(Bytes),
}

/// The parser of one connection.
#[derive(Debug)]
pub struct ZmtpMachine {
    stage: ConversationStage,
    /// The type of the other end's socket, once it is known.
    socket: Option<SocketType>,
    /// The frames of a message whose last one has not arrived yet, and their bytes.
    frames: Vec<Bytes>,
    length: usize,
    limit: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum ConversationStage {
    Greeting,
    Handshake,
    Open,
}

impl ZmtpMachine {
    /// Creates a parser for messages of `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { stage: ConversationStage::Greeting, socket: None, frames: Vec::new(), length: 0, limit }
    }

    /// Takes the next event off the front of `buffer`; `None` when more bytes are needed. In that state `buffer` holds no more
    /// than one frame's worth of received bytes.
    ///
    /// # Errors
    /// [`ZmtpError`]; the conversation is over.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<ZmtpEvent>, ZmtpError> {
        if self.stage == ConversationStage::Greeting {
            if !greeting::check(buffer)? {
                return Ok(None);
            }
            buffer.advance(GREETING_BYTES);
            self.stage = ConversationStage::Handshake;
        }
        loop {
            // The larger of the two limits: each is checked again when it is known whether this is a command.
            let limit = match self.stage {
                ConversationStage::Open => (self.limit - self.length).max(COMMAND_BYTES),
                _ => COMMAND_BYTES,
            };
            let Some(frame) = frame::take(buffer, limit)? else { return Ok(None) };
            let event = if frame.is_command {
                self.handle_command(frame.content)?
            } else {
                self.handle_message(frame.content, frame.has_more)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    fn handle_command(&mut self, content: Bytes) -> Result<Option<ZmtpEvent>, ZmtpError> {
        let length = content.len();
        if length > COMMAND_BYTES {
            return Err(ZmtpError::TooLong { announced: length as u64, limit: COMMAND_BYTES });
        }
        if !self.frames.is_empty() {
            return Err(ZmtpError::OutOfOrder);
        }
        let is_open = self.stage == ConversationStage::Open;
        Ok(match command::parse(content)? {
            ZmtpCommand::Ready(ready) if !is_open => {
                (self.stage, self.socket) = (ConversationStage::Open, Some(ready.socket));
                Some(ZmtpEvent::Ready { socket: ready.socket, is_meshzero: ready.is_meshzero })
            }
            ZmtpCommand::Error(reason) => return Err(ZmtpError::Closed(reason)),
            ZmtpCommand::Subscribe(prefix) if is_open => Some(ZmtpEvent::Subscribe(prefix)),
            ZmtpCommand::Cancel(prefix) if is_open => Some(ZmtpEvent::Cancel(prefix)),
            ZmtpCommand::Ping(context) if is_open => Some(ZmtpEvent::Ping(context)),
            ZmtpCommand::Other => None,
            _ => return Err(ZmtpError::OutOfOrder),
        })
    }

    fn handle_message(&mut self, mut content: Bytes, has_more: bool) -> Result<Option<ZmtpEvent>, ZmtpError> {
        if self.stage != ConversationStage::Open {
            return Err(ZmtpError::OutOfOrder);
        }
        // Subscribers of 3.0 send messages for subscriptions, later ones commands.
        if matches!(self.socket, Some(SocketType::Sub | SocketType::XSub)) && self.frames.is_empty() {
            let first = content.first().copied();
            if !has_more && let Some(0 | 1) = first {
                content.advance(1);
                return Ok(Some(match first {
                    Some(0) => ZmtpEvent::Cancel(content),
                    _ => ZmtpEvent::Subscribe(content),
                }));
            }
        }
        if self.frames.len() >= MAX_FRAMES {
            return Err(ZmtpError::TooManyFrames);
        }
        self.length += content.len();
        if self.length > self.limit {
            return Err(ZmtpError::TooLong { announced: self.length as u64, limit: self.limit });
        }
        self.frames.push(content);
        if has_more {
            return Ok(None);
        }
        self.length = 0;
        Ok(Some(ZmtpEvent::Message(std::mem::take(&mut self.frames))))
    }
}
