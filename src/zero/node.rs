//! The hidden node behind the verbs, with the addresses that it listens at and those that it sends to.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use meshzero_actors::net::bind;
use meshzero_actors::node::advertise::AdvertiseError;
use meshzero_actors::runtime::events;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::name::ServiceName;
use tokio::sync::oneshot;

use super::address::Address;
use super::closing::{Closing, ClosingEndpoint, ClosingEndpoints};
use super::endpoint::{Endpoint, EndpointOptions, IfExists};
use super::error::ZeroError;
use super::remotes::Remotes;
use super::reserved::ReservedAddresses;
use crate::block_on::block_on;
use crate::join::Join;
use crate::mesh::Mesh;
use crate::service_ref::ServiceRef;

/// The time for which an address at which nothing answers is tried, even with a wait of forever.
const NOBODY_THERE: Duration = Duration::from_secs(60);

/// The ports from which addresses without one get theirs, as in NetworkZero.
const DYNAMIC_PORTS: RangeInclusive<u16> = 0xc000..=0xffff;

/// The most addresses whose names are remembered, for errors.
const NAMES: usize = 1_024;

/// A node with its endpoints and the services it is connected to.
pub(super) struct Node {
    pub(super) mesh: Mesh,
    endpoints: RwLock<Vec<Arc<Endpoint>>>,
    /// The endpoints that are being closed, whose addresses are not free yet.
    closing: Arc<ClosingEndpoints>,
    /// Held while an endpoint is opened or removed, so that an address is opened once.
    opening: Mutex<()>,
    named: Mutex<ReservedAddresses>,
    remotes: Arc<Remotes>,
    /// The names by which addresses were found.
    names: Mutex<HashMap<Address, String>>,
    /// Set once this node has listed services.
    pub(super) has_listed: AtomicBool,
}

impl Node {
    /// Joins on a thread of its own, because the caller's may be an arbiter, which the caller blocks.
    pub(super) fn start(settings: Join) -> Result<Self, ZeroError> {
        let mesh = block_on(settings.ports_otherwise(DYNAMIC_PORTS).apart())?;
        Ok(Self {
            mesh,
            endpoints: RwLock::default(),
            closing: Arc::default(),
            opening: Mutex::default(),
            named: Mutex::default(),
            remotes: Arc::default(),
            names: Mutex::default(),
            has_listed: AtomicBool::new(false),
        })
    }

    /// Returns the endpoint that listens at `address`; opens one without a name if there is none.
    pub(super) fn endpoint_at(&self, address: Address) -> Result<Arc<Endpoint>, ZeroError> {
        if let Some(endpoint) = self.find(|endpoint| endpoint.listens_at(address)) {
            return Ok(endpoint);
        }
        let _opening = lock(&self.opening);
        if self.closing.address_of(address).is_some() {
            return Err(ZeroError::Closed);
        }
        match self.find(|endpoint| endpoint.listens_at(address)) {
            Some(endpoint) => Ok(endpoint),
            None => self.open(
                None,
                EndpointOptions { at: Some(&self.place_of(address)), ..EndpointOptions::default() },
            ),
        }
    }

    /// Returns the endpoint that listens at `address`, if there is one.
    pub(super) fn open_endpoint(&self, address: Address) -> Option<Arc<Endpoint>> {
        self.find(|endpoint| endpoint.listens_at(address))
    }

    /// Returns the address, as its endpoint knows it, at which messages to `address` were taken, even if it is being closed.
    pub(super) fn taken_at(&self, address: Address) -> Option<Address> {
        let open = self.open_endpoint(address).map(|endpoint| endpoint.address);
        open.or_else(|| self.closing.address_of(address))
    }

