//! The wait of a Python thread for a future, with the interpreter released, and interruptible by Ctrl-C.

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

/// The interval in which a waiting main thread checks for signals. Python handles signals on that thread only, and only when asked;
/// other threads do not check.
const LOOK: Duration = Duration::from_millis(40);

/// Set once the interpreter is about to end.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// The time for which a thread yields to others before it sleeps. A reply from the same computer arrives sooner, and a sleeping thread
/// takes longer to wake: with this a call takes 40 µs instead of 100, and less CPU time, because the CPUs need not halt and restart.
const HOPE: Duration = Duration::from_micros(50);

/// The longest time that a non-waiting verb may block an event loop.
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
    /// Created once, because a wait may take less time than creating it.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    /// True on the interpreter's main thread; `None` until that is known.
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The timeout of a verb; None means no timeout.
pub(crate) fn until(seconds: Option<f64>) -> Wait {
    seconds.map_or(FOREVER, Wait::from)
}

/// Waits for `future`. A signal whose handler raises ends the wait, and drops the future or its output: Python handles a pending signal
/// when the call returns, and would lose the returned value.
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

/// Waits for `future`, no longer than an event loop may be blocked.
pub(crate) fn wait_a_moment<F>(py: Python<'_>, future: &mut F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + Unpin,
{
    let waker = WAKER.with(Waker::clone);
    py.detach(|| poll_until(Pin::new(future), &waker, Some(MOMENT)))
}

/// Polls until the future completes, or until it is time to check for signals.
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

/// Parks forever a thread that still waits when the interpreter ends, as the interpreter does with threads that need it again. Otherwise
/// the thread would continue for a moment, and raise errors about what has been closed.
fn stay() -> ! {
    loop {
        thread::park();
    }
}

/// Makes every wait but that of the main thread never return, from now on.
pub(crate) fn end() {
    IS_ENDING.store(true, Ordering::Relaxed);
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    if let Some(known) = IS_MAIN.get() {
        return Ok(known);
    }
    // Not imported for this: Python itself loses a Ctrl-C that arrives during an import. If `threading` is not imported there are
    // hardly other threads, and one that is taken for the main one only checks for signals in vain.
    let threading = py.import("sys")?.getattr("modules")?.call_method1("get", ("threading",))?;
    let is_main = match threading.getattr("main_thread") {
        Ok(main) => main.call0()?.getattr("ident")?.eq(threading.call_method0("get_ident")?)?,
        Err(_) => true,
    };
    IS_MAIN.set(Some(is_main));
    Ok(is_main)
}

/// Resets the state in a forked child, where the thread that forked is the main one.
pub(crate) fn forget_thread() {
    IS_ENDING.store(false, Ordering::Relaxed);
    IS_MAIN.set(None);
}
