//! The serving side of measurements: the service under its name, and bare TCP beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use meshzero::{Mesh, Service, ServiceName};

use super::service::{BenchService, IdleActor};
use crate::bench::baseline;
use crate::bench::traffic::packet::{Echo, OneWay, Packet};
use crate::bench::traffic::protocol::{
    AdvertiseProbe, BeginStream, BenchGreet, EndStream, ReadClock, ReadCounts, SubscribePackets, TOPIC,
    WithdrawProbe,
};
use crate::failure::Failure;

/// Advertises the service and serves bare TCP; dropping the returned handles ends both.
pub(crate) async fn serve(
    mesh: &Mesh,
    name: &ServiceName,
    place: Option<&str>,
) -> Result<(Service<BenchService>, baseline::BaselineServer), Failure> {
    let (own, baseline) = (mesh.clone(), Arc::new(AtomicU16::new(0)));
    let told = Arc::clone(&baseline);
    let mut advertise = mesh
        .advertise(name, move || BenchService::new(own.clone(), Arc::clone(&told)))
        .handles::<OneWay>()
        .handles::<Echo>()
        .handles::<BenchGreet>()
        .handles::<BeginStream>()
        .handles::<SubscribePackets>()
        .handles::<ReadCounts>()
        .handles::<EndStream>()
        .handles::<ReadClock>()
        .handles::<AdvertiseProbe>()
        .handles::<WithdrawProbe>();
    if let Some(place) = place {
        advertise = advertise.at(place);
    }
    let service = advertise.await?;
    // Bare TCP is served at the addresses of the service only.
    let mut addresses = service.instance().addresses.clone();
    addresses.sort_by_key(SocketAddr::ip);
    addresses.dedup_by_key(|address| address.ip());
    let (peer, port) = baseline::BaselineServer::serve(addresses.into_iter()).await?;
    baseline.store(port, Ordering::Relaxed);
    Ok((service, peer))
}

/// Advertises the publisher of packets, under a unique name.
pub(crate) async fn publisher(mesh: &Mesh, name: &ServiceName) -> Result<Service<IdleActor>, Failure> {
    Ok(mesh.advertise(name, || IdleActor).publishes::<Packet>(TOPIC).await?)
}
