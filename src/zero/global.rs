//! The one node that all verbs of a program share: the first verb joins, and the program's end leaves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::ZeroError;
use super::node::Node;
use super::thread_state;
use crate::block_on::block_on;
use crate::join::Join;
use crate::mesh::Mesh;

/// The only global state: the verbs have no handle to keep it in.
static NODE: Mutex<Option<Arc<Node>>> = Mutex::new(None);

/// The most time that replies and news may take to leave when the program ends.
const DRAIN: Duration = Duration::from_secs(1);

/// Joins the mesh with the given settings, before any other verb joins without them: under another mesh name, on some interfaces only,
/// or with static peers. Without this verb the environment decides, see [`Join`].
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
    thread_state::at_exit(leave_at_exit);
    let mut slot = slot();
    match &*slot {
        Some(node) => Err(ZeroError::AlreadyJoined { mesh: node.mesh.name().to_string() }),
        None => start(&mut slot, settings).map(drop),
    }
}

/// Withdraws everything that this program advertises, and leaves the mesh, in less than two seconds. Threads that wait get
/// [`ZeroError::Closed`]. A verb that is used afterwards joins again.
///
/// On Linux and macOS a program that returns from `main`, after its main thread has used a verb, does this automatically, within a
/// second; on Windows it has to call this. If a program does not leave, for instance after a crash, the others detect that by TCP: at
/// once if the process died, within ten seconds if its computer did.
pub fn close() {
    let node = slot().take();
    if let Some(node) = node {
        node.refuse_everybody();
        // The queued messages have been refused, and those that were taken will not be replied to any more.
        block_on(node.mesh.close_within(DRAIN));
    }
}

/// Closes like [`close`], for a program that is about to end: does not wait longer than that may take.
fn leave_at_exit() {
    let node = slot().take();
    if let Some(node) = node {
        node.refuse_everybody();
        node.mesh.node.leave_now();
    }
}

/// Returns the node, started now if no verb has been used before.
pub(super) fn node() -> Result<Arc<Node>, ZeroError> {
    thread_state::at_exit(leave_at_exit);
    let mut slot = slot();
    match &*slot {
        Some(node) => Ok(Arc::clone(node)),
        None => start(&mut slot, Mesh::join()),
    }
}

/// Returns the node, if a verb has been used before. Does not wait for a thread that is joining or leaving.
pub(super) fn node_if_joined() -> Option<Arc<Node>> {
    NODE.try_lock().ok()?.clone()
}

fn start(slot: &mut Option<Arc<Node>>, settings: Join) -> Result<Arc<Node>, ZeroError> {
    let node = Arc::new(Node::start(settings)?);
    Ok(Arc::clone(slot.insert(node)))
}

/// The lock on the node.
pub(super) type Slot = MutexGuard<'static, Option<Arc<Node>>>;

pub(super) fn slot() -> Slot {
    NODE.lock().unwrap_or_else(PoisonError::into_inner)
}
