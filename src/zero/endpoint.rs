//! An address of this program: its mailbox, its news, and its name if it has one.

use std::sync::{Arc, Mutex, PoisonError};

use meshzero_actors::node::advertise::Uniqueness;
use meshzero_actors::server::actor::handler::Registration;
use meshzero_proto::name::{ServiceName, TypeName};

use super::address::Address;
use super::error::ZeroError;
use super::mailbox::{Mailbox, MailboxActor};
use crate::block_on::block_on;
use crate::error::AdvertiseError;
use crate::mesh::Mesh;
use crate::request::own_name;
use crate::service::Service;
use crate::value::Value;

/// The treatment of a name that is advertised already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfExists {
    /// Advertise it as well. An advert of this program keeps its address, or moves.
    #[default]
    Share,
    /// Advertise it as well, and leave every advert of this program as it is: one more instance, at an address of its own, until
    /// [`unadvertise_at`](super::unadvertise_at) closes it. Callers by name reach one of the instances.
    AnotherInstance,
    /// Fail. The search for others takes about half a second; two programs that start at the same moment may both succeed.
    Fail,
}

/// The options of a new endpoint: its address, and the messages that it accepts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EndpointOptions<'a> {
    /// The address, or a part of it; every interface and any port if it is `None`.
    pub(super) at: Option<&'a str>,
    /// The treatment of a name that is advertised already.
    pub(super) if_exists: IfExists,
    /// The names of the accepted messages; empty for messages without a type.
    pub(super) messages: &'a [String],
}

impl EndpointOptions<'_> {
    /// Returns whether there may be other instances of the name.
    pub(super) fn only(&self) -> Uniqueness {
        match self.if_exists {
            IfExists::Share | IfExists::AnotherInstance => Uniqueness::OneOfMany,
            IfExists::Fail => Uniqueness::One,
        }
    }
}

/// An address that this program listens at.
pub(super) struct Endpoint {
    pub(super) address: Address,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) service: Service<MailboxActor>,
    name: Mutex<Option<ServiceName>>,
    /// The names of the messages that it accepts, as in [`EndpointOptions`].
    pub(super) messages: Vec<String>,
    /// Set for one more instance, which later adverts of its name leave as it is.
    pub(super) is_apart: bool,
}

impl Endpoint {
    /// Listens at the address in `place`, and announces `name` if there is one.
    pub(super) fn open(
        mesh: &Mesh,
        name: Option<&str>,
        place: EndpointOptions<'_>,
    ) -> Result<Self, ZeroError> {
        let mailbox = Arc::new(Mailbox::default());
        let fed = Arc::clone(&mailbox);
        let listed = name.map(ServiceName::new).transpose().map_err(AdvertiseError::Name)?;
        let mut advertise = mesh
            .advertise(name.unwrap_or("unlisted"), move || MailboxActor(Arc::clone(&fed)))
            .change(|offer| {
                if place.messages.is_empty() {
                    offer.handlers.push(Registration::encoded::<Value>(own_name::<Value>()?));
                }
                for name in place.messages {
                    offer.handlers.push(Registration::encoded::<Value>(TypeName::new(name)?));
                }
                Ok(())
            });
        if name.is_none() {
            advertise = advertise.unlisted();
        }
        if let Some(at) = place.at {
            advertise = advertise.at(at);
        }
        if place.only() == Uniqueness::One {
            advertise = advertise.fail_if_exists();
        }
        let service = block_on(async move { advertise.await })?;
        let address = service.address().into();
        let (name, messages) = (Mutex::new(listed), place.messages.to_vec());
        let is_apart = place.if_exists == IfExists::AnotherInstance;
        Ok(Self { address, mailbox, service, name, messages, is_apart })
    }

    /// Returns whether this is the endpoint of `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name().is_some_and(|known| &*known == name)
    }

    /// The name of the endpoint.
    pub(super) fn name(&self) -> Option<ServiceName> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Announces a name for an endpoint that had none.
    pub(super) fn announce(&self, name: &str, only: Uniqueness) -> Result<(), ZeroError> {
        let name = ServiceName::new(name).map_err(AdvertiseError::Name)?;
        block_on(self.service.announce(&name, only))?;
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        Ok(())
    }

    /// Returns whether messages to `address` arrive here, even if it is another address of this computer.
    pub(super) fn listens_at(&self, address: Address) -> bool {
        if self.address == address {
            return true;
        }
        let bound = self.service.bound();
        let ip = address.socket_addr().ip();
        let is_any = bound.port() == address.port() && (ip.is_unspecified() || ip.is_loopback());
        (bound.is_everywhere() && is_any) || bound.is_meant_by(address.socket_addr())
    }
}
