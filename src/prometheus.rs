//! Statistics as text for Prometheus, in the format of OpenMetrics 1.0.

use std::fmt;

use meshzero_actors::telemetry::stats::{
    LinkPurpose, LinkStats, RouteStats, ServiceStats, Stats, SubscriptionStats,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Returns the statistics of nodes as text for Prometheus in the format of
/// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/), to be served as
/// `application/openmetrics-text; version=1.0.0; charset=utf-8`. All names begin with `meshzero_`; every sample has the labels
/// `mesh` and `node`.
///
/// ```no_run
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::MeshClosed> {
/// let text = meshzero::prometheus::text([mesh.stats().await?]);
/// assert!(text.ends_with("# EOF\n"));
/// # Ok(())
/// # }
/// ```
pub fn text(nodes: impl IntoIterator<Item = Stats>) -> String {
    let mut registry = Registry::with_prefix("meshzero");
    registry.register_collector(Box::new(Nodes(nodes.into_iter().collect())));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes all that is written");
    text
}

#[derive(Debug)]
struct Nodes(Vec<Stats>);

/// One sample's labels and value.
type Sample = (Vec<(&'static str, String)>, u64);

/// The metrics that only increase, and those that also decrease.
use MetricType::{Counter, Gauge};

impl Collector for Nodes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { nodes: &self.0, encoder };
        families.of_nodes()?;
        families.of_services()?;
        families.of_routes()?;
        families.of_subscriptions()?;
        families.of_links()
    }
}

struct Families<'n, 'e> {
    nodes: &'n [Stats],
    encoder: DescriptorEncoder<'e>,
}

impl Families<'_, '_> {
    fn of_nodes(&mut self) -> fmt::Result {
        self.node("read_bytes", "Bytes that message connections have read", Counter, |n| {
            n.traffic.bytes_read
        })?;
        self.node("written_bytes", "Bytes that message connections have written", Counter, |n| {
            n.traffic.bytes_written
        })?;
        self.node("reads", "System calls that read bytes", Counter, |n| n.traffic.reads)?;
        self.node("writes", "System calls that wrote bytes", Counter, |n| n.traffic.writes)?;
        self.node("races", "Connection attempts beside stalled connections", Counter, |n| n.traffic.races)?;
        self.node("races_won", "Links that continued over such a connection", Counter, |n| {
            n.traffic.races_won
        })?;
        self.node("instances", "Instances of services that are known", Gauge, |n| n.discovery.instances)?;
        self.node(
            "instances_evicted",
            "Instances that were evicted to make room for others",
            Counter,
            |n| n.discovery.evicted,
        )?;
        self.node(
            "instances_refused",
            "Instances that were refused because a limit was reached",
            Counter,
            |n| n.discovery.refused,
        )?;
        self.node("mdns_restarts", "Restarts of multicast DNS", Counter, |n| n.discovery.mdns_restarts)
    }

    fn of_services(&mut self) -> fmt::Result {
        self.service("messages", "Messages that arrived over links", Counter, |s| s.messages)?;
        self.service("unfinished", "Unfinished messages", Gauge, |s| s.unfinished)?;
        self.service("restarts", "Restarts of the actor", Counter, |s| s.restarts)?;
        self.reasons("unanswered", "Messages that were not handled or have no reply", |s| {
            s.requests.by_reason().into()
        })?;
        self.service("published", "Items that were published", Counter, |s| s.news.published)?;
        self.service(
            "published_refused",
            "Items that were refused because a limit was reached",
            Counter,
            |s| s.news.refused,
        )?;
        self.service("delivered", "Items that were delivered to subscribers", Counter, |s| s.news.delivered)?;
        self.reasons("missed", "Items that subscribers missed", |s| {
            s.news.missed.by_reason().map(|(reason, count)| (reason.as_str(), count)).into()
        })?;
        self.service("wait_timeouts", "Timeouts of the wait for a subscriber", Counter, |s| s.news.given_up)?;
        self.service("subscribers", "Subscribers", Gauge, |s| s.news.subscribers as u64)?;
        self.service("links", "Links that are open", Gauge, |s| s.connections.open)?;
        self.service("links_opened", "Links that were opened", Counter, |s| s.connections.opened)?;
        self.service("links_resumed", "Resumptions of links over another connection", Counter, |s| {
            s.connections.resumed
        })?;
        self.service("links_given_up", "Links that were given up", Counter, |s| s.connections.given_up)?;
        self.service("connections_rejected", "Connections that were rejected", Counter, |s| {
            s.connections.rejected
        })?;
        self.service(
            "connections_handshake_failed",
            "Connections without a successful handshake",
            Counter,
            |s| s.connections.handshake_failed,
        )
    }

    fn of_routes(&mut self) -> fmt::Result {
        self.route("retries", "Calls that were retried", |r| r.calls.retries)?;
        self.route("retries_over_budget", "Calls that the retry budget did not allow to retry", |r| {
            r.calls.over_budget
        })?;
        self.route("ejected", "Instances that were ejected", |r| r.calls.ejected)?;
        self.route("probes", "Calls that probed an ejected instance", |r| r.calls.probes)?;
        self.route("dropped", "Messages that could not be sent at once", |r| r.calls.dropped)
    }

    fn of_subscriptions(&mut self) -> fmt::Result {
        let missed = subscriptions(self.nodes).flat_map(|(labels, subscription)| {
            let by_reason = subscription.missed.by_reason().map(|(reason, count)| (reason.as_str(), count));
            with_reasons(labels, by_reason.into())
        });
        let missed = missed.collect();
        self.family("subscription_missed", "Items that were missed", Counter, missed)?;
        let lost =
            subscriptions(self.nodes).map(|(labels, subscription)| (labels, subscription.lost)).collect();
        self.family("subscription_lost", "Losses of a publisher", Counter, lost)
    }

    fn of_links(&mut self) -> fmt::Result {
        self.link("attached", "Whether there is a connection", Gauge, |l| l.attached.into())?;
        self.link("resumed", "Resumptions over another connection", Counter, |l| l.resumed)?;
        self.link("written_bytes", "Bytes that were written", Counter, |l| l.written)?;
        self.link("acknowledged_bytes", "Bytes that were acknowledged", Counter, |l| l.acknowledged)?;
        self.link("waiting_bytes", "Bytes that are queued to be written", Gauge, |l| l.waiting)?;
        self.link("unread_bytes", "Bytes of results that callers have not read", Gauge, |l| l.unread)
    }

    fn node(&mut self, name: &str, help: &str, kind: MetricType, value: fn(&Stats) -> u64) -> fmt::Result {
        let samples = self.nodes.iter().map(|node| (labels(node), value(node))).collect();
        self.family(name, help, kind, samples)
    }

    fn service(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        value: fn(&ServiceStats) -> u64,
    ) -> fmt::Result {
        let samples = services(self.nodes).map(|(labels, service)| (labels, value(service))).collect();
        self.family(&format!("service_{name}"), help, kind, samples)
    }

    fn reasons(
        &mut self,
        name: &str,
        help: &str,
        values: fn(&ServiceStats) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        let samples = services(self.nodes)
            .flat_map(|(labels, service)| with_reasons(labels, values(service)))
            .collect();
        self.family(&format!("service_{name}"), help, Counter, samples)
    }

    fn route(&mut self, name: &str, help: &str, value: fn(&RouteStats) -> u64) -> fmt::Result {
        let samples = routes(self.nodes).map(|(labels, route)| (labels, value(route))).collect();
        self.family(&format!("route_{name}"), help, Counter, samples)
    }

    fn link(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        value: fn(&LinkStats) -> u64,
    ) -> fmt::Result {
        let of = |mut labels: Vec<(&'static str, String)>, side: &str, link: &LinkStats| {
            let purpose = match link.purpose {
                LinkPurpose::News => "news",
                _ => "requests",
            };
            labels.extend([
                ("side", side.to_owned()),
                ("peer", link.node.to_string()),
                ("address", link.address.to_string()),
                ("purpose", purpose.to_owned()),
                ("transport", link.transport.as_str().to_owned()),
            ]);
            (labels, value(link))
        };
        let mut samples: Vec<Sample> = Vec::new();
        for (labels, service) in services(self.nodes) {
            samples.extend(service.links.iter().map(|link| of(labels.clone(), "endpoint", link)));
        }
        for (labels, route) in routes(self.nodes) {
            samples.extend(route.links.iter().map(|link| of(labels.clone(), "caller", link)));
        }
        for (labels, subscription) in subscriptions(self.nodes) {
            samples.extend(subscription.links.iter().map(|link| of(labels.clone(), "subscriber", link)));
        }
        self.family(&format!("link_{name}"), help, kind, samples)
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, samples: Vec<Sample>) -> fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in &samples {
            let mut sample = family.encode_family(labels)?;
            match kind {
                Gauge => sample.encode_gauge(value)?,
                _ => sample.encode_counter::<NoLabelSet, _, u64>(value, None)?,
            }
        }
        Ok(())
    }
}

fn labels(node: &Stats) -> Vec<(&'static str, String)> {
    vec![("mesh", node.mesh.to_string()), ("node", node.node.to_string())]
}

fn named(node: &Stats, service: &str) -> Vec<(&'static str, String)> {
    let mut labels = labels(node);
    labels.push(("service", service.to_owned()));
    labels
}

fn services(nodes: &[Stats]) -> impl Iterator<Item = (Vec<(&'static str, String)>, &ServiceStats)> {
    nodes.iter().flat_map(|node| node.services.iter().map(|service| (named(node, &service.service), service)))
}

fn routes(nodes: &[Stats]) -> impl Iterator<Item = (Vec<(&'static str, String)>, &RouteStats)> {
    nodes.iter().flat_map(|node| node.routes.iter().map(|route| (named(node, &route.service), route)))
}

fn subscriptions(nodes: &[Stats]) -> impl Iterator<Item = (Vec<(&'static str, String)>, &SubscriptionStats)> {
    let all = nodes
        .iter()
        .flat_map(|node| node.subscriptions.iter().enumerate().map(move |(number, one)| (node, number, one)));
    all.map(|(node, number, subscription)| {
        let mut labels = named(node, &subscription.service);
        // Several may be alike.
        labels.extend([("topic", subscription.topic.clone()), ("subscription", number.to_string())]);
        (labels, subscription)
    })
}

/// A sample for each reason.
fn with_reasons(
    labels: Vec<(&'static str, String)>,
    counts: Vec<(&'static str, u64)>,
) -> impl Iterator<Item = Sample> {
    counts.into_iter().map(move |(reason, count)| {
        let mut labels = labels.clone();
        labels.push(("reason", reason.to_owned()));
        (labels, count)
    })
}
