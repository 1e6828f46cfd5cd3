//! Dialling an endpoint again, to go on with a link whose connection was lost.

use std::io::ErrorKind::ConnectionRefused;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meshzero_proto::directory::Instance;
use meshzero_proto::hello::{Hello, Purpose, Rejection, Resume, Welcome};
use meshzero_proto::id::LinkId;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::backoff::Backoff;
use crate::carry::Way;
use crate::connection::Connection;
use crate::dial::{self, DialError, Dialled};
use crate::network::Network;
use crate::traffic::Carrying;

/// Before the second attempt and those after it; the first is made at once.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The client's way to another connection for one link.
pub(crate) struct Redial {
    hello: Hello,
    link: Option<LinkId>,
    /// What discovery says of the instance, unless its address was given; it may say that it is gone, and be wrong.
    listed: Option<watch::Receiver<Option<Instance>>>,
    /// The addresses known last.
    addresses: Vec<SocketAddr>,
    /// The one that the connection leads to.
    address: SocketAddr,
    /// The one of this host that the connection comes from.
    own: Option<IpAddr>,
    window: Duration,
    keep_alive: Duration,
    network: Network,
}

impl Redial {
    /// For the link that was begun with `hello` over `dialled`.
    pub(crate) fn new(
        hello: &Hello,
        dialled: &Dialled,
        listed: Option<watch::Receiver<Option<Instance>>>,
        carrying: &Carrying,
    ) -> Self {
        let Welcome { instance, link, .. } = dialled.welcome;
        let mut redial = Self {
            hello: Hello { instance: Some(instance), ..hello.clone() },
            link,
            listed,
            addresses: vec![dialled.address],
            address: dialled.address,
            own: dialled.connection.local_ip(),
            window: carrying.limits.reconnect,
            keep_alive: carrying.limits.keep_alive,
            network: carrying.network.clone(),
        };
        redial.update();
        redial
    }

    /// The address that the connection of the moment leads to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to find out about the connection of the moment.
    pub(crate) fn doubt(&self) -> Doubt {
        let hello = Hello { purpose: Purpose::Probe, resume: None, ..self.hello.clone() };
        Doubt { own: self.own, address: self.address, hello, network: self.network.clone() }
    }

    /// Takes note of the addresses that discovery knows.
    fn update(&mut self) {
        if let Some(listed) = &mut self.listed
            && let Some(instance) = &*listed.borrow_and_update()
            && !instance.addresses.is_empty()
        {
            self.addresses.clone_from(&instance.addresses);
        }
    }

    /// Waits until discovery says something new; for ever if it will not.
    async fn told(&mut self) {
        let told = match &mut self.listed {
            Some(listed) => listed.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

/// A connection on which nothing arrives any more, although it should, and how to find out why.
pub(crate) struct Doubt {
    /// The address of this host that it comes from.
    own: Option<IpAddr>,
    address: SocketAddr,
    hello: Hello,
    network: Network,
}

impl Doubt {
    /// Whether another connection comes about within `patience`: the other host is there, however busy the process is. It must
    /// come from the same address, because if this host has that no more, nothing will arrive there.
    pub(crate) async fn is_host_there(&self, patience: Duration) -> bool {
        let connecting = self.network.connect_from(self.own, self.address);
        matches!(time::timeout(patience, connecting).await, Ok(Ok(_)))
    }

    /// Whether the endpoint answers on another connection within `patience`: the process is not stopped either.
    pub(crate) async fn does_endpoint_answer(&self, patience: Duration) -> bool {
        dial::dial(&self.network, &[self.address], &self.hello, patience).await.is_ok()
    }
}

impl Way for Redial {
    /// Discovery knows the instance at other addresses by now, where it did not before.
    async fn watch(&mut self) {
        loop {
            self.told().await;
            let was_known = self.addresses.contains(&self.address);
            self.update();
            if was_known && !self.addresses.contains(&self.address) {
                return;
            }
        }
    }

    async fn next(&mut self, received: u64) -> Result<(Connection, u64), String> {
        let Some(link) = self.link else { return Err("it cannot go on over another connection".to_owned()) };
        let hello = Hello { resume: Some(Resume { link, received }), ..self.hello.clone() };
        let until = Instant::now() + self.window;
        let mut pauses = PAUSES;
        loop {
            self.update();
            let patience = PATIENCE.min(until.saturating_duration_since(Instant::now()));
            let error = match dial::dial(&self.network, &self.addresses, &hello, patience).await {
                Ok(dialled) if dialled.welcome.link == Some(link) => {
                    let Dialled { connection, welcome, address } = dialled;
                    connection.keep_alive(self.keep_alive);
                    self.address = address;
                    self.own = connection.local_ip();
                    return Ok((connection, welcome.received));
                }
                Ok(_) => return Err("it has begun another link".to_owned()),
                Err(error) => error,
            };
            let again = Instant::now() + pauses.pause();
            if is_final(&error) || again >= until {
                return Err(error.to_string());
            }
            tokio::select! {
                biased;
                () = time::sleep_until(again) => {}
                () = self.told() => pauses.reset(),
            }
        }
    }
}

/// Whether it is no use trying again: the endpoint is not there any more, or knows nothing of the link.
fn is_final(error: &DialError) -> bool {
    match error {
        // Whoever listens goes on listening until the process ends.
        DialError::Unreachable { error, .. } => error.kind() == ConnectionRefused,
        DialError::Rejected { rejection, .. } => *rejection != Rejection::Full,
        DialError::NotMeshzero { .. } => true,
        DialError::TimedOut { .. } | DialError::NoAddress => false,
    }
}
