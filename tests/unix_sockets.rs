//! Links between programs of one user on one host: over Unix sockets where both ends use them, and over TCP otherwise.

use std::io::Read;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Blob, Limits, LinkStats, LinkTransport, Service, ServiceRef};
use meshzero_testing::{Links, Record, Sockets, shut_down};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::faults::rig::{Account, Item, Rig, Sender, Worker, news_records, offer};
use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Blob")]
struct Echo(Blob);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Note(u64);

#[derive(Default)]
struct Recorder {
    notes: std::sync::Arc<std::sync::Mutex<Vec<u64>>>,
}

impl Actor for Recorder {
    type Context = Context<Self>;
}

impl Handler<Echo> for Recorder {
    type Result = MessageResult<Echo>;

    fn handle(&mut self, Echo(blob): Echo, _: &mut Context<Self>) -> MessageResult<Echo> {
        MessageResult(blob)
    }
}

impl Handler<Note> for Recorder {
    type Result = ();

    fn handle(&mut self, Note(number): Note, _: &mut Context<Self>) {
        self.notes.lock().expect("no panic").push(number);
    }
}

/// The link of the only route to a service, at its caller.
fn link(worker: &ServiceRef) -> LinkStats {
    let stats = worker.stats();
    let [link] = stats.links.as_slice() else { panic!("one link: {:?}", stats.links) };
    link.clone()
}

/// Returns the numbers of resumptions of a worker's links, and of the links over each transport; `None` while a link has no
/// connection.
fn resumptions(service: &Service<Worker>) -> Option<(u64, usize, usize)> {
    let links = service.stats().links;
    let over = |transport| links.iter().filter(|link| link.transport == transport).count();
    let resumed = links.iter().map(|link| link.resumed).sum();
    let all_attached = links.iter().all(|link| link.attached);
    all_attached.then(|| (resumed, over(LinkTransport::Unix), over(LinkTransport::Tcp)))
}

#[actix::test]
async fn calls_tells_news_and_blobs_go_over_unix_sockets_on_one_host() {
    let pair = Pair::join_over(true, true).await;
    let recorder = Recorder::default();
    let notes = std::sync::Arc::clone(&recorder.notes);
    let offer =
        pair.here.advertise("recorder", move || Recorder { notes: std::sync::Arc::clone(&recorder.notes) });
    let service = offer.handles::<Echo>().handles::<Note>().await.expect("advertised");
    let caller = pair.reach(&service).await;
    let mut news = caller.subscribe::<Blob>("").await.expect("confirmed");
    let blob = Blob::from((0..1_000_000).map(|byte: u32| byte as u8).collect::<Vec<u8>>());
    assert_eq!(caller.send(Echo(blob.clone())).await.expect("a reply"), blob);
    for number in 0..100 {
        caller.tell(Note(number)).await.expect("sent");
    }
    until("all are handled", || notes.lock().expect("no panic").len() == 100).await;
    assert!(notes.lock().expect("no panic").iter().copied().eq(0..100));
    service.publish_all("blobs", &blob).await.expect("published");
    let item = timeout(PATIENCE, news.next()).await.expect("in time").expect("it continues");
    assert_eq!(item.expect("an item").item, blob);
    assert_eq!((link(&caller).transport, link(&caller).address), (LinkTransport::Unix, service.address()));
    let there = pair.there.stats().await.expect("it has not left");
    assert_eq!(there.subscriptions[0].links[0].transport, LinkTransport::Unix);
    let links = service.stats().links;
    assert!(links.len() == 2 && links.iter().all(|link| link.transport == LinkTransport::Unix), "{links:?}");
    assert!(links[0].address.ip().is_loopback() && links[0].address != links[1].address, "{links:?}");
}

#[actix::test]
async fn tcp_is_used_where_either_end_does_without_unix_sockets() {
    for (here, there) in [(false, true), (true, false)] {
        let pair = Pair::join_over(here, there).await;
        let service = offer(&pair.here, 1, "worker", &Account::new()).await;
        let worker = pair.reach(&service).await;
        assert_eq!(link(&worker).transport, LinkTransport::Tcp, "here {here}, there {there}");
    }
}

/// A program that holds the name of the Unix socket of `address`.
fn squat(address: SocketAddr) -> UnixListener {
    let name = UnixAddr::from_abstract_name(format!("meshzero/{address}")).expect("it fits");
    UnixListener::bind_addr(&name).expect("the name is free")
}

/// A worker without a Unix socket of its own.
async fn worker_without_unix_socket() -> (Pair, Service<Worker>) {
    let pair = Pair::join_over(false, true).await;
    let service = offer(&pair.here, 1, "worker", &Account::new()).await;
    (pair, service)
}

#[actix::test]
async fn a_program_that_holds_the_name_and_does_not_answer_costs_a_moment() {
    let (pair, service) = worker_without_unix_socket().await;
    let squatter = squat(service.address());
    let begun = Instant::now();
    let worker = pair.reach(&service).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert_eq!(link(&worker).transport, LinkTransport::Tcp);
    let (mut stream, _) = squatter.accept().expect("it was tried first");
    let mut hello = Vec::new();
    stream.read_to_end(&mut hello).expect("the client closed it");
    assert!(!hello.is_empty());
}

