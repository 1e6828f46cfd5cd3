//! Detached threads for system calls that may never return.

use std::thread;

use tokio::sync::oneshot;

/// Runs `call` on a detached thread. The runtime would join a thread of its own at the end of the program.
///
/// Returns `None` if there is no room for a thread, or it has panicked.
///
/// # Cancel safety
/// This function is not cancel safe: dropping the future loses the result, and the thread goes on.
pub(crate) async fn run_detached<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tx, rx) = oneshot::channel();
    let started = thread::Builder::new().spawn(move || {
        // The receiver may be gone.
        let _ = tx.send(call());
    });
    started.ok()?;
    rx.await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_call_that_does_not_return_holds_up_no_end() {
        let (release, released) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let called = runtime.block_on(async {
            let forever = run_detached(move || released.recv());
            tokio::time::timeout(Duration::from_millis(10), forever).await
        });
        assert!(called.is_err());
        // This would wait for a thread of the runtime.
        drop(runtime);
        drop(release);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(run_detached(|| 7)), Some(7));
    }
}
