//! The multicast DNS sockets of a node: questions are sent on them, and one task reads each.

mod errors;
mod faults;
mod receive;
mod sockets;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use meshzero_proto::diagnosis::MulticastObservations;
use meshzero_proto::discovery::query::{Families, Question};
use meshzero_proto::id::InstanceId;

use crate::discovery::mdns::channel::SocketPurpose;
use crate::discovery::mdns::interface_table::{InterfaceTable, NetworkInterface};
use crate::net::interfaces::Interface;
use crate::net::socket::MulticastFamily;
use crate::runtime::clock;
use errors::record_error;
use faults::SocketFaults;
pub(super) use receive::ReceivedMessages;
use sockets::OpenSocket;

/// The time within which this node's own multicast is received back, if at all.
const ECHO_TIMEOUT: Duration = Duration::from_millis(200);
/// The most questions in one datagram.
const MAX_QUESTIONS: usize = 16;
/// The time for which replies to a one-shot question are received.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// The sockets, and statistics of their traffic.
#[derive(Default)]
pub(super) struct MulticastState {
    nics: InterfaceTable,
    has_logged_excluded: bool,
    listening: Vec<OpenSocket>,
    /// Open only while questions are asked.
    one_shot: Vec<OpenSocket>,
    one_shot_at: Option<Instant>,
    faults: SocketFaults,
    observations: MulticastObservations,
    /// The time of the first question to other hosts, by family.
    sent_at: [Option<Instant>; 2],
}

/// A sign that other hosts can be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherHosts {
    /// A host replied directly, in the family that is asked first.
    Replied,
    /// A service of a host was announced by multicast.
    Announced,
}

impl MulticastState {
    /// Returns the counts of questions and answers, for statistics and diagnosis.
    pub(super) fn observations(&self, now: Instant) -> MulticastObservations {
        let echo_is_overdue =
            |sent: Option<Instant>| sent.is_some_and(|at| now.saturating_duration_since(at) >= ECHO_TIMEOUT);
        let mut observations = self.observations.clone();
        for (received, sent) in [&mut observations.own_received_v4, &mut observations.own_received_v6]
            .into_iter()
            .zip(self.sent_at)
        {
            if received.is_none() && echo_is_overdue(sent) {
                *received = Some(false);
            }
        }
        observations
    }

    /// Sends questions on every interface, in these families, each with as many of the `known` answers as fit into a datagram.
    pub(super) fn ask(
        &mut self,
        purpose: SocketPurpose,
        families: Families,
        questions: &[Question],
        known: &[InstanceId],
    ) {
        for questions in questions.chunks(MAX_QUESTIONS) {
            self.send(purpose, families, |bytes| Question::encode(questions, known.iter().copied(), bytes));
        }
    }

    /// Sends a message on every interface, in these families. `message` builds one of at most as many bytes as its argument.
    fn send(
        &mut self,
        purpose: SocketPurpose,
        families: Families,
        mut message: impl FnMut(usize) -> Vec<u8>,
    ) {
        let channels = match purpose {
            SocketPurpose::OneShot => &self.one_shot,
            SocketPurpose::Multicast => &self.listening,
        };
        for open in channels.iter().filter(|open| families.include(open.in_family())) {
            let OpenSocket { nic, family, channel, .. } = open;
            match channel.ask(&message(channel.datagram_bytes())) {
                Ok(()) => {
                    match purpose {
                        SocketPurpose::OneShot => self.observations.oneshot_questions += 1,
                        SocketPurpose::Multicast => self.observations.ordinary_questions += 1,
                    }
                    if !channel.is_loopback() {
                        self.sent_at[usize::from(*family == MulticastFamily::V6)]
                            .get_or_insert_with(clock::now);
                    }
                }
                Err(error) => {
                    tracing::debug!(%channel, %error, "a question was not sent");
                    // If IPv4 works, it matters little that IPv6 does not.
                    if Families::First.include(open.in_family()) {
                        record_error(&mut self.observations.send_errors, nic, &error);
                    }
                }
            }
        }
    }

    /// Returns the indices of the interfaces on which questions are sent to other hosts.
    pub(super) fn zones_out(&self) -> Vec<u32> {
        self.nics_out().filter_map(|nic| nic.index).collect()
    }

