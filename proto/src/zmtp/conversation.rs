//! What arrives from one end, from its greeting on: bytes become messages, subscriptions and signs of life.

use bytes::{Buf, Bytes, BytesMut};

use super::command::{self, SocketType, ZmtpCommand};
use super::frame;
use super::greeting::{self, GREETING_BYTES};

/// The longest command, in bytes. READY may bring properties of an application; a subscription's prefix is a topic.
const COMMAND_BYTES: usize = 8 << 10;

/// The most frames of one message. REQ and SUB send two, and proxies add one each.
const MOST_FRAMES: usize = 64;

/// Why a conversation cannot go on. It costs its own connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// It does not begin as a conversation of ZMTP does.
    #[error("the other end does not speak ZMTP")]
    NoGreeting,
    /// An older version.
    #[error("the other end speaks ZMTP {0}; the oldest that is understood is 3.0, of libzmq 4.0")]
    Old(u8),
    /// Another security mechanism than NULL.
    #[error("the other end wants the security mechanism {0:?}; only NULL is offered")]
    Mechanism(String),
    /// Flags of a frame that no version has.
    #[error("a frame with the flags {0:#04x}, which mean nothing")]
    Flags(u8),
    /// A frame or a message is longer than may be.
    #[error("a message of {announced} bytes or more; at most {limit} are allowed")]
    TooLong {
        /// Bytes that were announced.
        announced: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// A message has more frames than may be.
    #[error("a message of more than {MOST_FRAMES} frames")]
    TooManyFrames,
    /// A command that cannot be read.
    #[error("a command that cannot be read")]
    Command,
    /// A kind of socket that is not known.
    #[error("the other end is a socket of the type {0:?}, which nothing here talks to")]
    SocketType(String),
    /// Something came before READY, or READY came twice.
    #[error("the handshake is out of order")]
    OutOfOrder,
    /// The other end gives up.
    #[error("the other end gave up: {0:?}")]
    GivenUp(String),
}

/// What has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZmtpEvent {
    /// The other end is such a socket. The conversation begins.
    Ready {
        /// What it is.
        socket: SocketType,
        /// Whether it is an endpoint that speaks meshzero, and ZMTP besides.
        is_meshzero: bool,
    },
    /// A message, by its frames, of which there is at least one.
    Message(Vec<Bytes>),
    /// A subscription begins.
    Subscribe(Bytes),
    /// A subscription ends.
    Cancel(Bytes),
    /// To be answered with a PONG of this content.
    Ping(Bytes),
}

/// One end's side of a conversation, as it is taken apart.
#[derive(Debug)]
pub struct ZmtpMachine {
    stage: ConversationStage,
    /// What the other end is, once it has said so.
    socket: Option<SocketType>,
    /// The frames of a message whose last one has not come yet, and their bytes.
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
    /// From the beginning, with messages of `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { stage: ConversationStage::Greeting, socket: None, frames: Vec::new(), length: 0, limit }
    }

    /// Takes what comes next off the front of `buffer`; `None` when more bytes are needed. While that is so, `buffer` holds no
    /// more than one frame's worth of bytes, as far as they have arrived.
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
            // A command may come between the frames of no message, so one of the two limits is known beforehand.
            let limit = match self.stage {
                ConversationStage::Open => (self.limit - self.length).max(COMMAND_BYTES),
                _ => COMMAND_BYTES,
            };
            let Some(frame) = frame::take(buffer, limit)? else { return Ok(None) };
            let event = if frame.is_command {
                self.command(frame.content)?
            } else {
                self.message(frame.content, frame.has_more)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    fn command(&mut self, content: Bytes) -> Result<Option<ZmtpEvent>, ZmtpError> {
        let length = content.len();
        if length > COMMAND_BYTES {
            return Err(ZmtpError::TooLong { announced: length as u64, limit: COMMAND_BYTES });
        }
        if !self.frames.is_empty() {
            return Err(ZmtpError::OutOfOrder);
        }
        let is_open = self.stage == ConversationStage::Open;
        Ok(match command::read(content)? {
            ZmtpCommand::Ready(ready) if !is_open => {
                (self.stage, self.socket) = (ConversationStage::Open, Some(ready.socket));
                Some(ZmtpEvent::Ready { socket: ready.socket, is_meshzero: ready.is_meshzero })
            }
            ZmtpCommand::Error(reason) => return Err(ZmtpError::GivenUp(reason)),
            ZmtpCommand::Subscribe(prefix) if is_open => Some(ZmtpEvent::Subscribe(prefix)),
            ZmtpCommand::Cancel(prefix) if is_open => Some(ZmtpEvent::Cancel(prefix)),
            ZmtpCommand::Ping(context) if is_open => Some(ZmtpEvent::Ping(context)),
            ZmtpCommand::Other => None,
            _ => return Err(ZmtpError::OutOfOrder),
        })
    }

    fn message(&mut self, mut content: Bytes, has_more: bool) -> Result<Option<ZmtpEvent>, ZmtpError> {
        if self.stage != ConversationStage::Open {
            return Err(ZmtpError::OutOfOrder);
        }
        // Subscribers of 3.0 send messages where later ones send commands.
        if matches!(self.socket, Some(SocketType::Sub | SocketType::XSub)) && self.frames.is_empty() {
            let begins = content.first().copied();
            if !has_more && let Some(0 | 1) = begins {
                content.advance(1);
                return Ok(Some(match begins {
                    Some(0) => ZmtpEvent::Cancel(content),
                    _ => ZmtpEvent::Subscribe(content),
                }));
            }
        }
        if self.frames.len() >= MOST_FRAMES {
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
