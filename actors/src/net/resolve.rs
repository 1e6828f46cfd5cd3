//! Resolution of host names, on threads that are never joined.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use meshzero_proto::discovery::advert::MAX_RECEIVED_ADDRESSES;

use crate::runtime::detached::detached;

/// Resolves a host's name with the system's resolver, on a thread of its own: name servers that do not answer take many seconds.
///
/// # Errors
/// The system's error, or those of [`detached`].
///
/// # Cancel safety
/// This function is not cancel safe: dropping the future loses the result. The thread continues.
pub(crate) async fn resolve(host: impl ToSocketAddrs + Send + 'static) -> io::Result<Vec<SocketAddr>> {
    let look_up = move || Ok(host.to_socket_addrs()?.take(MAX_RECEIVED_ADDRESSES).collect());
    detached("meshzero-resolve", look_up).await?
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// A host whose name server does not answer.
    struct Silent(mpsc::Receiver<()>);

    impl ToSocketAddrs for Silent {
        type Iter = std::option::IntoIter<SocketAddr>;

        fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
            let _ = self.0.recv();
            Err(io::ErrorKind::TimedOut.into())
        }
    }

    #[test]
    fn a_runtime_does_not_wait_for_a_name_server_that_does_not_answer() {
        let (release, released) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let timed_out = runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(10), resolve(Silent(released))).await.is_err()
        });
        assert!(timed_out);
        // This would join a thread of the runtime.
        drop(runtime);
        drop(release);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let found = runtime.block_on(resolve(("localhost", 7))).expect("it is known");
        assert!(
            !found.is_empty()
                && found.iter().all(|address| address.ip().is_loopback() && address.port() == 7),
            "{found:?}"
        );
        runtime.block_on(resolve("no port")).expect_err("no host and port");
    }
}
