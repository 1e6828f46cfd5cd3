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
use super::errors::note_error;
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
    /// The reader, which ends with the error of the socket, if it has one.
    reading: JoinHandle<Option<io::Error>>,
}

impl OpenSocket {
    /// Opens a socket, and passes on its messages.
    ///
    /// # Errors
    /// Those of [`Channel::open`].
    fn begin(
        nic: &NetworkInterface,
        family: MulticastFamily,
        is_only: bool,
        purpose: SocketPurpose,
        hearer: &Recipient<ReceivedMessages>,
        now: Instant,
    ) -> io::Result<Self> {
        let channel = Rc::new(Channel::open(nic, family, purpose)?);
        let reading = actix_rt::spawn(read(Rc::clone(&channel), purpose, hearer.clone()));
        Ok(Self { nic: nic.name.clone(), family, is_only, channel, opened: now, reading })
    }

    pub(super) fn in_family(&self) -> InterfaceFamily {
        in_family(self.family, self.is_only)
    }

    /// Returns the error of the socket, if its reader has ended.
    fn problem(&mut self) -> Option<String> {
        let ended = Pin::new(&mut self.reading).poll(&mut TaskContext::from_waker(Waker::noop()));
        let Poll::Ready(ended) = ended else { return None };
        let problem = ended.map(|error| error.map(|error| error.to_string()));
        Some(problem.ok().flatten().unwrap_or_else(|| "its reader has ended".to_owned()))
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl MulticastState {
    /// Listens on these interfaces, and passes messages to `hearer`. Returns whether one of them was not listened on before, or
    /// not for a while.
    pub(crate) fn listen(
        &mut self,
        nics: InterfaceTable,
        hearer: &Recipient<ReceivedMessages>,
        now: Instant,
    ) -> bool {
        if nics != self.nics {
            // They may have other addresses.
            self.one_shot.clear();
            if !nics.left_out.is_empty() && !self.has_logged_left_out {
                self.has_logged_left_out = true;
                tracing::warn!("{}", left_out(&nics.left_out));
            }
            self.nics = nics;
        }
        let nics = self.nics.used.clone();
        self.faults.retain(|name| nics.iter().any(|nic| nic.name == name));
        let mut before = std::mem::take(&mut self.listening);
        let (mut news, mut in_use) = (false, false);
        for (nic, family, is_only) in sockets_of(&nics, SocketPurpose::Multicast) {
            let key = key(&nic.name, family, SocketPurpose::Multicast);
            let zone = nic.index.unwrap_or(0);
            let same = |open: &OpenSocket| {
                open.nic == nic.name && open.family == family && open.channel.zone() == zone
            };
            if let Some(at) = before.iter().position(same) {
                let mut open = before.swap_remove(at);
                match open.problem() {
                    None => {
                        open.is_only = is_only;
                        news |= has_recovered(&mut self.faults, &key, open.opened, now);
                        self.listening.push(open);
                        continue;
                    }
                    Some(problem) => {
                        let word = self.faults.failed(key.clone(), open.opened, problem.clone(), now);
                        warn(word, &open.channel.to_string(), &problem);
                    }
                }
            }
            if !self.faults.may_open(&key, now) {
                continue;
            }
            match OpenSocket::begin(nic, family, is_only, SocketPurpose::Multicast, hearer, now) {
                Ok(open) => {
                    // A socket that failed before may fail again: missed announcements are queried when it works.
                    news |= !self.faults.may_fail_again(&key);
                    self.listening.push(open);
                }
                // Services cannot be announced either; the announcer logs that, and when it has passed.
                Err(error) if socket::is_port_held(&error) => in_use = true,
                Err(error) => {
                    let problem = error.to_string();
                    warn(self.faults.refused(key, problem.clone(), now), &nic.name, &problem);
                }
            }
        }
        self.seen.port_taken = Some(in_use);
        news
    }

    /// Opens the sockets for one-shot questions, unless they are open.
    pub(crate) fn open_one_shot(&mut self, hearer: &Recipient<ReceivedMessages>, now: Instant) {
        self.one_shot_at = Some(now);
        let mut before = std::mem::take(&mut self.one_shot);
        for (nic, family, is_only) in sockets_of(&self.nics.used, SocketPurpose::OneShot) {
            let key = key(&nic.name, family, SocketPurpose::OneShot);
            let same = |open: &OpenSocket| open.nic == nic.name && open.family == family;
            if let Some(at) = before.iter().position(same) {
                let mut open = before.swap_remove(at);
                let Some(problem) = open.problem() else {
                    self.one_shot.push(open);
                    continue;
                };
                warn(self.faults.refused(key, problem.clone(), now), &open.channel.to_string(), &problem);
            }
            match OpenSocket::begin(nic, family, is_only, SocketPurpose::OneShot, hearer, now) {
                Ok(open) => self.one_shot.push(open),
                Err(error) => {
                    tracing::debug!(interface = nic.name, %error, "no question can be asked here");
                    if Families::First.include(in_family(family, is_only)) {
                        note_error(&mut self.seen.send_errors, &nic.name, &error);
                    }
                }
            }
        }
    }
}

/// Returns whether a socket works by now that failed while it was open. Logs that if the failure was logged.
fn has_recovered(faults: &mut SocketFaults, key: &SocketKey, opened: Instant, now: Instant) -> bool {
    let has_failed = faults.may_fail_again(key);
    let word = faults.lasts(key, opened, now);
    if word == Some(FaultNotice::Reason) {
        tracing::warn!(interface = key.0, "multicast DNS is received again");
    }
    has_failed && word.is_some()
}

/// Returns the sockets for these interfaces and this purpose: each with its interface and family, and whether that has no other
/// one.
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

fn warn(word: FaultNotice, socket: &str, problem: &str) {
    match word {
        FaultNotice::Reason => tracing::warn!(socket, problem, "multicast DNS is not received; retrying"),
        FaultNotice::Nothing => tracing::debug!(socket, problem, "multicast DNS is still not received"),
    }
}

/// Returns the sentence about the interfaces that are left out.
fn left_out(names: &[String]) -> String {
    let (are, others) = if names.len() == 1 { ("is", "another") } else { ("are", "others") };
    let way_out = format!("to use {others}, set MESHZERO_INTERFACES");
    format!("there are too many network interfaces to use them all: {} {are} left out; {way_out}", few(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_is_left_out_and_many_are() {
        let names: Vec<String> = (0..6).map(|n| format!("br-{n}")).collect();
        let one = left_out(&names[..1]);
        assert!(one.contains("br-0 is left out; to use another"), "{one}");
        let many = left_out(&names);
        assert!(many.contains("br-0, br-1, br-2, br-3 and 2 more are left out; to use others"), "{many}");
    }
}
