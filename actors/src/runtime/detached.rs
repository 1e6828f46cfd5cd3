//! Blocking work that may take forever, on a thread that nobody waits for.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Runs `work` on a thread of its own, called `name`, and waits for its result. A thread of the runtime would be waited for at the
/// runtime's end.
///
/// # Errors
/// The system has no room for a thread, or `work` panicked.
///
/// # Cancel safety
/// Dropping the future loses the result; the thread goes on.
pub(crate) async fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (result_tx, result) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody may be left to be told.
        let _ = result_tx.send(work());
    })?;
    result.await.map_err(|_| io::Error::other("the thread panicked"))
}
