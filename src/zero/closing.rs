//! An address that is being closed.

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
    /// The address of the one to which messages to `address` came.
    pub(super) fn address_of(&self, address: Address) -> Option<Address> {
        self.lock().iter().find(|endpoint| endpoint.listens_at(address)).map(|endpoint| endpoint.address)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that is being closed, listed in [`ClosingEndpoints`] until this is dropped: also if the closing panics or cannot begin, so
/// that the address does not stay closed.
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
        // A connection within the process does not notice by itself.
        self.remotes.forget(self.endpoint.address);
        self.leaving.lock().retain(|other| !Arc::ptr_eq(other, &self.endpoint));
    }
}

/// The end of an address that is being closed: nobody finds it any more, and what waited there has been refused. Messages that
/// were taken may still be replied to, for as long as [`Limits::drain`](crate::Limits::drain); then, or once they are, the
/// address is free.
///
/// # Cancel safety
/// The closing goes on when this is dropped.
#[must_use = "the address is free when this has been awaited"]
pub struct Closing(Vec<oneshot::Receiver<()>>);

impl Closing {
    /// Begins to close an endpoint of `mesh`.
    pub(super) fn begin(mesh: &Mesh, departure: ClosingEndpoint) -> Self {
        departure.endpoint.mailbox.close();
        let (tell, told) = oneshot::channel();
        // When the thread has ended, so has every endpoint.
        let _ = mesh.node.home().spawn(move || async move {
            departure.endpoint.service.withdraw().await;
            drop(departure);
            // Perhaps nobody waits for it.
            let _ = tell.send(());
        });
        Self(vec![told])
    }

    /// The end of several; `None` of none.
    pub(super) fn all(closings: impl Iterator<Item = Self>) -> Option<Self> {
        closings.reduce(|mut all, one| {
            all.0.extend(one.0);
            all
        })
    }

    /// Waits for it on this thread.
    pub(super) fn wait(self) {
        block_on(self);
    }
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        while let Some(told) = self.0.last_mut() {
            // It is told, or the thread has ended.
            let _ = ready!(Pin::new(told).poll(task));
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
