//! The hidden node behind the verbs, with the addresses it listens at and those it sends to.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use meshzero_actors::offer::{OfferError, Only};
use meshzero_proto::directory::Instance;
use meshzero_proto::name::ServiceName;

use super::address::Address;
use super::endpoint::{Endpoint, Place};
use super::error::ZeroError;
use crate::block_on::block_on;
use crate::error::AdvertiseError;
use crate::join::Join;
use crate::mesh::Mesh;
use crate::service_ref::ServiceRef;

/// How long an address is tried where nobody answers, also by those who wait for ever for the reply.
const NOBODY_THERE: Duration = Duration::from_secs(60);

/// Addresses that stay connected after a message; the one that was used least recently makes room.
const CONNECTED: usize = 256;

/// A node with its endpoints and the services it is connected to.
pub(super) struct Node {
    pub(super) mesh: Mesh,
    endpoints: RwLock<Vec<Arc<Endpoint>>>,
    /// Held while an endpoint is made or unmade, so that an address is opened once.
    opening: Mutex<()>,
    remotes: Mutex<HashMap<Address, (ServiceRef, Instant)>>,
    /// Whether this node has been asked for a list before.
    pub(super) has_listed: AtomicBool,
}

impl Node {
    /// Joins on a thread of its own: the caller's may be an arbiter, and the caller blocks it.
    pub(super) fn start(settings: Join) -> Result<Self, ZeroError> {
        let mesh = block_on(settings.apart())?;
        Ok(Self {
            mesh,
            endpoints: RwLock::default(),
            opening: Mutex::default(),
            remotes: Mutex::default(),
            has_listed: AtomicBool::new(false),
        })
    }

    /// The endpoint that listens at `address`; opened without a name if there is none.
    pub(super) fn endpoint_at(&self, address: Address) -> Result<Arc<Endpoint>, ZeroError> {
        if let Some(endpoint) = self.find(|endpoint| endpoint.listens_at(address)) {
            return Ok(endpoint);
        }
        let _opening = lock(&self.opening);
        match self.find(|endpoint| endpoint.listens_at(address)) {
            Some(endpoint) => Ok(endpoint),
            None => self.open(None, Place { at: Some(&address.to_string()), ..Place::default() }),
        }
    }

    /// The endpoint that listens at `address` already.
    pub(super) fn open_endpoint(&self, address: Address) -> Option<Arc<Endpoint>> {
        self.find(|endpoint| endpoint.listens_at(address))
    }

    /// A new endpoint without a name.
    ///
    /// One of this program that is at that place already will do as well.
    pub(super) fn endpoint_anywhere(&self, at: Option<&str>) -> Result<Arc<Endpoint>, ZeroError> {
        let _opening = lock(&self.opening);
        if let Some(endpoint) = at.and_then(|at| self.endpoint_there(at)) {
            return Ok(endpoint);
        }
        self.open(None, Place { at, ..Place::default() })
    }

    /// The endpoint of `name`: the one that has it already, the one at `place` which has none yet, or a new one.
    pub(super) fn advertise(&self, name: &str, place: Place<'_>) -> Result<Arc<Endpoint>, ZeroError> {
        let _opening = lock(&self.opening);
        let before = self.find(|endpoint| endpoint.name().is_some_and(|known| &*known == name));
        if let (Some(before), Only::One) = (&before, place.only) {
            let exists = OfferError::Exists {
                name: ServiceName::new(name).map_err(AdvertiseError::Name)?,
                address: before.address.socket_addr(),
            };
            return Err(AdvertiseError::Offer(exists).into());
        }
        let there = place.at.and_then(|at| self.endpoint_there(at));
        let endpoint = match (&before, there) {
            (Some(before), None) if place.at.is_none() && before.messages == place.messages => {
                return Ok(Arc::clone(before));
            }
            (Some(before), Some(there)) if Arc::ptr_eq(before, &there) => return Ok(there),
            (_, Some(there)) => match there.name() {
                Some(name) => {
                    let name = name.to_string();
                    return Err(ZeroError::SecondName { address: there.address, name });
                }
                None => {
                    there.announce(name, place.only)?;
                    there
                }
            },
            (_, None) => self.open(Some(name), place)?,
        };
        if let Some(before) = before {
            self.close_endpoint(&before);
        }
        Ok(endpoint)
    }

    /// Closes the endpoint of `name`; whether there was one.
    pub(super) fn unadvertise(&self, name: &str) -> bool {
        let _opening = lock(&self.opening);
        let endpoint = self.find(|endpoint| endpoint.name().is_some_and(|known| &*known == name));
        if let Some(endpoint) = &endpoint {
            self.close_endpoint(endpoint);
        }
        endpoint.is_some()
    }

    fn open(&self, name: Option<&str>, place: Place<'_>) -> Result<Arc<Endpoint>, ZeroError> {
        let endpoint = Arc::new(Endpoint::open(&self.mesh, name, place)?);
        self.endpoints.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn close_endpoint(&self, endpoint: &Arc<Endpoint>) {
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|other| !Arc::ptr_eq(other, endpoint));
        drop(endpoints);
        endpoint.close();
        // A connection within the process does not notice by itself.
        self.forget(endpoint.address);
    }

    /// The endpoint that is where `at` says, an address or a port.
    fn endpoint_there(&self, at: &str) -> Option<Arc<Endpoint>> {
        match (at.parse::<Address>(), at.parse::<u16>()) {
            (Ok(address), _) => self.find(|endpoint| endpoint.listens_at(address)),
            (Err(_), Ok(port)) => self.find(|endpoint| endpoint.address.port() == port),
            (Err(_), Err(_)) => None,
        }
    }

    fn find(&self, wanted: impl Fn(&Endpoint) -> bool) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        endpoints.iter().find(|endpoint| wanted(endpoint)).cloned()
    }

    /// The address that this program knows one of its own instances by.
    pub(super) fn shown_address(&self, instance: &Instance) -> Option<Address> {
        let own = self.find(|endpoint| endpoint.service.instance().id == instance.id);
        own.map(|endpoint| endpoint.address)
    }

    /// Refuses the messages that wait and those that come.
    pub(super) fn refuse_everybody(&self) {
        for endpoint in self.endpoints.read().unwrap_or_else(PoisonError::into_inner).iter() {
            endpoint.mailbox.close();
        }
    }

    /// The service at `address`, connected within `wait`.
    pub(super) async fn remote(&self, address: Address, wait: Duration) -> Result<ServiceRef, ZeroError> {
        let now = Instant::now();
        if let Some((service, used)) = lock(&self.remotes).get_mut(&address)
            && !service.instances().is_empty()
        {
            *used = now;
            return Ok(service.clone());
        }
        self.forget(address);
        let service = self.mesh.discover(address.to_string()).within(wait.min(NOBODY_THERE)).await?;
        let mut remotes = lock(&self.remotes);
        if remotes.len() >= CONNECTED
            && let Some(oldest) = remotes.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            remotes.remove(&oldest);
        }
        remotes.insert(address, (service.clone(), now));
        Ok(service)
    }

    /// Connects anew when `address` is next used.
    pub(super) fn forget(&self, address: Address) {
        lock(&self.remotes).remove(&address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
