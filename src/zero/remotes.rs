//! The services that the hidden node is connected to, by their addresses.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::address::Address;
use crate::service_ref::ServiceRef;

/// The most addresses that stay connected after a message; the least recently used one is dropped for another.
const CONNECTED: usize = 256;

/// The connected services, each with the time of its last use.
#[derive(Default)]
pub(super) struct Remotes(Mutex<HashMap<Address, (ServiceRef, Instant)>>);

impl Remotes {
    /// Returns the service at `address` if it is connected, and removes it otherwise.
    pub(super) fn get(&self, address: Address) -> Option<ServiceRef> {
        let mut remotes = self.lock();
        if let Some((service, used)) = remotes.get_mut(&address)
            && !service.instances().is_empty()
        {
            *used = Instant::now();
            return Some(service.clone());
        }
        remotes.remove(&address);
        None
    }

    /// Adds a service that was just connected.
    pub(super) fn keep(&self, address: Address, service: ServiceRef) {
        let mut remotes = self.lock();
        if remotes.len() >= CONNECTED
            && let Some(oldest) = remotes.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            remotes.remove(&oldest);
        }
        remotes.insert(address, (service, Instant::now()));
    }

    /// Removes the service at `address`; the next use connects again.
    pub(super) fn forget(&self, address: Address) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, (ServiceRef, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
