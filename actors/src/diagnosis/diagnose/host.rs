//! An examination of this host, on a thread of its own: reading system files may block.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use meshzero_proto::diagnosis::{InterfaceSeen, Surroundings};

use super::{host_environment, network};
use crate::context::NodeContext;
use crate::net::host::interfaces::{self, local_address};
use crate::net::host::neighbours::{self, NeighbourEntry};
use crate::net::host::routers;
use crate::net::interfaces::Interfaces;
use crate::net::zone;
use crate::runtime::detached::detached;

/// The state of this host. Parts that could not be read are `None` or missing.
#[derive(Debug, Clone, Default)]
pub(super) struct HostState {
    pub(super) interfaces: Option<Vec<InterfaceSeen>>,
    pub(super) neighbours: Option<Vec<NeighbourEntry>>,
    pub(super) gateways: Vec<IpAddr>,
    /// The interfaces by which packets to addresses leave.
    pub(super) routes: Vec<(IpAddr, String)>,
    pub(super) surroundings: Surroundings,
}

/// Returns the name of the interface that is the zone of an address, if it has one.
pub(super) fn zone_name(address: SocketAddr) -> Option<String> {
    Some(zone::of(address)).filter(|zone| *zone != 0).and_then(interfaces::name_of)
}

/// Examines this host, one examination at a time; `None` if the system provides no thread.
pub(super) async fn gather(
    context: &NodeContext,
    interfaces: &Interfaces,
    addresses: Vec<SocketAddr>,
) -> Option<HostState> {
    let permit = Arc::clone(&context.diagnosis_permit).acquire_owned().await.ok()?;
    let interfaces = interfaces.clone();
    let examine_host = move || {
        let _permit = permit;
        examine(&interfaces, &addresses)
    };
    detached("meshzero-diagnosis", examine_host).await.ok()
}

fn examine(choice: &Interfaces, addresses: &[SocketAddr]) -> HostState {
    let interfaces = network::interfaces(choice);
    let routes = addresses
        .iter()
        .filter_map(|address| {
            let source = local_address(*address)?;
            let has = |interface: &&InterfaceSeen| interface.addresses.iter().any(|own| own.ip == source);
            let interface = interfaces.iter().flatten().find(has)?;
            Some((address.ip(), interface.name.clone()))
        })
        .collect();
    HostState {
        interfaces,
        neighbours: neighbours::table(),
        gateways: routers::all(),
        routes,
        surroundings: host_environment::read(),
    }
}