    /// Returns whether questions are sent to other hosts.
    pub(super) fn leads_out(&self) -> bool {
        self.nics_out().next().is_some()
    }

    fn nics_out(&self) -> impl Iterator<Item = &NetworkInterface> {
        self.nics.used.iter().filter(|nic| !nic.is_loopback)
    }

    /// Counts the messages of one socket, on a host with the interfaces `own`. Returns the sign of other hosts among them.
    pub(super) fn count(&mut self, received: &ReceivedMessages, own: &[Interface]) -> Option<OtherHosts> {
        let is_own = |host: &IpAddr| own.iter().any(|own| own.address.ip == *host);
        let is_alone = own.iter().all(|own| own.address.ip.is_loopback());
        let from_others = |host: &&IpAddr| is_alone || !is_own(host);
        let hosts = || received.adverts.iter().map(|(host, _)| host).filter(from_others);
        let adverts = hosts().count() as u64;
        // A firewall may apply to IPv4 only, which nearly all hosts have.
        let has_ipv4 = self.nics_out().any(|nic| nic.v4.is_some());
        let in_first_family = hosts().any(|host| host.is_ipv4() || !has_ipv4);
        let observations = &mut self.observations;
        match received.purpose {
            SocketPurpose::OneShot => {
                observations.replies_by_unicast += adverts;
                in_first_family.then_some(OtherHosts::Replied)
            }
            SocketPurpose::Multicast => {
                observations.received_by_multicast += adverts;
                for own in received.hosts.iter().filter(|host| is_own(host) && !host.is_loopback()) {
                    let received = if own.is_ipv4() {
                        &mut observations.own_received_v4
                    } else {
                        &mut observations.own_received_v6
                    };
                    *received = Some(true);
                }
                (adverts > 0).then_some(OtherHosts::Announced)
            }
        }
    }

    /// Closes the sockets for one-shot questions if no question has been asked for a while.
    pub(super) fn close_idle(&mut self, now: Instant) {
        if self.one_shot_at.is_some_and(|at| now.saturating_duration_since(at) >= REPLY_TIMEOUT) {
            self.one_shot.clear();
            self.one_shot_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;
    use meshzero_proto::discovery::advert::Advert;
    use meshzero_proto::id::NodeId;
    use meshzero_proto::name::{MeshName, ServiceName};

    use super::*;

    fn received(purpose: SocketPurpose, from: [u8; 4]) -> ReceivedMessages {
        let advert = Advert {
            instance: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            mesh: MeshName::default(),
            service: ServiceName::new("arm").expect("a name"),
            addresses: vec![(from, 9_000).into()],
            leaving: false,
        };
        let adverts = vec![(from.into(), advert)];
        ReceivedMessages {
            purpose,
            adverts,
            gone: Vec::new(),
            questions: Vec::new(),
            hosts: vec![from.into()],
        }
    }

    #[test]
    fn only_services_of_other_hosts_are_a_sign_of_them() {
        let (mut multicast, now) = (MulticastState::default(), Instant::now());
        let address = OwnAddress { ip: [10, 0, 0, 1].into(), prefix: 24 };
        let own = [Interface { name: "eth0".into(), index: Some(2), address }];
        for purpose in [SocketPurpose::OneShot, SocketPurpose::Multicast] {
            assert_eq!(multicast.count(&received(purpose, [10, 0, 0, 1]), &own), None);
        }
        let observations = multicast.observations(now);
        assert_eq!((observations.replies_by_unicast, observations.received_by_multicast), (0, 0));
        assert_eq!(observations.own_received_v4, Some(true), "its own multicast is received back");
        let replied = multicast.count(&received(SocketPurpose::OneShot, [10, 0, 0, 2]), &own);
        let announced = multicast.count(&received(SocketPurpose::Multicast, [10, 0, 0, 2]), &own);
        assert_eq!((replied, announced), (Some(OtherHosts::Replied), Some(OtherHosts::Announced)));
        let observations = multicast.observations(now);
        assert_eq!((observations.replies_by_unicast, observations.received_by_multicast), (1, 1));
    }
}
