//! A message that is MessagePack already, as programs in other languages send it.

use std::any::Any;

use meshzero_proto::buffer::WriteBuffer;
use meshzero_proto::codec::{self, EncodeError, Encoding, Packed};
use serde::{Deserialize, Serialize};

use crate::message::NetMessage;

/// A message that is MessagePack already, and so is its reply. The name of a message is that of its type, so this type has
/// the name of `meshzero::Value`: services that handle values without a type take both.
#[derive(Debug, Clone, Serialize, Deserialize, actix::Message)]
#[rtype(result = "Packed")]
#[serde(transparent)]
pub struct Value(pub Packed);

/// As [`codec::encode_preferring`], for messages: bytes that are MessagePack already are written as they are. For every
/// other type the check is removed at compile time.
#[inline(always)]
pub(crate) fn encode_message<M: NetMessage>(
    message: &M,
    preferred: Encoding,
    max: usize,
    out: &mut impl WriteBuffer,
) -> Result<Encoding, EncodeError> {
    match (message as &dyn Any).downcast_ref() {
        Some(Value(packed)) => codec::encode_preferring(packed, Encoding::MessagePack, max, out),
        None => codec::encode_preferring(message, preferred, max, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Services that handle values without a type would otherwise refuse the messages of programs in other languages.
    #[test]
    fn a_packed_message_has_the_name_of_an_untyped_value() {
        assert_eq!(codec::type_info::<Value>().name(), "Value");
    }
}
