//! What travels: payloads that begin with their number, for ractor carries bytes.

use ractor::RpcReplyPort;
use ractor_cluster::RactorClusterMessage;

/// What an actor of the other node can be told and asked.
#[derive(RactorClusterMessage)]
pub(crate) enum Item {
    /// Comes back as it is.
    #[rpc]
    Echo(Vec<u8>, RpcReplyPort<Vec<u8>>),
    /// Needs no answer.
    Tell(Vec<u8>),
    /// Is answered when all before it has been handled.
    #[rpc]
    Sync(RpcReplyPort<u8>),
}
