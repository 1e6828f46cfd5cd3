//! Waiting on a thread of a Python program: with the interpreter released, and so that Ctrl-C ends it.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use meshzero::zero::{FOREVER, Wait};
use pyo3::prelude::*;

/// How long the main thread waits before it looks whether a signal has come. Python handles signals there and nowhere
/// else, and only when it is asked; other threads do not look.
const LOOK: Duration = Duration::from_millis(40);

/// Whether the interpreter is about to end.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// How long a thread lets others run in its place before it sleeps. A reply from the same computer comes in less, and a
/// thread that sleeps takes longer to wake than that: with this a call takes 40 µs instead of 100, and less time of the
/// processors, which need not halt and start again.
const HOPE: Duration = Duration::from_micros(50);

/// The longest time that a verb of asyncio takes which has its result at once.
const MOMENT: Duration = Duration::from_millis(20);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// Made once, because a wait may take less time than making it.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    /// Whether this is the interpreter's main thread, if that has been asked.
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// How long a verb waits; None is for ever.
pub(crate) fn until(seconds: Option<f64>) -> Wait {
    seconds.map_or(FOREVER, Wait::from)
}

/// Waits for `future`. A signal whose handler raises ends the wait, and drops the future, or what it has ended in: Python handles
/// a signal that came meanwhile when the call returns, and would lose what that returned.
pub(crate) fn wait<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut future = pin!(future);
    let look = if is_main(py)? { Some(LOOK) } else { None };
    let waker = WAKER.with(Waker::clone);
    loop {
        let polled = py.detach(|| poll_until(future.as_mut(), &waker, look));
        py.check_signals()?;
        if let Some(output) = polled {
            return Ok(output);
        }
    }
}

/// Waits for `future` no longer than an event loop can be held up.
pub(crate) fn wait_a_moment<F>(py: Python<'_>, future: &mut F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + Unpin,
{
    let waker = WAKER.with(Waker::clone);
    py.detach(|| poll_until(Pin::new(future), &waker, Some(MOMENT)))
}

/// Polls until the future has ended, or it is time to look for signals.
fn poll_until<F: Future>(
    mut future: Pin<&mut F>,
    waker: &Waker,
    look: Option<Duration>,
) -> Option<F::Output> {
    let mut task = Context::from_waker(waker);
    let mut until = None;
    let mut hoped = None;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            if look.is_none() && IS_ENDING.load(Ordering::Relaxed) {
                stay();
            }
            return Some(output);
        }
        if hoped.get_or_insert_with(Instant::now).elapsed() < HOPE {
            thread::yield_now();
            continue;
        }
        let Some(look) = look else {
            thread::park();
            continue;
        };
        let until = *until.get_or_insert_with(|| Instant::now() + look);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// Keeps a thread that still waits when the interpreter ends where it is, as the interpreter does with those that want it
/// again. Otherwise it would go on for a moment, and complain of what has been closed under it.
fn stay() -> ! {
    loop {
        thread::park();
    }
}

/// From now on no thread but the main one comes back from a wait.
pub(crate) fn end() {
    IS_ENDING.store(true, Ordering::Relaxed);
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    if let Some(known) = IS_MAIN.get() {
        return Ok(known);
    }
    // Not imported for this: Python itself loses a Ctrl-C that comes while it imports something. Where nobody has imported it
    // there are hardly other threads, and one that is taken for the main one only looks in vain.
    let threading = py.import("sys")?.getattr("modules")?.call_method1("get", ("threading",))?;
    let is_main = match threading.getattr("main_thread") {
        Ok(main) => main.call0()?.getattr("ident")?.eq(threading.call_method0("get_ident")?)?,
        Err(_) => true,
    };
    IS_MAIN.set(Some(is_main));
    Ok(is_main)
}

/// In a forked child whichever thread forked is the main one.
pub(crate) fn forget_thread() {
    IS_ENDING.store(false, Ordering::Relaxed);
    IS_MAIN.set(None);
}
