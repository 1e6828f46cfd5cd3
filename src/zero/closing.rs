//! Endpoints that are being closed, and the wait for their end.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::address::Address;
use super::endpoint::Endpoint;
use super::remotes::Remotes;
use crate::block_on::block_on;
use crate::mesh::Mesh;

/// The endpoints of a node that are being closed.
#[derive(Default)]
pub(super) struct ClosingEndpoints(Mutex<Vec<Arc<Endpoint>>>);

impl ClosingEndpoints {
    /// The address of the endpoint that received messages to `address`.
    pub(super) fn address_of(&self, address: Address) -> Option<Address> {
        self.lock().iter().find(|endpoint| endpoint.listens_at(address)).map(|endpoint| endpoint.address)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that is being closed, listed in [`ClosingEndpoints`] until this is dropped, even if the closing panics or cannot begin:
/// so its address never stays closed.
pub(super) struct ClosingEndpoint {
    endpoint: Arc<Endpoint>,
    leaving: Arc<ClosingEndpoints>,
    remotes: Arc<Remotes>,
}

impl ClosingEndpoint {
    /// Lists `endpoint` in `leaving`.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        leaving: &Arc<ClosingEndpoints>,
        remotes: &Arc<Remotes>,
    ) -> Self {
        leaving.lock().push(Arc::clone(&endpoint));
        Self { endpoint, leaving: Arc::clone(leaving), remotes: Arc::clone(remotes) }
    }

    /// The address of the endpoint.
    pub(super) fn address(&self) -> Address {
        self.endpoint.address
    }
}

impl Drop for ClosingEndpoint {
    fn drop(&mut self) {
        // A connection within the process is not notified.
        self.remotes.forget(self.endpoint.address);
        self.leaving.lock().retain(|other| !Arc::ptr_eq(other, &self.endpoint));
    }
}

/// A future that completes when an address has been closed. Other programs do not find the address any more, and the messages that
/// waited there have been refused. Messages that were taken can still be replied to, for [`Limits::drain`](crate::Limits::drain) at
/// most; then the address is free.
///
/// # Cancel safety
/// This future is cancel safe: the closing continues when it is dropped.
#[must_use = "the address is free when this has been awaited"]
pub struct Closing(Vec<oneshot::Receiver<()>>);

impl Closing {
    /// Begins to close an endpoint of `mesh`.
    pub(super) fn begin(mesh: &Mesh, departure: ClosingEndpoint) -> Self {
        departure.endpoint.mailbox.close();
        let (tx, rx) = oneshot::channel();
        // If the thread has ended, so has every endpoint.
        let _ = mesh.node.executor().spawn(move || async move {
            departure.endpoint.service.withdraw().await;
            drop(departure);
            // The future may have been dropped.
            let _ = tx.send(());
        });
        Self(vec![rx])
    }

    /// A future for several closings; `None` if there are none.
    pub(super) fn all(closings: impl Iterator<Item = Self>) -> Option<Self> {
        closings.reduce(|mut all, one| {
            all.0.extend(one.0);
            all
        })
    }

    /// Blocks this thread until the address has been closed.
    pub(super) fn wait(self) {
        block_on(self);
    }
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        while let Some(rx) = self.0.last_mut() {
            // Closed, or the thread has ended.
            let _ = ready!(Pin::new(rx).poll(task));
            self.0.pop();
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::EndpointOptions;
    use super::super::node::Node;
    use super::*;

    #[test]
    fn a_closing_that_is_broken_off_leaves_the_address_free() {
        let node = Node::start(Mesh::join().interfaces("lo").mesh("broken off")).expect("joined");
        let (address, _) = node.advertise("broken off", EndpointOptions::default()).expect("advertised");
        let endpoint = node.open_endpoint(address).expect("it is open");
        let (leaving, remotes) = (Arc::<ClosingEndpoints>::default(), Arc::default());
        let departure = ClosingEndpoint::new(endpoint, &leaving, &remotes);
        assert_eq!(leaving.address_of(address), Some(address));
        drop(departure);
        assert_eq!(leaving.address_of(address), None);
    }
}
