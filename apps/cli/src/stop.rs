//! Being told to stop: Ctrl-C, and what a system sends to end a program.

use std::io;

/// What told the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The system, or the end of the terminal.
    Terminate,
}

/// Listens for signals from its making on, so that none is missed.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    signals: [(tokio::signal::unix::Signal, Signal); 3],
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
        Ok(Self {})
    }

    /// Waits until the program is told to stop.
    pub(crate) async fn signal(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            // Without a handler Ctrl-C ends the program in the system's own way.
            Err(_) => std::future::pending().await,
        }
    }
}
