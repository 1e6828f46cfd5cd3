//! Services of discovery actors that are watched, listed and sought, and those that die or are forged.

use meshzero_proto::discovery::query::ReplyAssembler;

use super::*;
use crate::discovery::mdns::channel::{Channel, SocketPurpose};

#[actix::test]
async fn a_watcher_receives_services_that_come_and_go() {
    let mesh = own_mesh();
    let (local, remote) = (Node::start(&mesh), Node::start(&mesh));
    let mut watcher = local.watch(Filter::Prefix("robot/".into())).await;
    let other = remote.offer("other").await;
    let arm = remote.offer("robot/arm").await;
    let found = up(&mut watcher).await;
    assert_eq!((found.service, found.id, found.node), (name("robot/arm"), arm.instance, remote.id));
    assert_eq!(found.addresses, [arm.address]);
    let instance = arm.instance;
    drop(arm);
    remote.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut watcher).await.0, name("robot/arm"));
    drop(other);
    local.leave().await;
    remote.leave().await;
    assert_eq!(time::timeout(TIMEOUT, watcher.recv()).await, Ok(None), "the watch ends with the node");
}

#[actix::test]
async fn own_services_are_listed_too() {
    let node = Node::start(&own_mesh());
    let _arm = node.offer("arm").await;
    let found = node.list().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].local);
    node.leave().await;
}

#[actix::test]
async fn services_that_were_announced_earlier_are_listed_and_found() {
    let mesh = own_mesh();
    let remote = Node::start(&mesh);
    let _a = remote.offer("group/a").await;
    let _b = remote.offer("group/b").await;
    let _c = remote.offer("c").await;
    let local = Node::start(&mesh);
    let mut watcher = local.watch(Filter::Name(name("c"))).await;
    local.discovery.send(Search { name: name("c") }).await.expect("the actor lives");
    assert_eq!(up(&mut watcher).await.service, name("c"));
    let services: Vec<_> = local.list().await.into_iter().map(|i| i.service.to_string()).collect();
    assert_eq!(services, ["c", "group/a", "group/b"]);
    let group = Filter::group("group", "/", vec![name("group/a")]);
    let group = local.list_within(group, TIMEOUT).await;
    assert_eq!(group.len(), 1);
    let nothing = local.list_within(Filter::Name(name("nothing")), Duration::from_millis(300)).await;
    assert!(nothing.is_empty());
    local.leave().await;
    remote.leave().await;
}

#[actix::test]
async fn a_process_that_dies_without_a_goodbye_is_noticed() {
    let mesh = own_mesh();
    let impostor = Impostor::start();
    let (arm, leg) = (endpoint(&mesh, impostor.node, None).await, endpoint(&mesh, impostor.node, None).await);
    impostor.announce(&mesh, "arm", arm.instance, arm.address);
    impostor.announce(&mesh, "leg", leg.instance, leg.address);
    let local = Node::start(&mesh);
    let mut watcher = local.watch(Filter::everything()).await;
    up(&mut watcher).await;
    up(&mut watcher).await;
    until("both live", async || local.list().await.len() == 2).await;
    // One endpoint closes, unannounced; the process lives, and with it the other service.
    drop(arm);
    time::sleep(Duration::from_millis(1_200)).await;
    let mut gone = Vec::new();
    while let Some(event) = watcher.try_recv() {
        if let DirectoryEvent::Down { instance, .. } = event {
            gone.push(instance.service);
        }
    }
    assert!(!gone.contains(&name("leg")), "{gone:?}");
    let killed = time::Instant::now();
    drop(leg);
    while gone.len() < 2 {
        gone.push(down(&mut watcher).await.0);
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "noticed after {:?}", killed.elapsed());
    assert!(local.list_within(Filter::everything(), Duration::from_millis(300)).await.is_empty());
    // Its records live on, and do not bring it back.
    impostor.announce(&mesh, "leg", InstanceId::from_random(random()), ([127, 0, 0, 1], 9).into());
    up(&mut watcher).await;
    down(&mut watcher).await;
    local.leave().await;
}

#[actix::test]
async fn services_that_do_not_answer_are_not_listed() {
    let mesh = own_mesh();
    let impostor = Impostor::start();
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    impostor.announce(&mesh, "forged", InstanceId::from_random(random()), gone);
    let local = Node::start(&mesh);
    let mut watcher = local.watch(Filter::everything()).await;
    assert_eq!(up(&mut watcher).await.service, name("forged"));
    assert_eq!(down(&mut watcher).await.0, name("forged"));
    assert!(local.list_within(Filter::everything(), Duration::from_millis(500)).await.is_empty());
    local.leave().await;
}

#[actix::test]
async fn a_forged_goodbye_is_not_believed() {
    let mesh = own_mesh();
    let remote = Node::start(&mesh);
    let arm = remote.offer("arm").await;
    let local = Node::start(&mesh);
    let mut watcher = local.watch(Filter::everything()).await;
    up(&mut watcher).await;
    let mut forger = Impostor::start();
    forger.node = remote.id;
    let list = Interfaces::loopback().list().expect("a list");
    let nics = InterfaceTable::of(&list);
    let family = nics.used[0].families().next().expect("it has an address");
    let channel = Channel::open(&nics.used[0], family, SocketPurpose::Multicast).expect("a socket");
    let mut replies = ReplyAssembler::default();
    // At another address, to distinguish it from the true node's announcements.
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], 9));
    forger.announce(&mesh, "arm", arm.instance, elsewhere);
    until("the forger's record is received", async || {
        let mut is_received = false;
        let on_datagram = |from, bytes: &[u8]| {
            let adverts = replies.add(from, bytes).map(|replied| replied.adverts).unwrap_or_default();
            is_received |= adverts.iter().any(|advert| advert.addresses == [elsewhere]);
        };
        channel.receive(64, on_datagram).await.expect("the socket lives");
        is_received
    })
    .await;
    forger.mdns.close().await;
    // The endpoint is probed, and answers.
    time::sleep(Duration::from_millis(500)).await;
    while let Some(event) = watcher.try_recv() {
        assert!(!matches!(event, DirectoryEvent::Down { .. }), "{event:?}");
    }
    assert_eq!(local.list().await.len(), 1);
    local.leave().await;
    remote.leave().await;
}

#[actix::test]
async fn another_mesh_is_reported_and_not_mixed() {
    let (mesh, other) = (own_mesh(), own_mesh());
    let remote = Node::start(&other);
    let _arm = remote.offer("arm").await;
    let local = Node::start(&mesh);
    local.discovery.send(Search { name: name("arm") }).await.expect("the actor lives");
    until("the other mesh is reported", async || {
        let report = local.discovery.send(GetReport).await.expect("the actor lives");
        report.other_meshes.contains(&other.to_string())
    })
    .await;
    let report = local.discovery.send(GetReport).await.expect("the actor lives");
    assert!(report.service_names.is_empty());
    assert!(report.interfaces.iter().any(|interface| interface.contains("127.0.0.1")), "{report:?}");
    local.leave().await;
    remote.leave().await;
}