#[actix::test]
async fn a_program_that_holds_the_name_and_closes_connections_costs_nothing() {
    let (pair, service) = worker_without_unix_socket().await;
    let squatter = squat(service.address());
    let closing = std::thread::spawn(move || drop(squatter.accept().expect("it is tried first")));
    let worker = pair.reach(&service).await;
    assert_eq!(link(&worker).transport, LinkTransport::Tcp);
    closing.join().expect("no panic");
}

#[actix::test]
async fn a_link_moves_between_unix_sockets_and_tcp_without_loss() {
    const ITEMS: u64 = 200;
    let rig = Rig::new().await;
    let (me, address) = (std::process::id(), rig.service.address());
    let worker = rig.pair.reach(&rig.service).await;
    let mut sender = Sender::new(0, worker.clone(), &rig.account);
    let mut news = worker.subscribe::<Item>("").await.expect("confirmed");
    rig.account.note(Record::Subscribed { stream: 0, by: 1, next: 0 });
    let account = rig.account.clone();
    // All the time: a feed that nobody takes items from does not read, and so does not notice a loss.
    let reading = actix::spawn(async move {
        for _ in 0..ITEMS {
            let next = timeout(PATIENCE * 4, news.next()).await.expect("in time");
            account.note(news_records(0, 1, &next.expect("it continues")));
        }
        // Its link ends with it, and is counted until the end.
        news
    });
    let publisher = rig.service.publisher();
    let mut number = 0;
    let mut resumed = 0;
    // The first link that comes back over TCP shows the endpoint that its Unix socket is missing.
    let plan = [
        (&[Sockets::UnixConnections][..], LinkTransport::Unix),
        (&[Sockets::UnixListener, Sockets::UnixConnections], LinkTransport::Tcp),
        (&[Sockets::TcpConnections], LinkTransport::Unix),
        (&[Sockets::UnixConnections], LinkTransport::Unix),
    ];
    for (sockets, next) in plan {
        for round in 0..50 {
            let padding = Blob::from(vec![round as u8; round * 1_000]);
            sender.call(padding.clone()).await;
            sender.tell(padding.clone()).await;
            publisher.publish_all("line", &Item { number, padding }).await.expect("published");
            number += 1;
            if round == 25 {
                let (_, unix, tcp) = resumptions(&rig.service).expect("both links have a connection");
                assert_eq!(unix + tcp, 2);
                for sockets in sockets {
                    let expected = match sockets {
                        Sockets::UnixListener => 1,
                        Sockets::UnixConnections => unix,
                        Sockets::TcpConnections => tcp,
                    };
                    assert_eq!(shut_down(me, address, *sockets), expected, "{sockets:?}");
                }
                resumed += if sockets.contains(&Sockets::TcpConnections) { tcp } else { unix } as u64;
            }
        }
        sender.finish().await;
        let is_resumed = || resumptions(&rig.service).is_some_and(|(count, ..)| count == resumed);
        let waiting = timeout(PATIENCE / 2, until("both links are resumed", is_resumed));
        waiting.await.unwrap_or_else(|_| panic!("{resumed}: {:?}", rig.service.stats().links));
        let (_, unix, tcp) = resumptions(&rig.service).expect("both links have a connection");
        assert_eq!(tcp > 0, next == LinkTransport::Tcp, "{unix} over Unix sockets, {tcp} over TCP");
    }
    drop(reading.await.expect("no panic"));
    until("all are handled", || rig.service.unfinished() == 0).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!(
        (tally.begun, tally.executed, tally.items, tally.unknown),
        (2 * ITEMS, 2 * ITEMS, ITEMS, 0),
        "{tally:?}"
    );
    assert_eq!((tally.missed, tally.lost), (0, 0), "{tally:?}");
}

#[actix::test]
async fn a_slow_subscriber_holds_back_its_own_backlog() {
    const ITEMS: u64 = 100;
    let mut limits = Limits::default();
    limits.backlog_bytes = 1 << 20;
    limits.send_queue_bytes = 1 << 20;
    limits.unacknowledged_bytes = 1 << 20;
    let rig = Rig::with(limits).await;
    let worker = rig.pair.reach(&rig.service).await;
    let mut news = worker.subscribe::<Item>("").wait().keep_bytes(1 << 20).await.expect("confirmed");
    rig.account.note(Record::Subscribed { stream: 0, by: 1, next: 0 });
    let publisher = rig.service.publisher();
    let publishing = actix::spawn(async move {
        for number in 0..ITEMS {
            let item = Item { number, padding: vec![1; 100_000].into() };
            publisher.publish_all("line", &item).await.expect("published");
        }
    });
    let published = || rig.service.stats().news.published;
    // What the limits permit is under way once nothing more is published for a while.
    let mut before = 0;
    while before == 0 || published() > before {
        before = published();
        actix::clock::sleep(Duration::from_millis(500)).await;
    }
    assert!(before < ITEMS / 2 && !publishing.is_finished(), "{before} of {ITEMS} items were published");
    let stats = rig.pair.there.stats().await.expect("it has not left");
    assert_eq!(stats.subscriptions[0].links[0].transport, LinkTransport::Unix);
    for _ in 0..ITEMS {
        let next = timeout(PATIENCE, news.next()).await.expect("in time");
        rig.account.note(news_records(0, 1, &next.expect("it continues")));
    }
    publishing.await.expect("no panic");
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.items, tally.missed, tally.lost), (ITEMS, 0, 0), "{tally:?}");
}
