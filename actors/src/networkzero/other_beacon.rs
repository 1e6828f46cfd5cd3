//! The beacon of this machine where that is another process: it is told and asked over its own command socket.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use meshzero_proto::limits::Limits;
use meshzero_proto::networkzero::{COMMAND_PORT, LIFETIME};
use serde_json::{Value, json};
use tokio::time;

use crate::network::Network;
use crate::zmtp::{self, Reached, WireError};

/// How long an answer may take: the beacon serves one program after the other, each for half a second at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to it.
pub(super) struct OtherBeacon {
    reached: Reached,
    /// What it was told to advertise.
    told: BTreeMap<String, SocketAddrV4>,
}

/// Why it cannot be asked any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum OtherBeaconError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    #[error("an answer that is none: {0}")]
    Answer(String),
}

impl OtherBeacon {
    /// Reaches it.
    ///
    /// # Errors
    /// [`OtherBeaconError`].
    pub(super) async fn reach(network: &Network, limits: &Limits) -> Result<Self, OtherBeaconError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, COMMAND_PORT));
        let reached = time::timeout(PATIENCE, zmtp::reach(network, address, limits))
            .await
            .map_err(|_| OtherBeaconError::TimedOut)??;
        Ok(Self { reached, told: BTreeMap::new() })
    }

    /// What other programs advertise.
    ///
    /// # Errors
    /// [`OtherBeaconError`].
    pub(super) async fn natives(&mut self) -> Result<BTreeMap<String, SocketAddrV4>, OtherBeaconError> {
        let all = self.ask(json!(["discover_all"])).await?;
        let all: Vec<(String, String)> =
            serde_json::from_value(all).map_err(|error| OtherBeaconError::Answer(error.to_string()))?;
        let mut natives: BTreeMap<String, SocketAddrV4> =
            all.into_iter().filter_map(|(name, address)| Some((name, address.parse().ok()?))).collect();
        // It forgets what it was told when somebody resets it.
        self.told.retain(|name, address| natives.get(name) == Some(address));
        natives.retain(|name, _| !self.told.contains_key(name));
        Ok(natives)
    }

    /// Has it advertise these services, and no others that it was told of here.
    ///
    /// # Errors
    /// [`OtherBeaconError`].
    pub(super) async fn announce(
        &mut self,
        services: &BTreeMap<String, SocketAddrV4>,
    ) -> Result<(), OtherBeaconError> {
        let gone: Vec<String> =
            self.told.keys().filter(|name| !services.contains_key(*name)).cloned().collect();
        for name in gone {
            self.ask(json!(["unadvertise", name])).await?;
            self.told.remove(&name);
        }
        for (name, address) in services {
            if self.told.get(name) != Some(address) {
                self.ask(json!(["advertise", name, address.to_string(), false, LIFETIME.as_secs()])).await?;
                self.told.insert(name.clone(), *address);
            }
        }
        Ok(())
    }

    async fn ask(&mut self, command: Value) -> Result<Value, OtherBeaconError> {
        let command = command.to_string();
        let asking = self.reached.ask(command.as_bytes());
        let answer = time::timeout(PATIENCE, asking).await.map_err(|_| OtherBeaconError::TimedOut)??;
        serde_json::from_slice(&answer).map_err(|error| OtherBeaconError::Answer(error.to_string()))
    }
}
