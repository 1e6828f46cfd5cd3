//! The greeting (RFC 37, "Greeting"): 64 bytes with the version and the security mechanism.

use super::ZmtpError;

pub(super) const GREETING_BYTES: usize = 64;

/// The first ten bytes of a greeting. The eight bytes between the first and the last are a length that is ignored.
pub(super) const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f];

const MAJOR: usize = 10;
const MINOR: usize = 11;
const MECHANISM: std::ops::Range<usize> = 12..32;
const NULL: &[u8] = b"NULL";

/// The oldest supported version. Its minor version makes no difference to a reader: 3.1 only added commands.
const OLDEST_VERSION: u8 = 3;

/// Returns the greeting of this end. It is sent at once, because some peers send only their signature until they have received
/// the other end's.
pub fn greeting() -> [u8; GREETING_BYTES] {
    let mut bytes = [0; GREETING_BYTES];
    bytes[..SIGNATURE.len()].copy_from_slice(&SIGNATURE);
    (bytes[MAJOR], bytes[MINOR]) = (OLDEST_VERSION, 1);
    bytes[MECHANISM][..NULL.len()].copy_from_slice(NULL);
    bytes
}

/// Returns true if `bytes` begin with a complete greeting; its length is [`GREETING_BYTES`].
///
/// # Errors
/// [`ZmtpError`], as early as it can be known.
pub(super) fn check(bytes: &[u8]) -> Result<bool, ZmtpError> {
    let has_signature_at = |at: usize| bytes.get(at).is_none_or(|byte| *byte == SIGNATURE[at]);
    if !has_signature_at(0) || !has_signature_at(SIGNATURE.len() - 1) {
        return Err(ZmtpError::NoGreeting);
    }
    if let Some(&version) = bytes.get(MAJOR)
        && version < OLDEST_VERSION
    {
        return Err(ZmtpError::UnsupportedVersion(version));
    }
    let Some(complete) = bytes.get(..GREETING_BYTES) else { return Ok(false) };
    let mechanism = &complete[MECHANISM];
    let length = mechanism.iter().position(|byte| *byte == 0).unwrap_or(mechanism.len());
    match &mechanism[..length] {
        NULL => Ok(true),
        other => Err(ZmtpError::Mechanism(String::from_utf8_lossy(other).into_owned())),
    }
}
