//! The message trait of the mesh: actix's `Message` and serde's traits, with nothing to implement beyond those.

pub mod packed;
pub(crate) mod payload;
pub(crate) mod turn;
pub(crate) mod written;

use meshzero_proto::codec::WireType;

/// An actix message that can be sent over the mesh: it and its result implement serde's `Serialize` and
/// `DeserializeOwned`.
///
/// There is nothing to implement: every such type is a network message, sent under the type's name without its module.
///
/// ```
/// use actix::Message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u32")]
/// struct Add(u32, u32);
///
/// fn is_net_message<M: meshzero_actors::NetMessage>() {}
/// is_net_message::<Add>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent over the mesh",
    label = "not a message of the mesh",
    note = "derive `Message, Serialize, Deserialize` for `{Self}` and `Serialize, Deserialize` for its result, \
            and let both own what they hold (no references, no `Rc`)"
)]
pub trait NetMessage: actix::Message<Result: WireType> + WireType {}

#[diagnostic::do_not_recommend]
impl<M> NetMessage for M where M: actix::Message<Result: WireType> + WireType {}

/// An actor that handles messages of type `M`: one that implements actix's `Handler<M>`.
///
/// There is nothing to implement. The trait exists so that the compiler reports a missing handler in one sentence
/// instead of a list of every handler that it knows.
///
/// ```compile_fail,E0277
/// use actix::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u32")]
/// struct Add(u32, u32);
///
/// struct Idle;
///
/// impl Actor for Idle {
///     type Context = Context<Self>;
/// }
///
/// fn handles<M: Message, A: meshzero_actors::Handles<M>>() {}
/// handles::<Add, Idle>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the actor `{Self}` does not handle `{M}`",
    label = "`impl Handler<{M}> for {Self}` is missing",
    note = "a service takes the messages that its actor has a handler for: implement `actix::Handler<{M}>` for `{Self}`"
)]
pub trait Handles<M: actix::Message>: actix::Handler<M> {}

#[diagnostic::do_not_recommend]
impl<A, M> Handles<M> for A
where
    A: actix::Handler<M>,
    M: actix::Message,
{
}
