//! Statistics as tables for people: services, calls and subscriptions of programs.

use std::fmt;

use meshzero::{LinkStats, LinkTransport, RouteStats, ServiceStats, Stats, SubscriptionStats};

use crate::output::Table;

/// The number of characters of a node's identity that are shown.
const NODE: usize = 8;

/// Creates the tables of programs. A table without rows is left out.
pub(super) fn of(nodes: &[Stats]) -> Tables {
    let mut tables = Tables { services: None, calls: None, subscriptions: None };
    for stats in nodes {
        let node = stats.node.to_string();
        let node = node.get(..NODE).unwrap_or(&node);
        for service in &stats.services {
            add_service(tables.services.get_or_insert_with(services), node, service);
        }
        for route in &stats.routes {
            add_calls(tables.calls.get_or_insert_with(calls), node, route);
        }
        for subscription in &stats.subscriptions {
            add_subscription(tables.subscriptions.get_or_insert_with(subscriptions), node, subscription);
        }
    }
    tables
}

pub(super) struct Tables {
    services: Option<Table<10>>,
    calls: Option<Table<7>>,
    subscriptions: Option<Table<6>>,
}

fn services() -> Table<10> {
    Table::new([
        "SERVICE",
        "NODE",
        "MESSAGES",
        "UNFINISHED",
        "REFUSED",
        "RESTARTS",
        "PUBLISHED",
        "SUBSCRIBERS",
        "MISSED",
        "LINKS",
    ])
}

fn add_service(table: &mut Table<10>, node: &str, service: &ServiceStats) {
    let ServiceStats { service, messages, unfinished, restarts, requests, news, links, .. } = service;
    table.row([
        service,
        node,
        &messages.to_string(),
        &unfinished.to_string(),
        &by_reason(&requests.by_reason()),
        &restarts.to_string(),
        &news.published.to_string(),
        &news.subscribers.to_string(),
        &by_reason(&news.missed.by_reason().map(|(reason, count)| (reason.as_str(), count))),
        &links_of(links),
    ]);
}

fn calls() -> Table<7> {
    Table::new(["CALLS", "NODE", "RETRIES", "SET ASIDE", "PROBES", "DROPPED", "LINKS"])
}

fn add_calls(table: &mut Table<7>, node: &str, RouteStats { service, calls, links, .. }: &RouteStats) {
    table.row([
        service,
        node,
        &calls.retries.to_string(),
        &calls.ejected.to_string(),
        &calls.probes.to_string(),
        &calls.dropped.to_string(),
        &links_of(links),
    ]);
}

fn subscriptions() -> Table<6> {
    Table::new(["SUBSCRIBES TO", "NODE", "TOPIC", "MISSED", "LOST", "LINKS"])
}

fn add_subscription(table: &mut Table<6>, node: &str, subscription: &SubscriptionStats) {
    let SubscriptionStats { service, topic, missed, lost, links, .. } = subscription;
    table.row([
        service,
        node,
        topic,
        &by_reason(&missed.by_reason().map(|(reason, count)| (reason.as_str(), count))),
        &lost.to_string(),
        &links_of(links),
    ]);
}

/// Formats a total with its parts: `4 (3 busy, 1 expired)`.
fn by_reason(counts: &[(&str, u64)]) -> String {
    let total = counts.iter().fold(0_u64, |total, (_, count)| total.saturating_add(*count));
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
        .collect();
    if parts.is_empty() { total.to_string() } else { format!("{total} ({})", parts.join(", ")) }
}

/// Formats the number of links, how many of them use Unix sockets, and their problems.
fn links_of(links: &[LinkStats]) -> String {
    let sum =
        |count: fn(&LinkStats) -> u64| links.iter().fold(0_u64, |sum, link| sum.saturating_add(count(link)));
    let notes = [
        (sum(|link| u64::from(link.transport == LinkTransport::Unix)), "over Unix sockets"),
        (sum(|link| u64::from(!link.attached)), "without a connection"),
        (sum(|link| link.resumed), "resumed"),
        (sum(|link| link.waiting), "bytes waiting"),
    ];
    let notes: Vec<String> =
        notes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if notes.is_empty() { links.len().to_string() } else { format!("{} ({})", links.len(), notes.join(", ")) }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut show = |table: Option<&dyn fmt::Display>| match table {
            Some(table) => {
                let shown = write!(f, "{separator}{table}");
                separator = "\n\n";
                shown
            }
            None => Ok(()),
        };
        show(self.services.as_ref().map(|table| table as &dyn fmt::Display))?;
        show(self.calls.as_ref().map(|table| table as &dyn fmt::Display))?;
        show(self.subscriptions.as_ref().map(|table| table as &dyn fmt::Display))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_say_what_they_are_made_of() {
        assert_eq!(by_reason(&[("busy", 0), ("no_handler", 0)]), "0");
        assert_eq!(by_reason(&[("busy", 3), ("no_handler", 1)]), "4 (3 busy, 1 no handler)");
        assert_eq!(
            by_reason(&[("busy", u64::MAX), ("expired", 1)]).split(' ').next(),
            Some("18446744073709551615")
        );
    }

    #[test]
    fn links_say_how_many_use_unix_sockets() {
        let link = |transport: &str| -> LinkStats {
            let node = "0".repeat(32);
            let json = format!(
                r#"{{"node":"{node}","address":"127.0.0.1:9","purpose":"news"{transport},"attached":true,"resumed":0,
                "written":0,"acknowledged":0,"waiting":0}}"#
            );
            serde_json::from_str(&json).expect("a link")
        };
        let links = [link(r#","transport":"unix""#), link(r#","transport":"tcp""#), link("")];
        assert_eq!(links_of(&links), "3 (1 over Unix sockets)");
    }

    #[test]
    fn only_what_there_is_is_shown() {
        let node = "0".repeat(32);
        let json = format!(
            r#"{{"mesh":"m","node":"{node}","services":[{{"service":"arm","messages":7,"requests":{{"busy":2}}}}]}}"#
        );
        let stats: Stats = serde_json::from_str(&json).expect("stats");
        let shown = anstream::adapter::strip_str(&of(&[stats]).to_string()).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(lines[0].starts_with("SERVICE  NODE      MESSAGES"), "{shown}");
        assert!(lines[1].starts_with("arm      00000000  7") && lines[1].contains("2 (2 busy)"), "{shown}");
    }
}
