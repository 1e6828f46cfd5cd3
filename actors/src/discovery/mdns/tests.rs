use mdns_sd::ServiceDaemon;
use meshzero_proto::id::NodeId;
use meshzero_proto::name::{MeshName, ServiceName};

use meshzero_proto::discovery::query::{
    LOOPBACK_DATAGRAM_BYTES, Question, ReplyAssembler, ReplyTotals, Subtype,
};

use super::channel::{Channel, SocketPurpose};
use super::records::record;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(20);

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

/// An event that is received on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Received {
    Up(Advert),
    Down(InstanceId),
}

/// A socket on loopback.
struct Receiver {
    channel: Channel,
    replies: ReplyAssembler,
    pending: VecDeque<Received>,
}

impl Receiver {
    fn open(purpose: SocketPurpose) -> Self {
        let nics = loopback();
        let nic = nics.used.first().expect("there is loopback");
        let family = nic.families().next().expect("it has an address");
        let channel = Channel::open(nic, family, purpose).expect("a socket");
        Self { replies: ReplyAssembler::on_interface(channel.zone()), channel, pending: VecDeque::new() }
    }

    /// Waits for the next event of one instance, past those of other tests and programs on this host.
    async fn next_about(&mut self, instance: InstanceId) -> Received {
        tokio::time::timeout(TIMEOUT, async {
            loop {
                match self.next().await {
                    Received::Up(advert) if advert.instance == instance => return Received::Up(advert),
                    Received::Down(gone) if gone == instance => return Received::Down(gone),
                    Received::Up(_) | Received::Down(_) => {}
                }
            }
        })
        .await
        .expect("it is received in time")
    }

    async fn next(&mut self) -> Received {
        loop {
            if let Some(received) = self.pending.pop_front() {
                return received;
            }
            let (replies, pending) = (&mut self.replies, &mut self.pending);
            let on_datagram = |from, bytes: &[u8]| {
                let Ok(ReplyTotals { adverts, gone, .. }) = replies.add(from, bytes) else { return };
                pending.extend(adverts.into_iter().map(Received::Up));
                pending.extend(gone.into_iter().map(Received::Down));
            };
            self.channel.receive(1, on_datagram).await.expect("the socket lives");
        }
    }

    /// Asks until there is an answer about the service.
    async fn find(&mut self, question: Question, service: &Advert) {
        let message = Question::encode(&[question], [], LOOPBACK_DATAGRAM_BYTES);
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        let search = async {
            loop {
                tokio::select! {
                    _ = interval.tick() => self.channel.ask(&message).expect("it is sent"),
                    received = self.next() => if received == Received::Up(service.clone()) { return },
                }
            }
        };
        tokio::time::timeout(TIMEOUT, search).await.expect("an answer in time");
    }
}

fn loopback() -> InterfaceTable {
    InterfaceTable::of(&Interfaces::loopback().list().expect("a list"))
}

fn start() -> Mdns {
    Mdns::start(Interfaces::loopback(), &loopback()).expect("a thread")
}

/// Access for tests to the daemon behind an [`Mdns`], to end it.
#[derive(Default)]
pub(super) struct Sabotage {
    daemon: Mutex<Option<ServiceDaemon>>,
}

impl std::fmt::Debug for Sabotage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sabotage")
    }
}

impl Sabotage {
    pub(super) fn expose(&self, daemon: &ServiceDaemon) {
        *self.daemon.lock() = Some(daemon.clone());
    }

    /// Ends the daemon without the announcer's knowledge.
    fn kill(&self) {
        let daemon = self.daemon.lock().take().expect("it runs");
        retry_while_full(|| daemon.shutdown()).expect("it lives").recv().expect("it ends");
    }
}

