//! Random identities: of a node (one process that joined), of an instance (one service that a node offers) and of a link.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u128);

        impl $name {
            /// Creates an identity from 16 random bytes, which the caller provides.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(u128::from_le_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !hex {
                    return Err(InvalidId);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

identity! {
    /// The identity of one process that joined a mesh. A restarted process is another node.
    ///
    /// Written as 32 lower-case hexadecimal digits, which is also a valid DNS label.
    ///
    /// ```
    /// # use meshzero_proto::id::NodeId;
    /// let node = NodeId::from_random([7; 16]);
    /// assert_eq!(node.to_string(), "07070707070707070707070707070707");
    /// assert_eq!(node.to_string().parse(), Ok(node));
    /// ```
    NodeId
}
identity! {
    /// The identity of one service as offered by one node. Advertising the same name again creates another instance.
    ///
    /// Written as 32 lower-case hexadecimal digits, which is also a valid DNS label.
    ///
    /// ```
    /// # use meshzero_proto::id::InstanceId;
    /// let instance: InstanceId = "00112233445566778899aabbccddeeff".parse()?;
    /// assert_eq!(instance.to_string(), "00112233445566778899aabbccddeeff");
    /// # Ok::<(), meshzero_proto::id::InvalidId>(())
    /// ```
    InstanceId
}

identity! {
    /// The identity of one link between a client and an endpoint, which the endpoint chooses when the link begins. A peer that
    /// knows it, and the client's node, can continue the link over another connection, so it is sent to no other node and never
    /// logged.
    LinkId
}

/// The text of an identity is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity is 32 lower-case hexadecimal digits")]
pub struct InvalidId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back_from_its_text() {
        let id = NodeId::from_random(*b"0123456789abcdef");
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0", "+0000000000000000000000000000000", "0000000000000000000000000000000G", "é"] {
            assert_eq!(text.parse::<InstanceId>(), Err(InvalidId), "{text:?}");
        }
    }
}
