//! A daemon of mdns-sd, whose commands are repeated while its queue is full.

use std::sync::Arc;

use mdns_sd::{Error, IfKind, IfPredicate, Metrics, ServiceDaemon, ServiceInfo};
use meshzero_proto::discovery::query::LOOPBACK_DATAGRAM_BYTES;
use meshzero_proto::id::InstanceId;

use super::{GOODBYE_TIMEOUT, MdnsShared, SERVICE_TYPE, retry_while_full};

/// The most records that a daemon may store. One that asks nothing stores hardly any, unless it is flooded: mdns-sd has no
/// bound.
const MAX_RECORDS: i64 = 8_192;
/// The interval at which a daemon checks for interfaces that have come or gone, in seconds.
const INTERFACE_CHECK_SECONDS: u32 = 2;

/// One daemon.
pub(super) struct Daemon(ServiceDaemon);

impl Daemon {
    /// Starts a daemon, which uses the chosen interfaces.
    pub(super) fn start(shared: &Arc<MdnsShared>) -> Result<Self, Error> {
        let daemon = ServiceDaemon::new()?;
        // Commands are executed in order, so nothing is sent on an interface that was not chosen.
        let state = Arc::clone(shared);
        let filter = IfPredicate::new(move |interface| state.uses(&interface.name, interface.ip()));
        retry_while_full(|| daemon.disable_interface(IfKind::All))?;
        retry_while_full(|| daemon.enable_interface(IfKind::Predicate(filter.clone())))?;
        retry_while_full(|| daemon.set_max_packet_size(IfKind::LoopbackV4, LOOPBACK_DATAGRAM_BYTES))?;
        retry_while_full(|| daemon.set_ip_check_interval(INTERFACE_CHECK_SECONDS))?;
        #[cfg(test)]
        shared.sabotage.expose(&daemon);
        Ok(Self(daemon))
    }

    /// Announces a service, or announces it again.
    pub(super) fn register(&self, info: &ServiceInfo) -> Result<(), Error> {
        retry_while_full(|| self.0.register(info.clone()))
    }

    /// Withdraws a service.
    pub(super) fn unregister(&self, instance: InstanceId) -> Result<(), Error> {
        retry_while_full(|| self.0.unregister(&format!("{instance}.{SERVICE_TYPE}"))).map(drop)
    }

    /// Makes the daemon choose its addresses again, by the only command that does so.
    pub(super) fn choose_addresses_again(&self) -> Result<(), Error> {
        retry_while_full(|| self.0.enable_interface(Vec::<IfKind>::new()))
    }

    /// Returns whether the daemon stores more records than it should.
    ///
    /// # Errors
    /// The daemon has ended.
    pub(super) fn is_overfull(&self) -> Result<bool, Error> {
        match self.0.get_metrics() {
            // A busy daemon answers the next time.
            Ok(metrics) => {
                Ok(metrics.recv_timeout(GOODBYE_TIMEOUT).is_ok_and(|metrics| records(&metrics) > MAX_RECORDS))
            }
            Err(Error::Again) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends the goodbyes of all services, and ends the daemon. Returns whether it has ended in time.
    ///
    /// # Errors
    /// The daemon had already ended.
    pub(super) fn shut_down(&self) -> Result<bool, Error> {
        let done = retry_while_full(|| self.0.shutdown())?;
        Ok(done.recv_timeout(GOODBYE_TIMEOUT).is_ok())
    }
}

/// Returns the number of records of others that a daemon stores.
fn records(metrics: &Metrics) -> i64 {
    metrics.iter().filter(|(counter, _)| counter.starts_with("cached-")).map(|(_, count)| count).sum()
}
