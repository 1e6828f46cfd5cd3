//! The multicast sockets of a node: opened and closed as interfaces come and go.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use actix::prelude::*;
use meshzero_proto::discovery::query::{Families, InterfaceFamily};
use meshzero_proto::shortened::few;
use tokio::task::JoinHandle;

use super::MulticastState;
use super::errors::record_error;
use super::faults::{FaultNotice, SocketFaults, SocketKey};
use super::receive::{ReceivedMessages, read};
use crate::discovery::mdns::channel::{Channel, SocketPurpose};
use crate::discovery::mdns::interface_table::{InterfaceTable, NetworkInterface};
use crate::net::socket::{self, MulticastFamily};

/// One socket, until it is dropped.
pub(super) struct OpenSocket {
    pub(super) nic: String,
    pub(super) family: MulticastFamily,
    /// Set if the interface has no other family.
    is_only: bool,
    pub(super) channel: Rc<Channel>,
    opened: Instant,
    /// The task of the reader, which ends with the error of the socket, if there is one.
    reader: JoinHandle<Option<io::Error>>,
}

impl OpenSocket {
    /// Opens a socket, and starts its reader.
    ///
    /// # Errors
    /// Those of [`Channel::open`].
    fn begin(
        nic: &NetworkInterface,
        family: MulticastFamily,
        is_only: bool,
        purpose: SocketPurpose,
        recipient: &Recipient<ReceivedMessages>,
        now: Instant,
    ) -> io::Result<Self> {
        let channel = Rc::new(Channel::open(nic, family, purpose)?);
        let reader = actix_rt::spawn(read(Rc::clone(&channel), purpose, recipient.clone()));
        Ok(Self { nic: nic.name.clone(), family, is_only, channel, opened: now, reader })
    }

    pub(super) fn in_family(&self) -> InterfaceFamily {
        in_family(self.family, self.is_only)
    }

