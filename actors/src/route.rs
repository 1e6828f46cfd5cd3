//! A route: the instances that answer for one name, as far as this node is connected to them right now.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use meshzero_proto::directory::Instance;
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;
use tokio::sync::watch;

use crate::link::Link;
use crate::service::Service;

/// What a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// All instances of a name.
    Name(ServiceName),
    /// The one endpoint at an address.
    Address(SocketAddr),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// One instance that can be called now.
#[derive(Clone)]
pub enum Member {
    /// In this process.
    Local(Arc<Service>, Arc<Instance>),
    /// In another process, connected.
    Remote(Arc<Link>, Arc<Instance>),
}

impl Member {
    /// Which instance it is.
    pub fn instance(&self) -> &Instance {
        match self {
            Self::Local(_, instance) | Self::Remote(_, instance) => instance,
        }
    }

    /// Where it was reached; in this process, where others reach it.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Local(_, instance) => instance.address(),
            Self::Remote(link, _) => Some(link.address()),
        }
    }

    /// Whether it still takes messages.
    pub fn is_alive(&self) -> bool {
        match self {
            Self::Local(service, _) => service.is_alive(),
            Self::Remote(link, _) => !link.is_closed(),
        }
    }

    fn load(&self) -> usize {
        match self {
            Self::Local(service, _) => service.unfinished(),
            Self::Remote(link, _) => link.in_flight(),
        }
    }
}

/// The instances behind one name. Senders read them without a lock; the router changes them.
pub struct Route {
    target: Target,
    members: ArcSwap<Vec<Member>>,
    changed: watch::Sender<u64>,
    /// Why the last attempt to connect failed, for those who ask why there is nobody.
    trouble: Mutex<Option<String>>,
}

impl Route {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            members: ArcSwap::default(),
            changed: watch::Sender::new(0),
            trouble: Mutex::default(),
        }
    }

    /// What the route leads to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The instances that can be called now.
    pub fn members(&self) -> Vec<Member> {
        self.members.load().iter().filter(|member| member.is_alive()).cloned().collect()
    }

    /// The instance for the next message, see [`Route::with_pick`].
    pub fn pick(&self) -> Option<Member> {
        self.with_pick(|member| member.cloned())
    }

    /// Shows `f` the instance for the next message: the less busy of two picked at random (M. Mitzenmacher, "The Power of
    /// Two Choices in Randomized Load Balancing", 2001), so that many callers do not all run to the same one.
    #[inline(always)]
    pub fn with_pick<T>(&self, f: impl FnOnce(Option<&Member>) -> T) -> T {
        let members = self.members.load();
        let picked = match members.as_slice() {
            [] => None,
            [only] => only.is_alive().then_some(only),
            several => {
                let first = fastrand::usize(..several.len());
                let second = (first + fastrand::usize(1..several.len())) % several.len();
                let (first, second) = (&several[first], &several[second]);
                match (first.is_alive(), second.is_alive()) {
                    (true, true) if second.load() < first.load() => Some(second),
                    (true, _) => Some(first),
                    (false, true) => Some(second),
                    (false, false) => several.iter().find(|member| member.is_alive()),
                }
            }
        };
        f(picked)
    }

    /// Waits until there is an instance to call. Works on any executor.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn ready(&self) -> Member {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(member) = self.pick() {
                return member;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Why the last attempt to connect failed.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note_trouble(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    pub(crate) fn add(&self, member: Member) {
        self.change(|members| {
            members.retain(|other| other.instance().id != member.instance().id);
            members.push(member.clone());
        });
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        self.change(|members| members.retain(|other| other.instance().id != instance));
    }

    /// Leads nowhere from now on.
    pub(crate) fn close(&self) {
        self.note_trouble("the mesh has been left".to_owned());
        for member in self.members.swap(Arc::default()).iter() {
            if let Member::Remote(link, _) = member {
                link.close();
            }
        }
    }

    fn change(&self, change: impl Fn(&mut Vec<Member>)) {
        self.members.rcu(|members| {
            let mut members = Vec::clone(members);
            change(&mut members);
            members
        });
        self.changed.send_modify(|version| *version += 1);
    }
}

/// What an endpoint without a name is called where a name is needed.
pub(crate) fn nameless(address: SocketAddr) -> ServiceName {
    ServiceName::new(address.to_string()).expect("an address is short and printable")
}
