//! `mz gateway`: gateways to programs of other protocols.

use std::fmt;

use clap::{Args, Subcommand};
use meshzero::networkzero::GatewayEvent;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{BAD, FAINT, GOOD, line};
use crate::session::Session;

/// Connects the mesh with programs of other protocols
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz gateway networkzero
  mz gateway help networkzero")]
pub(crate) struct Gateway {
    #[command(subcommand)]
    to: GatewayKind,
}

#[derive(Debug, Subcommand)]
enum GatewayKind {
    /// NetworkZero for Python: each side finds the other's services by name
    ///
    /// Acts as the beacon (UDP port 9999), or uses that of another process on this machine (port 9998 on loopback).
    /// Services of the mesh are advertised in NetworkZero, and called directly: every endpoint speaks ZeroMQ. Services
    /// of NetworkZero become services of the mesh while they are reachable. A name that both sides have is not
    /// bridged. Prints each change, until Ctrl-C.
    #[command(after_help = "\
Examples:
  mz gateway networkzero
  mz gateway networkzero --interfaces eth0 --json")]
    Networkzero,
}

impl Gateway {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh().await?;
        match self.to {
            GatewayKind::Networkzero => {
                let mut gateway =
                    mesh.networkzero().await.map_err(|error| Failure::Local(error.to_string()))?;
                session.set_endless();
                while let Some(crossing) = gateway.next().await {
                    if let Some(crossed) = CrossingRecord::of(crossing) {
                        // Changes do not wait for the terminal.
                        session.out.offer(&crossed);
                    }
                }
                Ok(())
            }
        }
    }
}

/// The record of a change.
#[derive(Debug, Serialize)]
struct CrossingRecord {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl CrossingRecord {
    /// Returns the record; `None` for changes of a later version.
    fn of(crossing: GatewayEvent) -> Option<Self> {
        let mut missed = None;
        let (event, service, address) = match crossing {
            GatewayEvent::Imported { name, address } => ("to-mesh", Some(name.to_string()), Some(address)),
            GatewayEvent::Withdrawn { name } => ("from-mesh", Some(name.to_string()), None),
            GatewayEvent::Announced { name, address } => ("announced", Some(name), Some(address)),
            GatewayEvent::Unannounced { name } => ("unannounced", Some(name), None),
            GatewayEvent::IsBeacon => ("is-beacon", None, None),
            GatewayEvent::OtherBeacon => ("other-beacon", None, None),
            GatewayEvent::Missed { count } => {
                missed = Some(count);
                ("missed", None, None)
            }
            _ => return None,
        };
        Some(Self { event, service, address: address.map(|address| address.to_string()), count: missed })
    }
}

impl fmt::Display for CrossingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service.as_deref().map(line).map(|line| line.to_string()).unwrap_or_default();
        let address = self.address.as_deref().unwrap_or_default();
        match self.event {
            "to-mesh" => write!(f, "{GOOD}NetworkZero -> mesh{GOOD:#}  {service}  {FAINT}{address}{FAINT:#}"),
            "announced" => {
                write!(f, "{GOOD}mesh -> NetworkZero{GOOD:#}  {service}  {FAINT}{address}{FAINT:#}")
            }
            "from-mesh" => write!(f, "{BAD}gone from the mesh {BAD:#}  {service}"),
            "unannounced" => write!(f, "{BAD}no longer announced{BAD:#} {service}"),
            "missed" => write!(f, "{FAINT}{} more that are not shown{FAINT:#}", self.count.unwrap_or(0)),
            "is-beacon" => write!(f, "{FAINT}this program is the beacon of this machine{FAINT:#}"),
            _ => write!(f, "{FAINT}another program is the beacon of this machine{FAINT:#}"),
        }
    }
}
