//! The beacon of this machine if that is another process: announcements and queries go over its command socket.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use meshzero_proto::limits::Limits;
use meshzero_proto::networkzero::{COMMAND_PORT, LIFETIME};
use serde_json::{Value, json};
use tokio::time;

use crate::net::network::Network;
use crate::server::zmtp::{self, ZmtpConnectionError, ZmtpPeer};

/// The timeout of an answer: the beacon serves one program after the other, each for half a second at most.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the beacon of another process.
pub(super) struct ExternalBeacon {
    peer: ZmtpPeer,
    /// The services that it was asked to advertise.
    announced: BTreeMap<String, SocketAddrV4>,
    /// The most names of others that are imported.
    max_names: usize,
    /// The number of names beyond the limit in the last answer.
    left_out: usize,
}

/// The reason why the beacon cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExternalBeaconError {
    #[error(transparent)]
    Wire(#[from] ZmtpConnectionError),
    #[error("no answer within {REPLY_TIMEOUT:?}")]
    TimedOut,
    #[error("not a valid answer: {0}")]
    Answer(String),
}

impl ExternalBeacon {
    /// Connects to the beacon, to import at most `max_names` names of others.
    ///
    /// # Errors
    /// [`ExternalBeaconError`].
    pub(super) async fn connect(
        network: &Network,
        limits: &Limits,
        max_names: usize,
    ) -> Result<Self, ExternalBeaconError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, COMMAND_PORT));
        let peer = time::timeout(REPLY_TIMEOUT, zmtp::connect(network, address, limits))
            .await
            .map_err(|_| ExternalBeaconError::TimedOut)??;
        Ok(Self { peer, announced: BTreeMap::new(), max_names, left_out: 0 })
    }

    /// Returns the services that other programs advertise.
    ///
    /// # Errors
    /// [`ExternalBeaconError`].
    pub(super) async fn list(&mut self) -> Result<BTreeMap<String, SocketAddrV4>, ExternalBeaconError> {
        let all = self.request(json!(["discover_all"])).await?;
        let all =
            serde_json::from_value(all).map_err(|error| ExternalBeaconError::Answer(error.to_string()))?;
        let (natives, left_out) = natives(all, &mut self.announced, self.max_names);
        if left_out > self.left_out {
            tracing::warn!(left_out, "NetworkZero has more names than are imported");
        }
        self.left_out = left_out;
        Ok(natives)
    }

    /// Makes the beacon advertise these services, and no others that this gateway has announced.
    ///
    /// # Errors
    /// [`ExternalBeaconError`].
    pub(super) async fn announce(
        &mut self,
        services: &BTreeMap<String, SocketAddrV4>,
    ) -> Result<(), ExternalBeaconError> {
        let removed: Vec<String> =
            self.announced.keys().filter(|name| !services.contains_key(*name)).cloned().collect();
        for name in removed {
            self.request(json!(["unadvertise", name])).await?;
            self.announced.remove(&name);
        }
        for (name, address) in services {
            if self.announced.get(name) != Some(address) {
                self.request(json!(["advertise", name, address.to_string(), false, LIFETIME.as_secs()]))
                    .await?;
                self.announced.insert(name.clone(), *address);
            }
        }
        Ok(())
    }

    async fn request(&mut self, command: Value) -> Result<Value, ExternalBeaconError> {
        let command = command.to_string();
        let answer = self.peer.request(command.as_bytes());
        let answer =
            time::timeout(REPLY_TIMEOUT, answer).await.map_err(|_| ExternalBeaconError::TimedOut)??;
        serde_json::from_slice(&answer).map_err(|error| ExternalBeaconError::Answer(error.to_string()))
    }
}

/// Returns the names that a beacon knows, `all`, without those that were `announced` to it: the first `max_names` in their
/// order, and the number of the others. Announced names that it no longer knows are removed from `announced`: a program has
/// reset the beacon.
fn natives(
    all: Vec<(String, String)>,
    announced: &mut BTreeMap<String, SocketAddrV4>,
    max_names: usize,
) -> (BTreeMap<String, SocketAddrV4>, usize) {
    let mut natives: BTreeMap<String, SocketAddrV4> =
        all.into_iter().filter_map(|(name, address)| Some((name, address.parse().ok()?))).collect();
    announced.retain(|name, address| natives.get(name) == Some(address));
    natives.retain(|name, _| !announced.contains_key(name));
    let left_out = natives.len().saturating_sub(max_names);
    if left_out > 0 {
        natives = natives.into_iter().take(max_names).collect();
    }
    (natives, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_imported_names_is_limited() {
        let name = |number| format!("{number:05}");
        let all = || (0..20_000).map(|number| (name(number), "127.0.0.1:1".to_owned())).collect();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let mut announced = BTreeMap::from([(name(0), address), ("gone".to_owned(), address)]);
        let (import, left_out) = natives(all(), &mut announced, 512);
        assert_eq!((import.len(), left_out), (512, 20_000 - 1 - 512));
        assert_eq!(announced.into_keys().collect::<Vec<_>>(), [name(0)]);
        assert!(import.keys().eq(&(1..=512).map(name).collect::<Vec<_>>()), "always the same ones");
    }
}
