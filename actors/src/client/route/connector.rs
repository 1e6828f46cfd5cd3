//! The task that keeps one route connected: dials endpoints, and lets callers use the links to them while they last.

mod by_address;
mod by_name;
mod proxy;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::WeakRecipient;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::Hello;
use tokio::time::{self, Instant};

use crate::client::follow::MAX_BACKOFF;
use crate::client::link::Link;
use crate::client::route::{Member, Route};
use crate::context::NodeContext;
use crate::discovery::{InstanceUnreachable, InstanceVerified, Verdict};
use crate::link::dial::{self, DialError, InstanceUpdates};
use crate::link::reconnect::Reconnector;
use crate::telemetry::stats::GetStats;

/// The timeout of one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The interval at which the connector checks whether its route is still held.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The task that keeps one route connected, and ends when nobody holds the route any more.
#[derive(Clone)]
pub(crate) struct RouteConnector {
    pub(crate) route: Weak<Route>,
    pub(crate) context: Arc<NodeContext>,
    /// The source of the node's statistics.
    pub(crate) node_stats: WeakRecipient<GetStats>,
}

impl RouteConnector {
    /// Runs `connecting` until it is done or the node leaves; then the route is closed.
    pub(crate) async fn run_until_shutdown(self, connecting: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = connecting => {}
            () = self.context.shutdown.triggered() => if let Some(route) = self.route.upgrade() {
                route.close();
            },
        }
    }

    /// Waits for `future`; `None` when nobody holds the route any more.
    async fn while_referenced<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = time::sleep(CHECK_INTERVAL) => if self.route.strong_count() == 0 {
                    return None;
                },
            }
        }
    }

    /// Dials, and reports the result to discovery: a handshake verifies an instance that was only announced.
    async fn connect(&self, target: DialTarget<'_>, hello: &Hello) -> Result<Arc<Link>, ConnectError> {
        let DialTarget { addresses, last_answered, updates } = target;
        let record =
            self.route.upgrade().map(|route| route.attempt_record(hello.instance)).unwrap_or_default();
        let network = &self.context.link_config.network;
        let dialled =
            dial::dial_listed(network, addresses, updates.clone(), hello, CONNECT_TIMEOUT, &record).await;
        match (&dialled, hello.instance) {
            (Ok(dialled), Some(instance)) => {
                self.context.discovery.do_send(InstanceVerified { instance, address: dialled.address });
            }
            (Err(error), Some(instance)) => {
                let verdict = Verdict::of(error, last_answered, network);
                self.context.discovery.do_send(InstanceUnreachable { instance, verdict });
            }
            (_, None) => {}
        }
        let is_other_protocol = dialled.as_ref().is_err_and(DialError::may_be_other_protocol);
        let opened = match dialled {
            Ok(dialled) => {
                let reconnector = Reconnector::new(hello, &dialled, updates, &self.context.link_config);
                Link::open(dialled, reconnector, &self.context.link_config)
                    .await
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        opened.map_err(|error| {
            tracing::debug!(%error, "an instance cannot be reached");
            if let Some(route) = self.route.upgrade() {
                route.record_error(error);
            }
            ConnectError { is_other_protocol }
        })
    }

    /// Lets callers use `link` until it ends; `None` when nobody holds the route any more.
    async fn use_link(&self, link: Arc<Link>, instance: Instance) -> Option<LinkUptime> {
        let connected_at = Instant::now();
        tracing::debug!(service = %instance.service, instance = %instance.id, "an instance is connected");
        self.add(Member::Remote(Arc::clone(&link), Arc::new(instance)));
        if self.while_referenced(link.closed()).await.is_none() {
            link.close();
            return None;
        }
        let route = self.route.upgrade()?;
        route.remove_link(&link);
        route.record_error("the connection was lost".to_owned());
        Some(LinkUptime::since(connected_at))
    }

    fn add(&self, member: Member) {
        if let Some(route) = self.route.upgrade() {
            route.add(member);
        }
    }
}

/// The known addresses of an endpoint to be dialled.
struct DialTarget<'a> {
    addresses: &'a [SocketAddr],
    /// The address that was connected to last.
    last_answered: Option<SocketAddr>,
    /// The updates of the addresses, from discovery.
    updates: Option<InstanceUpdates>,
}

impl<'a> DialTarget<'a> {
    fn fixed(addresses: &'a [SocketAddr]) -> Self {
        Self { addresses, last_answered: None, updates: None }
    }
}

/// The error of a failed connection attempt. The route has its description.
struct ConnectError {
    /// Set if the endpoint may speak another protocol.
    is_other_protocol: bool,
}

/// The uptime of a link: after a short one there is a pause before the instance is dialled again.
enum LinkUptime {
    Long,
    Short,
}

impl LinkUptime {
    fn since(started: Instant) -> Self {
        if started.elapsed() > MAX_BACKOFF { Self::Long } else { Self::Short }
    }
}
