//! Frames of messages and commands (RFC 37, "Framing"): flags, a length of one or eight bytes, the content.

use bytes::{Buf, Bytes, BytesMut};

use super::ZmtpError;

/// Another frame of the message follows.
const MORE: u8 = 1;
/// The length has eight bytes.
const LONG: u8 = 2;
/// The frame is a command, not a part of a message.
const COMMAND: u8 = 4;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ZmtpFrame {
    pub(super) has_more: bool,
    pub(super) is_command: bool,
    pub(super) content: Bytes,
}

/// Takes the frame at the front of `buffer`, if it is complete; it has at most `limit` bytes.
///
/// # Errors
/// [`ZmtpError`]: it needs no more than the frame's header.
pub(super) fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<ZmtpFrame>, ZmtpError> {
    let Some((&flags, rest)) = buffer.split_first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 || flags & (COMMAND | MORE) == COMMAND | MORE {
        return Err(ZmtpError::Flags(flags));
    }
    let (announced, header) = if flags & LONG == 0 {
        let Some(&length) = rest.first() else { return Ok(None) };
        (u64::from(length), 2)
    } else {
        let Some(length) = rest.first_chunk() else { return Ok(None) };
        (u64::from_be_bytes(*length), 9)
    };
    let length = usize::try_from(announced).ok().filter(|length| *length <= limit);
    let length = length.ok_or(ZmtpError::TooLong { announced, limit })?;
    if buffer.len() - header < length {
        return Ok(None);
    }
    buffer.advance(header);
    let content = buffer.split_to(length).freeze();
    Ok(Some(ZmtpFrame { has_more: flags & MORE != 0, is_command: flags & COMMAND != 0, content }))
}

/// Appends a message of these frames to `out`.
pub fn write_message<'a>(out: &mut Vec<u8>, frames: impl IntoIterator<Item = &'a [u8]>) {
    let mut frames = frames.into_iter().peekable();
    while let Some(content) = frames.next() {
        write(out, if frames.peek().is_some() { MORE } else { 0 }, content);
    }
}

/// Appends a command to `out`.
pub(super) fn write_command(out: &mut Vec<u8>, content: &[u8]) {
    write(out, COMMAND, content);
}

fn write(out: &mut Vec<u8>, flags: u8, content: &[u8]) {
    match u8::try_from(content.len()) {
        Ok(length) => out.extend_from_slice(&[flags, length]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(content.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
}