    /// Returns an address of this computer at which nothing listens now, or the address of this program's endpoint there. It is not
    /// bound, but this program does not hand it out again.
    pub(super) fn name_address(&self, at: Option<&str>) -> Result<Address, ZeroError> {
        let _opening = lock(&self.opening);
        if let Some(endpoint) = at.and_then(|at| self.endpoint_there(at)) {
            return Ok(endpoint.address);
        }
        let bind = at.map_or(Ok(Default::default()), str::parse::<bind::BindAddress>);
        let bind = bind.map_err(AdvertiseError::from)?;
        let config = self.mesh.node.config();
        let (interfaces, ports) = (config.interfaces.clone(), config.ports.clone().unwrap_or(DYNAMIC_PORTS));
        let taken = lock(&self.named).addresses();
        let (tx, rx) = oneshot::channel();
        let naming = self.mesh.node.executor().spawn(move || async move {
            // The caller waits for it.
            let _ = tx.send(bind.name(&interfaces, &ports, |address| taken.contains(&address)).await);
        });
        naming.map_err(|_| ZeroError::Closed)?;
        let address = block_on(rx).map_err(|_| ZeroError::Closed)?;
        let address = Address::from(address.map_err(AdvertiseError::from)?);
        let is_anywhere = at.is_none_or(|at| at.parse::<u16>().is_ok());
        let meant = if is_anywhere { address.port().to_string() } else { address.to_string() };
        lock(&self.named).insert(address, meant);
        Ok(address)
    }

