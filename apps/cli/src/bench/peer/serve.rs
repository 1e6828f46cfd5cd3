//! The serving side of measurements: the service under its name, and bare TCP beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use meshzero::{Blob, Mesh, Service, ServiceName};

use super::service::{BenchService, IdleActor};
use crate::bench::baseline;
use crate::bench::traffic::packet::{Body, Echo, OneWay, Packet, ShortBody};
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
        .handles::<OneWay<()>>()
        .handles::<OneWay<ShortBody>>()
        .handles::<OneWay<Blob>>()
        .handles::<Echo<()>>()
        .handles::<Echo<ShortBody>>()
        .handles::<Echo<Blob>>()
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
pub(crate) async fn publisher<B: Body>(
    mesh: &Mesh,
    name: &ServiceName,
) -> Result<Service<IdleActor>, Failure> {
    Ok(mesh.advertise(name, || IdleActor).publishes::<Packet<B>>(TOPIC).await?)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::bench::baseline::bulk;
    use crate::bench::baseline::threads::Threads;
    use crate::bench::peer::transport::unique;
    use crate::bench::traffic::counter::PacketCounts;
    use crate::bench::traffic::packet::PacketId;
    use crate::bench::traffic::pattern::{Pattern, SAMPLE};

    const SIZE: usize = 64;

    #[test]
    fn the_mesh_and_bare_tcp_detect_the_same_faults() {
        // 1 is lost, 3 arrives before 2, 4 arrives twice, and the last has the bytes of another packet.
        let mut packets: Vec<(u64, u64)> = [0, 3, 2, 4, 4].map(|number| (number, number)).to_vec();
        packets.extend((5..SAMPLE).map(|number| (number, number)));
        packets.push((SAMPLE, 5));
        let wanted = PacketCounts { received: SAMPLE, repeated: 1, reordered: 1, damaged: 1 };

        actix::System::new().block_on(async {
            let name = ServiceName::new(unique("bench-faults")).expect("a name");
            let mesh = Mesh::join().mesh(name.as_str()).interfaces("lo").await.expect("it joins");
            let (service, _bare) = serve(&mesh, &name, None).await.expect("it serves");
            let remote = mesh.discover(&name).await.expect("it is found");

            let stream =
                remote.send(BeginStream { size: SIZE as u64 }).await.expect("a reply").expect("begun");
            let pattern = Pattern::new(SIZE);
            for (number, of) in &packets {
                let mut packet = pattern.packet::<ShortBody>(stream, *of, SIZE);
                packet.id = PacketId::new(stream, *number);
                remote.tell(OneWay(packet)).await.expect("there is room");
            }
            let state = remote.send(ReadCounts { stream }).await.expect("a reply").expect("it is known");
            assert_eq!(state.counts, wanted, "the mesh");

            let greeting = remote.send(BenchGreet).await.expect("a reply");
            let local = |address: SocketAddr| address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
            assert!(service.instance().addresses.iter().copied().any(local));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, greeting.baseline));
            for threads in [Threads::One, Threads::Workers] {
                let counted = bulk::count_numbers(address, SIZE, &packets, threads).await;
                assert_eq!(counted.expect("bare TCP"), wanted, "{threads:?}");
            }
            mesh.close().await;
        });
    }
}
