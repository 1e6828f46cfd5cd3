//! The messages: payloads that begin with their number, because ractor carries bytes.

use ractor::RpcReplyPort;
use ractor_cluster::RactorClusterMessage;

/// The messages for an actor of the other node.
#[derive(RactorClusterMessage)]
pub(crate) enum Item {
    /// Returned unchanged.
    #[rpc]
    Echo(Vec<u8>, RpcReplyPort<Vec<u8>>),
    /// Needs no reply.
    Tell(Vec<u8>),
    /// Answered when all messages before it have been handled.
    #[rpc]
    Sync(RpcReplyPort<u8>),
}
