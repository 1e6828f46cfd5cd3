//! The types that can be sent.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type whose values can be sent between nodes: any that serde can serialise and deserialise.
///
/// There is nothing to implement: every type that derives `Serialize` and `Deserialize` and owns its data is one.
///
/// Bytes are best stored in a [`Blob`](crate::codec::Blob): serde treats a `Vec<u8>` as a list of numbers, which costs many times
/// as much.
///
/// ```
/// # use meshzero_proto::codec::WireType;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Pose { x: f32, y: f32 }
///
/// fn assert_wire_type<T: WireType>() {}
/// assert_wire_type::<Pose>();
/// assert_wire_type::<Vec<Option<String>>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between nodes",
    label = "this type cannot be encoded and decoded",
    note = "derive both: `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "a type that travels owns its data (`String`, not `&str`) and is `Send`"
)]
pub trait WireType: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> WireType for T {}
