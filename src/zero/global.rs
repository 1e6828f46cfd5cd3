//! The one node that all verbs of a program share: joined by the first of them, left at the program's end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::ZeroError;
use super::node::Node;
use super::thread_state;
use crate::block_on::block_on;
use crate::join::Join;
use crate::mesh::Mesh;

/// The only global: the verbs have no object to hang it on.
static NODE: Mutex<Option<Arc<Node>>> = Mutex::new(None);

/// How long replies and news that were sent may take to leave when the program does.
const DRAIN: Duration = Duration::from_secs(1);

/// Says how this program takes part in the mesh, before any other verb does it without being told: under another mesh
/// name, on some interfaces only, or with static peers. Without it the environment decides, see [`Join`].
///
/// # Errors
/// [`ZeroError::AlreadyJoined`] after any other verb; [`ZeroError::Join`] if a setting cannot be used.
///
/// ```no_run
/// use meshzero::{Mesh, zero};
///
/// zero::join(Mesh::join().mesh("room-7").interfaces("lo"))?;
/// let address = zero::advertise("hello")?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn join(settings: Join) -> Result<(), ZeroError> {
    thread_state::at_exit(say_goodbye);
    let mut slot = slot();
    match &*slot {
        Some(node) => Err(ZeroError::AlreadyJoined { mesh: node.mesh.name().to_string() }),
        None => start(&mut slot, settings).map(drop),
    }
}

/// Withdraws everything that this program advertises, says goodbye and leaves the mesh, in less than two seconds. Threads
/// that wait are told [`ZeroError::Closed`]. A verb that is used afterwards joins again.
///
/// On Linux and macOS a program that returns from `main`, after its main thread has used a verb, does this by itself,
/// within a second; on Windows it calls this. Where nobody says goodbye, such as after a crash, the others find out by TCP:
/// at once if the process died, within ten seconds if its computer did.
pub fn close() {
    let node = slot().take();
    if let Some(node) = node {
        node.refuse_everybody();
        // What waited has been refused, and whoever took a message does not come to reply any more.
        block_on(node.mesh.close_within(DRAIN));
    }
}

/// As [`close`], for a program that is about to end: does not wait longer than that may take.
fn say_goodbye() {
    let node = slot().take();
    if let Some(node) = node {
        node.refuse_everybody();
        node.mesh.node.leave_now();
    }
}

/// The node, started now if no verb has been used before.
pub(super) fn node() -> Result<Arc<Node>, ZeroError> {
    thread_state::at_exit(say_goodbye);
    let mut slot = slot();
    match &*slot {
        Some(node) => Ok(Arc::clone(node)),
        None => start(&mut slot, Mesh::join()),
    }
}

/// The node, if a verb has been used before. It waits for nobody who is about to join or to leave.
pub(super) fn node_if_joined() -> Option<Arc<Node>> {
    NODE.try_lock().ok()?.clone()
}

fn start(slot: &mut Option<Arc<Node>>, settings: Join) -> Result<Arc<Node>, ZeroError> {
    let node = Arc::new(Node::start(settings)?);
    Ok(Arc::clone(slot.insert(node)))
}

/// The place of the node, for one thread at a time.
pub(super) type Slot = MutexGuard<'static, Option<Arc<Node>>>;

pub(super) fn slot() -> Slot {
    NODE.lock().unwrap_or_else(PoisonError::into_inner)
}
