//! Being told to stop: Ctrl-C, and what a system sends to end a program.

use std::io;

use crate::failure::Failure;

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
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(cannot_listen);
        Ok(Self {
            signals: [
                (listen(SignalKind::interrupt())?, Signal::Interrupt),
                (listen(SignalKind::terminate())?, Signal::Terminate),
                (listen(SignalKind::hangup())?, Signal::Terminate),
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
    pub(crate) fn listen() -> Result<Self, Failure> {
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

#[cfg_attr(windows, expect(dead_code, reason = "there it is not asked for before"))]
fn cannot_listen(error: io::Error) -> Failure {
    Failure::Machine(format!("cannot listen for signals: {error}"))
}
