//! Serving measurements: the service under its name, and bare TCP beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use meshzero::{Mesh, Service, ServiceName};

use super::service::{Serving, Silent};
use crate::bench::baseline;
use crate::bench::traffic::packet::{Echo, Packet, Take};
use crate::bench::traffic::protocol::{Appear, Begin, BenchGreet, Clock, End, Follow, Look, TOPIC, Vanish};
use crate::failure::Failure;

/// Advertises the service and serves bare TCP; both end with what is returned.
pub(crate) async fn serve(
    mesh: &Mesh,
    name: &ServiceName,
    place: Option<&str>,
) -> Result<(Service<Serving>, baseline::Peer), Failure> {
    let (own, floor) = (mesh.clone(), Arc::new(AtomicU16::new(0)));
    let told = Arc::clone(&floor);
    let mut advertise = mesh
        .advertise(name, move || Serving::new(own.clone(), Arc::clone(&told)))
        .handles::<Take>()
        .handles::<Echo>()
        .handles::<BenchGreet>()
        .handles::<Begin>()
        .handles::<Follow>()
        .handles::<Look>()
        .handles::<End>()
        .handles::<Clock>()
        .handles::<Appear>()
        .handles::<Vanish>();
    if let Some(place) = place {
        advertise = advertise.at(place);
    }
    let service = advertise.await?;
    // Bare TCP is reached where the service is, and nowhere else.
    let mut addresses = service.instance().addresses.clone();
    addresses.sort_by_key(SocketAddr::ip);
    addresses.dedup_by_key(|address| address.ip());
    let (peer, port) = baseline::Peer::serve(addresses.into_iter()).await?;
    floor.store(port, Ordering::Relaxed);
    Ok((service, peer))
}

/// Advertises what publishes packets. Its name is another one each time.
pub(crate) async fn publisher(mesh: &Mesh, name: &ServiceName) -> Result<Service<Silent>, Failure> {
    Ok(mesh.advertise(name, || Silent).publishes::<Packet>(TOPIC).await?)
}
