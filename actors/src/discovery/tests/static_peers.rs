//! Discovery actors that are connected by static peers alone.

use super::*;

#[actix::test]
async fn static_peers_forward_services() {
    let mesh = own_mesh();
    let hub = Node::start_with(&mesh, unused_interface(), Vec::new());
    let endpoint = hub.offer("hub").await;
    let peers = vec![endpoint.address.to_string()];
    let ann = Node::start_with(&mesh, unused_interface(), peers.clone());
    let bob = Node::start_with(&mesh, unused_interface(), peers);
    let mut at_bob = bob.watch(Filter::Prefix("ann".into())).await;
    let mut at_hub = hub.watch(Filter::Prefix("ann".into())).await;
    let early = ann.offer("ann/early").await;
    for watcher in [&mut at_hub, &mut at_bob] {
        let found = up(watcher).await;
        assert_eq!((found.service, found.addresses), (name("ann/early"), vec![early.address]));
    }
    let late = ann.offer("ann/late").await;
    assert_eq!(up(&mut at_bob).await.service, name("ann/late"));
    let instance = late.instance;
    drop(late);
    ann.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut at_bob).await.0, name("ann/late"));
    drop(early);
    ann.leave().await;
    assert_eq!(down(&mut at_bob).await.0, name("ann/early"));
    assert_eq!(bob.list().await.len(), 1, "the hub is left");
    bob.leave().await;
    hub.leave().await;
}

#[actix::test]
async fn a_static_peer_may_start_later_and_restart() {
    let mesh = own_mesh();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let local = Node::start_with(&mesh, unused_interface(), vec![address.to_string(), "no host:x".into()]);
    let mut watcher = local.watch(Filter::everything()).await;
    let unconnected = local.discovery.send(GetReport).await.expect("the actor lives").peers;
    assert!(unconnected.len() == 2 && unconnected[0].starts_with(&format!("{address}: ")), "{unconnected:?}");
    for service in ["first", "second"] {
        let hub = Node::start_with(&mesh, unused_interface(), Vec::new());
        let offered = hub.offer(service).await;
        // First another program closes the connection, then the real peer answers behind the same address.
        drop(listener.accept().await.expect("loopback accepts"));
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        let (stream, hello) = welcome(stream, &mesh, hub.id, offered.instance).await.expect("a peer");
        hub.discovery.do_send(PeerConnection { connection: stream.into(), hello });
        assert_eq!(up(&mut watcher).await.service, name(service));
        let unconnected = local.discovery.send(GetReport).await.expect("the actor lives").peers;
        assert!(unconnected.len() == 1 && unconnected[0].starts_with("no host:x: "), "{unconnected:?}");
        drop(offered);
        hub.leave().await;
        assert_eq!(down(&mut watcher).await.0, name(service));
    }
    local.leave().await;
}