    /// Returns the error of the socket, if its reader has ended.
    fn problem(&mut self) -> Option<String> {
        let ended = Pin::new(&mut self.reader).poll(&mut TaskContext::from_waker(Waker::noop()));
        let Poll::Ready(ended) = ended else { return None };
        let problem = ended.map(|error| error.map(|error| error.to_string()));
        Some(problem.ok().flatten().unwrap_or_else(|| "its reader has ended".to_owned()))
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl MulticastState {
    /// Listens on these interfaces, and passes messages to `recipient`. Returns whether announcements may have been missed: on an
    /// interface that is new, or was not received on for a while.
    pub(crate) fn listen(
        &mut self,
        nics: InterfaceTable,
        recipient: &Recipient<ReceivedMessages>,
        now: Instant,
    ) -> bool {
        if nics != self.nics {
            // The interfaces may have other addresses.
            self.one_shot.clear();
            if !nics.left_out.is_empty() && !self.has_logged_excluded {
                self.has_logged_excluded = true;
                tracing::warn!("{}", excluded(&nics.left_out));
            }
            self.nics = nics;
        }
        let nics = self.nics.used.clone();
        self.faults.retain(|name| nics.iter().any(|nic| nic.name == name));
        let mut previous = std::mem::take(&mut self.listening);
        let (mut may_have_missed, mut port_is_held) = (false, false);
        for (nic, family, is_only) in sockets_of(&nics, SocketPurpose::Multicast) {
            let key = key(&nic.name, family, SocketPurpose::Multicast);
            let zone = nic.index.unwrap_or(0);
            let is_same = |open: &OpenSocket| {
                open.nic == nic.name && open.family == family && open.channel.zone() == zone
            };
            if let Some(at) = previous.iter().position(is_same) {
                let mut open = previous.swap_remove(at);
                match open.problem() {
                    None => {
                        open.is_only = is_only;
                        may_have_missed |= has_recovered(&mut self.faults, &key, open.opened, now);
                        self.listening.push(open);
                        continue;
                    }
                    Some(problem) => {
                        let notice =
                            self.faults.record_failure(key.clone(), open.opened, problem.clone(), now);
                        warn(notice, &open.channel.to_string(), &problem);
                    }
                }
            }
            if !self.faults.may_open(&key, now) {
                continue;
            }
            match OpenSocket::begin(nic, family, is_only, SocketPurpose::Multicast, recipient, now) {
                Ok(open) => {
                    // A socket that failed before may fail again: missed announcements are queried when it works.
                    may_have_missed |= !self.faults.may_fail_again(&key);
                    self.listening.push(open);
                }
                // Services cannot be announced either; the announcer logs that, and its end.
                Err(error) if socket::is_port_held(&error) => port_is_held = true,
                Err(error) => {
                    let problem = error.to_string();
                    warn(self.faults.record_open_failure(key, problem.clone(), now), &nic.name, &problem);
                }
            }
        }
        self.observations.port_taken = Some(port_is_held);
        may_have_missed
    }

    /// Opens the sockets for one-shot questions, unless they are open.
    pub(crate) fn open_one_shot(&mut self, recipient: &Recipient<ReceivedMessages>, now: Instant) {
        self.one_shot_at = Some(now);
        let mut previous = std::mem::take(&mut self.one_shot);
        for (nic, family, is_only) in sockets_of(&self.nics.used, SocketPurpose::OneShot) {
            let key = key(&nic.name, family, SocketPurpose::OneShot);
            let is_same = |open: &OpenSocket| open.nic == nic.name && open.family == family;
            if let Some(at) = previous.iter().position(is_same) {
                let mut open = previous.swap_remove(at);
                let Some(problem) = open.problem() else {
                    self.one_shot.push(open);
                    continue;
                };
                warn(
                    self.faults.record_open_failure(key, problem.clone(), now),
                    &open.channel.to_string(),
                    &problem,
                );
            }
            match OpenSocket::begin(nic, family, is_only, SocketPurpose::OneShot, recipient, now) {
                Ok(open) => self.one_shot.push(open),
                Err(error) => {
                    tracing::debug!(interface = nic.name, %error, "no socket for one-shot questions on this interface");
                    if Families::First.include(in_family(family, is_only)) {
                        record_error(&mut self.observations.send_errors, &nic.name, &error);
                    }
                }
            }
        }
    }
}

/// Returns whether a socket that failed while it was open works again. Logs that if the failure was logged.
fn has_recovered(faults: &mut SocketFaults, key: &SocketKey, opened: Instant, now: Instant) -> bool {
    let has_failed = faults.may_fail_again(key);
    let notice = faults.record_use(key, opened, now);
    if notice == Some(FaultNotice::Reason) {
        tracing::warn!(interface = key.0, "multicast DNS is received again");
    }
    has_failed && notice.is_some()
}

/// Returns the sockets for these interfaces and this purpose: each with its interface, its family, and whether that
/// is the only one.
fn sockets_of(
    nics: &[NetworkInterface],
    purpose: SocketPurpose,
) -> impl Iterator<Item = (&NetworkInterface, MulticastFamily, bool)> {
    nics.iter().flat_map(move |nic| {
        let is_only = nic.families().count() == 1;
        let families: Vec<MulticastFamily> = match purpose {
            SocketPurpose::OneShot => nic.askers().collect(),
            SocketPurpose::Multicast => nic.families().collect(),
        };
        families.into_iter().map(move |family| (nic, family, is_only))
    })
}

fn in_family(family: MulticastFamily, is_only: bool) -> InterfaceFamily {
    InterfaceFamily { is_ipv4: family != MulticastFamily::V6, is_only }
}

fn key(nic: &str, family: MulticastFamily, purpose: SocketPurpose) -> SocketKey {
    (nic.to_owned(), family != MulticastFamily::V6, purpose)
}

fn warn(notice: FaultNotice, socket: &str, problem: &str) {
    match notice {
        FaultNotice::Reason => tracing::warn!(socket, problem, "multicast DNS is not received; retrying"),
        FaultNotice::Nothing => tracing::debug!(socket, problem, "multicast DNS is still not received"),
    }
}

/// Returns the log message about the interfaces that are not used.
fn excluded(names: &[String]) -> String {
    let (are, others) = if names.len() == 1 { ("is", "another") } else { ("are", "others") };
    let remedy = format!("to use {others}, set MESHZERO_INTERFACES");
    format!("there are too many network interfaces to use them all: {} {are} left out; {remedy}", few(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_about_unused_interfaces_has_a_singular_and_a_plural() {
        let names: Vec<String> = (0..6).map(|n| format!("br-{n}")).collect();
        let one = excluded(&names[..1]);
        assert!(one.contains("br-0 is left out; to use another"), "{one}");
        let many = excluded(&names);
        assert!(many.contains("br-0, br-1, br-2, br-3 and 2 more are left out; to use others"), "{many}");
    }
}
