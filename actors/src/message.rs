//! What makes a type a message of the mesh: actix's `Message` and serde, nothing of ours.

use meshzero_proto::codec::Wire;

/// An actix message that can travel: it and its result implement serde's `Serialize` and `DeserializeOwned`.
///
/// There is nothing to implement: every such type is one, and messages are sent under the type's name without its module.
///
/// ```
/// use actix::Message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u32")]
/// struct Add(u32, u32);
///
/// fn travels<M: meshzero_actors::NetMessage>() {}
/// travels::<Add>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent over the mesh",
    label = "not a message of the mesh",
    note = "derive `Message, Serialize, Deserialize` for `{Self}` and `Serialize, Deserialize` for its result, \
            and let both own what they hold (no references, no `Rc`)"
)]
pub trait NetMessage: actix::Message<Result: Wire> + Wire {}

impl<M> NetMessage for M where M: actix::Message<Result: Wire> + Wire {}
