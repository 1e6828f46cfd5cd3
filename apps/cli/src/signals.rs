//! Signals that stop the program: Ctrl-C, and those that a system sends to end it.

mod ignored;

use std::time::Duration;
use std::{fmt, io};

use tokio::time::Instant;

pub(crate) use self::ignored::IgnoredSignals;

/// The time after the first signal in which others count as its repetition. A closed terminal sends SIGHUP through the
/// shell and through the kernel, and a service manager may send two signals in a row.
const REPEATS: Duration = Duration::from_millis(300);

/// A signal that stops the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The terminal was closed; on Windows also the console window, and logging off.
    Hangup,
    /// Ctrl-C; on Windows also Ctrl-Break.
    Interrupt,
    /// Ctrl-\, where there is such a key.
    #[cfg(unix)]
    Quit,
    /// A request to terminate.
    Terminate,
}

impl Signal {
    /// Returns its number on Unix, from which a shell forms the exit code.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            #[cfg(unix)]
            Self::Quit => 3,
            Self::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangup => "the terminal was closed",
            Self::Interrupt => "interrupted",
            #[cfg(unix)]
            Self::Quit => "quit",
            Self::Terminate => "terminated",
        })
    }
}

/// A listener for the signals that stop the program, from its creation on.
#[derive(Debug)]
pub(crate) struct StopSignals {
    #[cfg(unix)]
    signals: Vec<(tokio::signal::unix::Signal, Signal)>,
    #[cfg(windows)]
    signals: console::Signals,
    /// The time of the first signal.
    first: Option<Instant>,
}

impl StopSignals {
    /// Returns whether a signal has been received.
    pub(crate) fn has_stopped(&self) -> bool {
        self.first.is_some()
    }

    /// Waits for a signal. After the first one: for another that is not its repetition.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn signal(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            match self.first {
                Some(first) if first.elapsed() < REPEATS => {}
                Some(_) => return signal,
                None => {
                    self.first = Some(Instant::now());
                    return signal;
                }
            }
        }
    }
}

#[cfg(unix)]
impl StopSignals {
    /// Listens for the signals that are not ignored. An ignored one, as under `nohup` or in a shell's background,
    /// stays ignored.
    pub(crate) fn listen(ignored: IgnoredSignals) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut signals = Vec::new();
        for stop in [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::Quit] {
            if !ignored.contains(stop.number()) {
                signals.push((signal(SignalKind::from_raw(stop.number().into()))?, stop));
            }
        }
        Ok(Self { signals, first: None })
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|task| {
            for (listener, signal) in &mut self.signals {
                if listener.poll_recv(task).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(windows)]
impl StopSignals {
    /// Listens for all signals: none can be ignored.
    pub(crate) fn listen(_: IgnoredSignals) -> io::Result<Self> {
        Ok(Self { signals: console::Signals::listen()?, first: None })
    }

    async fn next(&mut self) -> Signal {
        self.signals.next().await
    }
}

/// The console signals of Windows.
#[cfg(windows)]
mod console {
    use std::io;

    use tokio::signal::windows;

    use super::Signal;

    /// One listener per signal.
    #[derive(Debug)]
    pub(super) struct Signals {
        interrupt: windows::CtrlC,
        pause: windows::CtrlBreak,
        close: windows::CtrlClose,
        logoff: windows::CtrlLogoff,
        shutdown: windows::CtrlShutdown,
    }

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self {
                interrupt: windows::ctrl_c()?,
                pause: windows::ctrl_break()?,
                close: windows::ctrl_close()?,
                logoff: windows::ctrl_logoff()?,
                shutdown: windows::ctrl_shutdown()?,
            })
        }

        pub(super) async fn next(&mut self) -> Signal {
            tokio::select! {
                biased;
                Some(()) = self.interrupt.recv() => Signal::Interrupt,
                Some(()) = self.pause.recv() => Signal::Interrupt,
                Some(()) = self.close.recv() => Signal::Hangup,
                Some(()) = self.logoff.recv() => Signal::Hangup,
                Some(()) = self.shutdown.recv() => Signal::Terminate,
                else => std::future::pending().await,
            }
        }
    }
}
