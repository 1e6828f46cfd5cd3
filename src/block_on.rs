//! Blocking on a future, on a thread without an executor.

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use meshzero_actors::runtime::blocking::BusyScope;

/// Blocks this thread until `future` completes, for programs with a plain `fn main`.
///
/// Every future of this crate works on every executor, and without one: the mesh then lives on a thread of its own. Do not call this
/// from inside an actor or an async function: it would block everything else that runs there.
///
/// # Panics
/// If `future` waits for a mesh that lives on this very thread, because that would never end.
///
/// ```
/// assert_eq!(meshzero::block_on(async { 1 + 1 }), 2);
/// ```
///
/// A program that lists the services:
///
/// ```no_run
/// use meshzero::{Mesh, block_on};
///
/// block_on(async {
///     let mesh = Mesh::join().await?;
///     for instance in mesh.discover_all().await {
///         println!("{}", instance.service);
///     }
///     Ok::<(), meshzero::JoinError>(())
/// })?;
/// # Ok::<(), meshzero::JoinError>(())
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut task = Context::from_waker(&waker);
    let mut future = pin!(future.into_future());
    let _scope = BusyScope::block();
    loop {
        match future.as_mut().poll(&mut task) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
