use std::sync::atomic::AtomicBool;

use mdns_sd::ServiceDaemon;
use meshzero_proto::id::NodeId;
use meshzero_proto::name::{MeshName, ServiceName};

use super::records::{label, record};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn advert(ip: [u8; 4]) -> Advert {
    Advert {
        instance: InstanceId::from_random(random()),
        node: NodeId::from_random(random()),
        mesh: MeshName::default(),
        service: ServiceName::new("Küche/1.2 x").expect("a name"),
        addresses: vec![(ip, 4_321).into()],
        leaving: false,
    }
}

/// Waits for news about one instance, past those of other tests and programs on this host.
async fn next_about(heard: &mut mpsc::Receiver<Heard>, instance: InstanceId) -> Heard {
    let wanted = |heard: &Heard| match heard {
        Heard::Up(advert) => advert.instance == instance,
        Heard::Down(gone) => *gone == instance,
        Heard::Missed => false,
    };
    let search = async {
        loop {
            match heard.recv().await {
                Some(news) if wanted(&news) => return news,
                Some(_) => {}
                None => panic!("the listening thread ended"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("news in time")
}

fn start() -> (Mdns, mpsc::Receiver<Heard>) {
    start_with(usize::MAX)
}

fn start_with(most_records: usize) -> (Mdns, mpsc::Receiver<Heard>) {
    let (heard, news) = mpsc::channel(64);
    (Mdns::start(Interfaces::loopback(), most_records, heard).expect("threads"), news)
}

/// One that tells, and whose news are taken as they come: the thread that brings them would wait, and see to nothing else, once
/// other tests on the same loopback interface have filled its queue.
fn start_teller() -> Mdns {
    let (teller, mut news) = start();
    drop(tokio::spawn(async move { while news.recv().await.is_some() {} }));
    teller
}

/// What tests do to the threads behind an [`Mdns`].
#[derive(Default)]
pub(super) struct Harm {
    daemon: Mutex<Option<ServiceDaemon>>,
    stumbles: AtomicBool,
}

impl std::fmt::Debug for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Harm")
    }
}

impl Harm {
    pub(super) fn expose(&self, daemon: &ServiceDaemon) {
        *self.daemon.lock().expect("no panic") = Some(daemon.clone());
    }

    /// Panics in the listening thread, if that is wanted.
    pub(super) fn stumble(&self) {
        assert!(!self.stumbles.swap(false, Ordering::Relaxed), "the listening thread stumbles");
    }

    /// Ends the daemon behind the back of those who use it.
    fn kill(&self) {
        let daemon = self.daemon.lock().expect("no panic").take().expect("it runs");
        patiently(|| daemon.shutdown()).expect("it lives").recv().expect("it ends");
    }
}

/// Does harm to `teller` and `listener`, which know each other, and checks that they recover by themselves.
async fn recover_from(harm: impl Fn(&Harm)) {
    let (teller, (listener, mut news)) = (start_teller(), start());
    let service = advert([127, 0, 0, 1]);
    teller.announce(service.clone());
    assert_eq!(next_about(&mut news, service.instance).await, Heard::Up(service.clone()));
    for mdns in [&teller, &listener] {
        harm(&mdns.shared.harm);
        let patience = Instant::now() + PATIENCE;
        while mdns.replaced() == 0 {
            assert!(Instant::now() < patience, "it is replaced in time");
            // Whoever listens takes what comes.
            let _ = tokio::time::timeout(Duration::from_millis(1), news.recv()).await;
        }
    }
    // Announced again: somebody who comes only now can ask for it, and somebody new is heard.
    let mut query = crate::query::Query::open(&Interfaces::loopback()).expect("a socket on loopback");
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let search = async {
        loop {
            tokio::select! {
                _ = again.tick() => query.ask(),
                adverts = query.heard() => if adverts.iter().any(|(_, advert)| *advert == service) { return },
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("an answer in time");
    let another = advert([127, 0, 0, 1]);
    teller.announce(another.clone());
    assert_eq!(next_about(&mut news, another.instance).await, Heard::Up(another));
    teller.close().await;
    listener.close().await;
}

#[tokio::test]
async fn a_daemon_that_dies_is_replaced_and_knows_all_again() {
    recover_from(Harm::kill).await;
}

#[tokio::test]
async fn a_listening_thread_that_panics_is_replaced() {
    recover_from(|harm| harm.stumbles.store(true, Ordering::Relaxed)).await;
}

#[tokio::test]
async fn a_daemon_that_remembers_too_much_is_replaced() {
    let (teller, (listener, mut news)) = (start_teller(), start_with(64));
    let crowd: Vec<_> = (0..40).map(|_| advert([127, 0, 0, 1])).collect();
    for service in &crowd {
        teller.announce(service.clone());
    }
    let replaced = async {
        while listener.replaced() == 0 {
            // Whoever listens takes what comes.
            let _ = tokio::time::timeout(Duration::from_millis(5), news.recv()).await;
        }
    };
    tokio::time::timeout(PATIENCE, replaced).await.expect("it is replaced in time");
    for service in &crowd {
        teller.withdraw(service.instance);
    }
    // Other tests share the loopback interface, and may fill the next daemon just as one is announced.
    let mut late = Vec::new();
    let mut again = tokio::time::interval(Duration::from_millis(500));
    let search = async {
        loop {
            tokio::select! {
                _ = again.tick() => {
                    late.push(advert([127, 0, 0, 1]));
                    teller.announce(late[late.len() - 1].clone());
                }
                heard = news.recv() => match heard.expect("the thread lives") {
                    Heard::Up(advert) if late.contains(&advert) => return,
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("somebody new is heard in time");
    teller.close().await;
    listener.close().await;
}

#[tokio::test]
async fn a_service_is_heard_changed_and_withdrawn() {
    let teller = start_teller();
    let (listener, mut news) = start();
    let service = advert([0, 0, 0, 0]);
    teller.announce(service.clone());
    let expected = Advert { addresses: vec![([127, 0, 0, 1], 4_321).into()], ..service.clone() };
    assert_eq!(next_about(&mut news, service.instance).await, Heard::Up(expected.clone()));
    teller.withdraw(service.instance);
    loop {
        match next_about(&mut news, service.instance).await {
            Heard::Up(advert) if !advert.leaving => {}
            Heard::Up(_) | Heard::Down(_) | Heard::Missed => break,
        }
    }
    teller.close().await;
    listener.close().await;
}

#[tokio::test]
async fn closing_says_goodbye_for_all() {
    let teller = start_teller();
    let (_listener, mut news) = start();
    let services = [advert([127, 0, 0, 1]), advert([127, 0, 0, 1])];
    for service in &services {
        teller.announce(service.clone());
    }
    let mut up = std::collections::BTreeSet::new();
    let mut down = std::collections::BTreeSet::new();
    let ours = |id: InstanceId| services.iter().any(|service| service.instance == id);
    let mut teller = Some(teller);
    let search = async {
        while down.len() < 2 {
            match news.recv().await.expect("the thread lives") {
                Heard::Up(advert) if advert.leaving && ours(advert.instance) => {
                    down.insert(advert.instance);
                }
                Heard::Up(advert) if ours(advert.instance) => {
                    up.insert(advert.instance);
                }
                Heard::Down(id) if ours(id) => {
                    down.insert(id);
                }
                Heard::Up(_) | Heard::Down(_) | Heard::Missed => {}
            }
            if up.len() == 2
                && let Some(teller) = teller.take()
            {
                teller.close().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("goodbyes in time");
}

#[tokio::test]
async fn a_direct_question_is_answered() {
    let teller = start_teller();
    let service = advert([0, 0, 0, 0]);
    teller.announce(service.clone());
    let mut query = crate::query::Query::open(&Interfaces::loopback()).expect("a socket on loopback");
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let search = async {
        loop {
            tokio::select! {
                _ = again.tick() => query.ask(),
                adverts = query.heard() => {
                    if let Some(found) = adverts.into_iter().map(|(_, advert)| advert).find(|advert| advert.instance == service.instance) {
                        return found;
                    }
                }
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await.expect("an answer in time");
    assert_eq!(found, Advert { addresses: vec![([127, 0, 0, 1], 4_321).into()], ..service });
    teller.close().await;
}

#[test]
fn a_record_keeps_what_dns_permits() {
    let service = ServiceName::new("x".repeat(meshzero_proto::name::MAX_NAME_BYTES)).expect("a name");
    let info = record(&Advert { service, ..advert([10, 0, 0, 1]) }).expect("a record");
    assert!(label(info.get_fullname()).len() <= 63);
    assert!(!info.requires_probe());
    assert_eq!(info.get_fullname(), info.get_fullname().to_lowercase());
}