#[tokio::test]
async fn a_daemon_that_dies_is_replaced_and_announces_all_again() {
    let (mdns, mut receiver) = (start(), Receiver::open(SocketPurpose::Multicast));
    let service = advert([127, 0, 0, 1]);
    mdns.announce(service.clone());
    assert_eq!(receiver.next_about(service.instance).await, Received::Up(service.clone()));
    mdns.shared.sabotage.kill();
    let replaced = async {
        while mdns.replaced() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, replaced).await.expect("it is replaced in time");
    Receiver::open(SocketPurpose::OneShot).find(Question::All, &service).await;
    let another = advert([127, 0, 0, 1]);
    mdns.announce(another.clone());
    assert_eq!(receiver.next_about(another.instance).await, Received::Up(another));
    mdns.close().await;
}

#[tokio::test]
async fn a_service_is_announced_and_withdrawn() {
    let (mdns, mut receiver) = (start(), Receiver::open(SocketPurpose::Multicast));
    let service = advert([0, 0, 0, 0]);
    mdns.announce(service.clone());
    let expected = Advert { addresses: vec![([127, 0, 0, 1], 4_321).into()], ..service.clone() };
    assert_eq!(receiver.next_about(service.instance).await, Received::Up(expected));
    mdns.withdraw(service.instance);
    loop {
        match receiver.next_about(service.instance).await {
            Received::Up(advert) if !advert.leaving => {}
            Received::Up(_) => {}
            Received::Down(_) => break,
        }
    }
    mdns.close().await;
}

#[tokio::test]
async fn closing_says_goodbye_for_all() {
    let (mdns, mut receiver) = (start(), Receiver::open(SocketPurpose::Multicast));
    let services = [advert([127, 0, 0, 1]), advert([127, 0, 0, 1])];
    for service in &services {
        mdns.announce(service.clone());
        assert_eq!(receiver.next_about(service.instance).await, Received::Up(service.clone()));
    }
    mdns.close().await;
    let mut leaving = BTreeSet::new();
    let search = async {
        while leaving.len() < services.len() {
            let gone = match receiver.next().await {
                Received::Up(advert) if advert.leaving => advert.instance,
                Received::Up(_) => continue,
                Received::Down(gone) => gone,
            };
            if services.iter().any(|service| service.instance == gone) {
                leaving.insert(gone);
            }
        }
    };
    tokio::time::timeout(TIMEOUT, search).await.expect("goodbyes in time");
}

#[tokio::test]
async fn questions_are_answered_by_unicast_and_by_multicast() {
    let mdns = start();
    let service = advert([127, 0, 0, 1]);
    mdns.announce(service.clone());
    let subtype = Question::Name(Subtype::new(&service.mesh, &service.service));
    for question in [subtype, Question::All] {
        for purpose in [SocketPurpose::OneShot, SocketPurpose::Multicast] {
            Receiver::open(purpose).find(question, &service).await;
        }
    }
    mdns.close().await;
}

#[tokio::test]
async fn only_its_instances_answer_for_a_name() {
    let mdns = start();
    let (wanted, other) = (advert([127, 0, 0, 1]), advert([127, 0, 0, 1]));
    let other = Advert { service: ServiceName::new("another").expect("a name"), ..other };
    let mut receiver = Receiver::open(SocketPurpose::OneShot);
    for service in [&other, &wanted] {
        mdns.announce(service.clone());
        receiver.find(Question::All, service).await;
    }
    let mut receiver = Receiver::open(SocketPurpose::OneShot);
    receiver.find(Question::Name(Subtype::new(&wanted.mesh, &wanted.service)), &wanted).await;
    // Both are answered for by the same daemon, in one message.
    assert!(
        !receiver.pending.iter().any(|received| matches!(received, Received::Up(advert) if *advert == other))
    );
    mdns.close().await;
}

#[test]
fn a_record_obeys_the_limits_of_dns() {
    let service = ServiceName::new("x".repeat(meshzero_proto::name::MAX_NAME_BYTES)).expect("a name");
    let info = record(&Advert { service, ..advert([10, 0, 0, 1]) }).expect("a record");
    assert!(info.get_fullname().split('.').all(|label| label.len() <= 63));
    assert!(!info.requires_probe());
    assert_eq!(info.get_fullname(), info.get_fullname().to_lowercase());
}