    /// The text to listen at for an address of this program.
    fn place_of(&self, address: Address) -> String {
        lock(&self.named).place(address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// Returns the address of the endpoint of `name`: the one that has it already, the one at `place` without a name, or a new one.
    ///
    /// Also returns the closing of the endpoint that had the name before.
    pub(super) fn advertise(
        &self,
        name: &str,
        place: EndpointOptions<'_>,
    ) -> Result<(Address, Option<Closing>), ZeroError> {
        let (to, before) = self.open_named(name, place)?;
        let closing = before.map(|before| {
            let from = before.address();
            events::record(|| tracing::info!(%name, %from, %to, "the name has moved within this program"));
            Closing::begin(&self.mesh, before)
        });
        Ok((to, closing))
    }

    /// Returns the address that [`Node::advertise`] returns, and the endpoint that had the name before, to be closed once nothing is
    /// locked.
    fn open_named(
        &self,
        name: &str,
        place: EndpointOptions<'_>,
    ) -> Result<(Address, Option<ClosingEndpoint>), ZeroError> {
        let _opening = lock(&self.opening);
        let before = match place.if_exists {
            IfExists::Share => self.find(|endpoint| endpoint.is_called(name) && !endpoint.is_apart),
            IfExists::AnotherInstance => None,
            IfExists::Fail => match self.find(|endpoint| endpoint.is_called(name)) {
                Some(own) => return Err(exists(name, own.address)),
                None => None,
            },
        };
        let meant = place.at.and_then(|at| at.parse().ok()).map(|address| self.place_of(address));
        let there = place.at.and_then(|at| self.endpoint_there(at));
        let place = EndpointOptions { at: meant.as_deref().or(place.at), ..place };
        let endpoint = match (&before, there) {
            (Some(before), None) if place.at.is_none() && before.messages == place.messages => {
                return Ok((before.address, None));
            }
            (Some(before), Some(there)) if Arc::ptr_eq(before, &there) => return Ok((there.address, None)),
            (_, Some(there)) => match there.name() {
                Some(name) => {
                    let name = name.to_string();
                    return Err(ZeroError::SecondName { address: there.address, name });
                }
                // An endpoint that was opened for messages without a type accepts no others, and is in use.
                None if place.if_exists == IfExists::AnotherInstance => self.open(Some(name), place)?,
                None => {
                    there.announce(name, place.only())?;
                    there
                }
            },
            (_, None) => self.open(Some(name), place)?,
        };
        Ok((endpoint.address, before.map(|before| self.remove(before))))
    }

    /// Closes every endpoint of `name`; returns `None` if there is none.
    pub(super) fn unadvertise(&self, name: &str) -> Option<Closing> {
        let opening = lock(&self.opening);
        let called = self.all_called(name).into_iter();
        let departures: Vec<_> = called.map(|endpoint| self.remove(endpoint)).collect();
        drop(opening);
        Closing::all(departures.into_iter().map(|departure| Closing::begin(&self.mesh, departure)))
    }

    /// Closes the endpoint that listens at `address`, if there is one.
    pub(super) fn unadvertise_at(&self, address: Address) -> Option<Closing> {
        let opening = lock(&self.opening);
        let departure = self.open_endpoint(address).map(|endpoint| self.remove(endpoint));
        drop(opening);
        departure.map(|departure| Closing::begin(&self.mesh, departure))
    }

    /// The addresses of `name`.
    pub(super) fn advertised(&self, name: &str) -> Vec<Address> {
        self.all_called(name).iter().map(|endpoint| endpoint.address).collect()
    }

    fn all_called(&self, name: &str) -> Vec<Arc<Endpoint>> {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        endpoints.iter().filter(|endpoint| endpoint.is_called(name)).cloned().collect()
    }

    fn open(&self, name: Option<&str>, place: EndpointOptions<'_>) -> Result<Arc<Endpoint>, ZeroError> {
        let endpoint = Arc::new(Endpoint::open(&self.mesh, name, place)?);
        lock(&self.named).remove(endpoint.address);
        self.endpoints.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Removes an endpoint, to be closed once nothing is locked: a `tracing` subscriber that receives the events about its messages may
    /// open another.
    fn remove(&self, endpoint: Arc<Endpoint>) -> ClosingEndpoint {
        // First, so that a thread that replies to a message taken there always finds it.
        let departure = ClosingEndpoint::new(Arc::clone(&endpoint), &self.closing, &self.remotes);
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|other| !Arc::ptr_eq(other, &endpoint));
        departure
    }

    /// Returns the endpoint at `at`, an address or a port.
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

    /// Returns the address by which this program knows one of its own instances.
    pub(super) fn shown_address(&self, instance: &Instance) -> Option<Address> {
        let own = self.find(|endpoint| endpoint.service.instance().id == instance.id);
        own.map(|endpoint| endpoint.address)
    }

    /// Refuses the queued messages and those that arrive.
    pub(super) fn refuse_everybody(&self) {
        for endpoint in self.endpoints.read().unwrap_or_else(PoisonError::into_inner).iter() {
            endpoint.mailbox.close();
        }
    }

    /// Returns the service at `address`, connected within `wait`.
    pub(super) async fn remote(&self, address: Address, wait: Duration) -> Result<ServiceRef, ZeroError> {
        if let Some(service) = self.remotes.get(address) {
            return Ok(service);
        }
        let service = self.mesh.discover(address.to_string()).within(wait.min(NOBODY_THERE)).await?;
        // An unlisted service has its address as its name.
        if let Some(instance) = service.instances().first()
            && instance.service.parse::<Address>().is_err()
        {
            self.note_name(address, &instance.service);
        }
        self.remotes.keep(address, service.clone());
        Ok(service)
    }

    /// Remembers the name by which an address was found, for errors.
    pub(super) fn note_name(&self, address: Address, name: &str) {
        let mut names = lock(&self.names);
        if names.len() >= NAMES && !names.contains_key(&address) {
            names.clear();
        }
        names.insert(address, name.to_owned());
    }

    /// Returns the name of the service at an address, if it is known.
    pub(super) fn name_at(&self, address: Address) -> Option<String> {
        let own = self.open_endpoint(address).and_then(|endpoint| endpoint.name());
        own.map(|name| name.to_string()).or_else(|| lock(&self.names).get(&address).cloned())
    }

    /// Drops the connection to `address`; the next use connects again.
    pub(super) fn forget(&self, address: Address) {
        self.remotes.forget(address);
    }
}

fn exists(name: &str, address: Address) -> ZeroError {
    let exists = ServiceName::new(name)
        .map_err(AdvertiseError::Name)
        .map(|name| AdvertiseError::Exists { name, address: address.socket_addr() });
    exists.unwrap_or_else(|error| error).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
