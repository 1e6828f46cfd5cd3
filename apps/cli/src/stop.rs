//! Being told to stop: Ctrl-C, and what a system sends to end a program.

use std::io;

/// What told the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C; on Windows also Ctrl-Break.
    Interrupt,
    /// The system, or the end of the terminal. On Windows also the end of the console's window, of the session or of the
    /// system, which give the program some seconds.
    Terminate,
}

/// Listens for signals from its making on, so that none is missed.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    signals: [(tokio::signal::unix::Signal, Signal); 3],
    #[cfg(windows)]
    signals: console::Signals,
}

#[cfg(unix)]
impl Stop {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            signals: [
                (signal(SignalKind::interrupt())?, Signal::Interrupt),
                (signal(SignalKind::terminate())?, Signal::Terminate),
                (signal(SignalKind::hangup())?, Signal::Terminate),
            ],
        })
    }

    /// Waits until the program is told to stop.
    pub(crate) async fn signal(&mut self) -> Signal {
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
impl Stop {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { signals: console::Signals::listen()? })
    }

    /// Waits until the program is told to stop.
    pub(crate) async fn signal(&mut self) -> Signal {
        self.signals.next().await
    }
}

/// What the console of Windows tells its programs.
#[cfg(windows)]
mod console {
    use std::io;

    use tokio::signal::windows;

    use super::Signal;

    /// One listener for each.
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
                Some(()) = self.close.recv() => Signal::Terminate,
                Some(()) = self.logoff.recv() => Signal::Terminate,
                Some(()) = self.shutdown.recv() => Signal::Terminate,
                else => std::future::pending().await,
            }
        }
    }
}
