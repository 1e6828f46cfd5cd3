//! The wire format of one advert: `["name", "192.168.1.7:50000", 20]`, JSON of 256 bytes at most.

use std::net::SocketAddrV4;
use std::time::Duration;

/// The longest advert, in bytes. NetworkZero reads no more, and its beacon exits on a truncated one.
pub const MAX_ADVERT_BYTES: usize = 256;

/// The maximum lifetime of an advert, regardless of its own: the next one arrives within seconds.
const MAX_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A service at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAdvert {
    /// Its name.
    pub name: String,
    /// The address at which it listens.
    pub address: SocketAddrV4,
    /// The time for which the advert is valid.
    pub lifetime: Duration,
}

/// The reason why a datagram is not a valid advert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvertError {
    /// The datagram is not the JSON of a name, an address and seconds.
    #[error("it is not a list of a name, an address and seconds: {0}")]
    Form(String),
    /// The address is not valid.
    #[error("{0:?} is not an address of the form 192.168.1.7:50000")]
    Address(String),
}

impl ServiceAdvert {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`AdvertError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AdvertError> {
        let read: (String, String, Option<f64>) =
            serde_json::from_slice(bytes).map_err(|error| AdvertError::Form(error.to_string()))?;
        let (name, address, seconds) = read;
        let address = address.parse().map_err(|_| AdvertError::Address(address))?;
        Ok(Self { name, address, lifetime: lifetime(seconds) })
    }

    /// Encodes the advert; `None` if the name is so long that it would be truncated.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let seconds = self.lifetime.as_secs_f64();
        let whole_seconds = (seconds.fract() == 0.0).then_some(self.lifetime.as_secs());
        let address = self.address.to_string();
        let text = match whole_seconds {
            Some(seconds) => serde_json::json!([self.name, address, seconds]).to_string(),
            None => serde_json::json!([self.name, address, seconds]).to_string(),
        };
        (text.len() <= MAX_ADVERT_BYTES).then(|| text.into_bytes())
    }
}

/// Returns the lifetime of `seconds`; `None` means forever to NetworkZero.
pub(super) fn lifetime(seconds: Option<f64>) -> Duration {
    match seconds {
        Some(seconds) if seconds <= 0.0 => Duration::ZERO,
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME),
        None => MAX_LIFETIME,
    }
}
