//! The catalogue of message types that an endpoint handles, sent to every client right after the handshake.

use serde::{Deserialize, Serialize};

use crate::codec::{Encoding, Fingerprint, control, negotiated_encoding};
use crate::name::TypeName;

/// The maximum number of message types of one service: a slot has two bytes.
pub const MAX_MESSAGES: usize = u16::MAX as usize;

/// One message type that an endpoint handles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEntry {
    /// The name of the type.
    pub name: TypeName,
    /// The message's fingerprint; `None` if it may be encoded as MessagePack only.
    pub message: Option<Fingerprint>,
    /// The reply's fingerprint; `None` if it may be encoded as MessagePack only.
    pub reply: Option<Fingerprint>,
}

/// The message types that an endpoint handles; an entry's index is its slot in frames.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Catalogue {
    entries: Vec<MessageEntry>,
}

/// The negotiated encodings of a message type for one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedType {
    /// The type's number in that endpoint's catalogue.
    pub slot: u16,
    /// The encoding that the message should have.
    pub message: Encoding,
    /// The encoding that the reply may have.
    pub reply: Encoding,
}

impl Catalogue {
    /// Creates a catalogue of these entries; those beyond [`MAX_MESSAGES`] have no slot and are left out.
    pub fn new(mut entries: Vec<MessageEntry>) -> Self {
        entries.truncate(MAX_MESSAGES);
        Self { entries }
    }

    /// Negotiates the encodings of a type with this name and these fingerprints: bincode if both ends have the same fingerprint.
    /// Returns `None` if the endpoint does not handle it.
    pub fn negotiate(
        &self,
        name: &str,
        message: Option<Fingerprint>,
        reply: Option<Fingerprint>,
    ) -> Option<NegotiatedType> {
        let slot = self.entries.iter().position(|entry| &*entry.name == name)?;
        let entry = &self.entries[slot];
        Some(NegotiatedType {
            slot: u16::try_from(slot).ok()?,
            message: negotiated_encoding(message, entry.message),
            reply: negotiated_encoding(reply, entry.reply),
        })
    }

    /// Returns the entry with this slot.
    pub fn entry(&self, slot: usize) -> Option<&MessageEntry> {
        self.entries.get(slot)
    }

    /// Returns the names of all message types.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.to_string()).collect()
    }

    /// Encodes it as MessagePack.
    pub fn to_bytes(&self) -> Vec<u8> {
        control::to_bytes(self)
    }

    /// Decodes the MessagePack bytes.
    ///
    /// # Errors
    /// The problem, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        control::from_bytes::<Self>(bytes).map(|catalogue| Self::new(catalogue.entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::type_info;

    fn entry(name: &str) -> MessageEntry {
        let fingerprint = type_info::<u32>().fingerprint();
        MessageEntry { name: TypeName::new(name).expect("a name"), message: fingerprint, reply: None }
    }

    #[test]
    fn bincode_is_for_equal_fingerprints_only() {
        let catalogue = Catalogue::new(vec![entry("A"), entry("B")]);
        let (same, other) = (type_info::<u32>().fingerprint(), type_info::<u64>().fingerprint());
        let negotiated = catalogue.negotiate("B", same, same).expect("handled");
        assert_eq!(
            (negotiated.slot, negotiated.message, negotiated.reply),
            (1, Encoding::Bincode, Encoding::MessagePack)
        );
        for fingerprint in [other, None] {
            let negotiated = catalogue.negotiate("A", fingerprint, None).expect("handled");
            assert_eq!((negotiated.slot, negotiated.message), (0, Encoding::MessagePack));
        }
        assert_eq!(catalogue.negotiate("C", same, same), None);
    }

    #[test]
    fn a_catalogue_is_decoded_as_encoded_and_other_bytes_are_an_error() {
        let catalogue = Catalogue::new(vec![entry("A"), entry("B")]);
        assert_eq!(Catalogue::from_bytes(&catalogue.to_bytes()), Ok(catalogue));
        assert!(Catalogue::from_bytes(b"\xdd\xff\xff\xff\xff").is_err());
    }
}
