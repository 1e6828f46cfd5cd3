//! Failures end in a clear error, block nobody, and leave other callers served.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Wake, Waker};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{AdvertiseError, BindError, CallError, DiscoverError, Limits, Mesh, Refusal};
use serde::{Deserialize, Serialize};

use crate::mortal::Mortal;
use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Work(Option<u32>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Unheard;

/// Panics when there is no work.
struct Worker;

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Work> for Worker {
    type Result = u32;
    fn handle(&mut self, Work(number): Work, _: &mut Context<Self>) -> u32 {
        number.expect("there is work")
    }
}

/// Messages of the same names with other fields.
mod other {
    use super::{Deserialize, Message, Serialize};

    #[derive(Message, Serialize, Deserialize)]
    #[rtype(result = "u32")]
    pub struct Work {
        pub amount: String,
    }
}

/// Waits, in its handler, for as long as it says.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Wait {
    forever: bool,
}

/// The number of handlers that wait without an end.
static WAITING: AtomicUsize = AtomicUsize::new(0);

struct Patient;

impl Actor for Patient {
    type Context = Context<Self>;
}

impl Handler<Wait> for Patient {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Wait { forever }: Wait, _: &mut Context<Self>) -> Self::Result {
        if forever {
            WAITING.fetch_add(1, Ordering::Relaxed);
            return Box::pin(std::future::pending());
        }
        Box::pin(async {})
    }
}

/// A waker that panics when it is woken, and records that.
#[derive(Default)]
struct Touchy(AtomicBool);

impl Wake for Touchy {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
        panic!("do not wake me");
    }
}

#[actix::test]
async fn a_caller_that_panics_when_it_is_woken_fails_no_other_call() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("patient", || Patient).handles::<Wait>().await.expect("advertised");
    let patient = pair.reach(&service).await;
    let waits = actix::spawn(patient.send(Wait { forever: true }).timeout(Duration::MAX));
    until("the call has arrived", || service.unfinished() == 1).await;
    // A caller with an arbitrary waker: the reply wakes it in the link's task.
    let mut touchy = pin!(patient.send(Wait { forever: false }).timeout(Duration::MAX));
    let panics = Arc::<Touchy>::default();
    let waker = Waker::from(Arc::clone(&panics));
    assert!(touchy.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_pending());
    // In one batch with the first, if the replies arrive in one batch.
    let again = patient.send(Wait { forever: false }).timeout(PATIENCE).await;
    again.expect("it is woken");
    until("the other was woken", || panics.0.load(Ordering::Relaxed)).await;
    actix::clock::timeout(PATIENCE, touchy).await.expect("its reply is there").expect("answered");
    assert!(!waits.is_finished(), "the link continues");
    assert_eq!(service.stats().links.len(), 1);
    assert_eq!(service.unfinished(), 1);
    waits.abort();
}

#[actix::test]
async fn a_caller_that_panics_when_its_link_ends_blocks_no_other() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let join = Mesh::join().mesh(&name).interfaces("lo");
    let mortal = Mortal::join::<_, Wait>(join.clone(), || Patient).await;
    let mesh = join.await.expect("joined");
    let patient = mesh.discover(&*mortal.address).within(PATIENCE).await.expect("found");
    let panics = Arc::<Touchy>::default();
    let waker = Waker::from(Arc::clone(&panics));
    let (mut touchy, mut others) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut call = Box::pin(patient.send(Wait { forever: true }).timeout(Duration::MAX));
        assert!(call.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_pending());
        touchy.push(call);
        others.push(actix::spawn(patient.send(Wait { forever: true }).timeout(Duration::MAX)));
    }
    until("they are under way", || WAITING.load(Ordering::Relaxed) == 8).await;
    let dying = mortal.die();
    for other in others {
        let ended = actix::clock::timeout(PATIENCE, other).await.expect("it ends").expect("no panic");
        assert!(matches!(ended, Err(CallError::Unknown { .. })), "{ended:?}");
    }
    assert!(panics.0.load(Ordering::Relaxed), "one was woken that panics");
    dying.join().expect("no panic");
}

#[actix::test]
async fn a_handler_that_panics_is_reported_and_the_service_restarts_its_actor() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    let worker = pair.reach(&service).await;
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let worker = worker.clone();
            actix::spawn(async move {
                let work = (number % 10 != 3).then_some(number);
                (number, worker.send(Work(work)).timeout(PATIENCE).await)
            })
        })
        .collect();
    for call in calls {
        match call.await.expect("no panic here") {
            (number, Ok(reply)) => assert_eq!(reply, number),
            (number, Err(CallError::Refused { reason: Refusal::Panicked, .. })) => {
                assert_eq!(number % 10, 3, "only the message that caused the panic has this error");
            }
            (number, other) => panic!("{number}: {other:?}"),
        }
    }
}

#[actix::test]
async fn a_panic_of_a_local_call_loses_none_of_the_others() {
    let pair = Pair::join().await;
    let _service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    let worker = pair.here.discover("worker").await.expect("it is here");
    let panicking = worker.send(Work(None));
    let fine = worker.send(Work(Some(1)));
    let panicking = actix::spawn(panicking);
    let fine = actix::spawn(fine);
    let error = panicking.await.expect("no panic here").expect_err("it panicked");
    assert!(matches!(error, CallError::Refused { reason: Refusal::Panicked, .. }), "{error:?}");
    assert_eq!(fine.await.expect("no panic here").expect("a reply"), 1);
}

#[actix::test]
async fn a_running_actor_that_panics_is_withdrawn() {
    let pair = Pair::join().await;
    let mut watch = pair.here.watch("worker");
    let addr = Worker.start();
    let service = pair.here.advertise_addr("worker", addr).handles::<Work>().await.expect("advertised");
    assert!(matches!(watch.next().await, Some(meshzero::WatchEvent::Up(_))));
    let worker = pair.reach(&service).await;
    let error = worker.send(Work(None)).timeout(PATIENCE).await.expect_err("it panicked");
    assert!(matches!(error, CallError::Refused { reason: Refusal::Panicked, .. }), "{error:?}");
    let down = actix::clock::timeout(PATIENCE, watch.next()).await.expect("withdrawn in time");
    assert!(matches!(down, Some(meshzero::WatchEvent::Down { .. })), "{down:?}");
}

#[actix::test]
async fn a_service_that_closes_lets_its_callers_go_at_once() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    let worker = pair.reach(&service).await;
    worker.send(Work(Some(1))).await.expect("a reply");
    service.close().await;
    until("the connection ends", || worker.instances().is_empty()).await;
    let error =
        worker.send(Work(Some(1))).timeout(Duration::from_millis(100)).await.expect_err("nobody is there");
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
}

#[actix::test]
async fn an_unhandled_message_type_is_refused_with_a_list_of_handled_ones() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    for worker in [pair.reach(&service).await, pair.here.discover("worker").await.expect("it is here")] {
        let error = worker.send(Unheard).await.expect_err("nothing handles it");
        assert!(error.to_string().contains("it handles Work"), "{error}");
        assert!(error.is_safe_to_repeat());
        worker.send(Work(Some(1))).await.expect("others are served");
    }
}

#[actix::test]
async fn a_message_that_does_not_decode_names_the_field() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    let worker = pair.reach(&service).await;
    let error = worker.send(other::Work { amount: "much".to_owned() }).await.expect_err("another shape");
    match &error {
        CallError::Refused { reason: Refusal::Undecodable { message, .. }, .. } => {
            assert_eq!(message, "Work")
        }
        other => panic!("{other:?}"),
    }
    worker.send(Work(Some(1))).await.expect("others are served");
}

#[actix::test]
async fn names_that_are_not_valid_are_refused() {
    let pair = Pair::join().await;
    for (name, said) in [
        (String::new(), "at least one character"),
        ("x".repeat(129), "129 bytes"),
        ("a\u{7}b".to_owned(), "control character"),
    ] {
        let error = pair.here.advertise(&name, || Worker).await.expect_err("no name");
        assert!(matches!(error, AdvertiseError::Name(_)) && error.to_string().contains(said), "{error}");
        let error = pair.here.discover(&name).await.expect_err("no name");
        assert!(matches!(error, DiscoverError::Name(_)) && error.to_string().contains(said), "{error}");
        let error = Mesh::join().mesh(&name).interfaces("lo").await.expect_err("no name");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[actix::test]
async fn a_name_that_could_not_be_found_is_not_advertised() {
    let pair = Pair::join().await;
    for text in [
        "tcp://10.0.0.1:7",
        "ros://10.0.0.1:7",
        "http://robot.local",
        "10.0.0.1:7",
        "10.0.0.1:70000",
        "[fe80::1]:7",
        "localhost:7",
        "localhost:0",
        "robot.local:70000",
    ] {
        let error = pair.here.advertise(text, || Worker).await.expect_err(text);
        assert!(matches!(error, AdvertiseError::AddressAsName(_)), "{error:?}");
        let error = pair.there.discover(text).within(Duration::ZERO).await.expect_err(text);
        assert!(!matches!(error, DiscoverError::NotFound(_)), "{error:?}");
    }
    for text in ["ros://robot:7", "a://b", "robot:7", "robot.local:7", "localhost"] {
        let _service = pair.here.advertise(text, || Worker).await.expect(text);
        pair.there.discover(text).await.expect(text);
    }
}

#[actix::test]
async fn localhost_with_a_port_is_this_host() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).await.expect("advertised");
    let found = pair.there.discover(format!("localhost:{}", service.address().port())).await.expect("found");
    assert_eq!(found.address().map(|address| address.port()), Some(service.address().port()));
}

#[actix::test]
async fn addresses_that_cannot_be_used_are_refused() {
    let pair = Pair::join().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = listener.local_addr().expect("bound").to_string();
    for (at, said) in [
        ("70000", "65535"),
        ("127.0.0.1:70000", "65535"),
        ("no such place", "is not an address"),
        ("no-such-host.invalid:9000", "cannot be resolved"),
        ("203.0.113.*", "203.0.113.*"),
    ] {
        let error = pair.here.advertise("worker", || Worker).at(at).await.expect_err(at);
        assert!(error.to_string().contains(said), "{at}: {error}");
    }
    let error = pair.here.advertise("worker", || Worker).at(&taken).await.expect_err("taken");
    assert!(matches!(error, AdvertiseError::Bind(BindError::InUse { .. })), "{error:?}");
    drop(listener);
    pair.here.advertise("worker", || Worker).at(&taken).await.expect("free again").close().await;
}

#[actix::test]
async fn a_name_that_must_be_new_is_refused_when_it_is_there() {
    let pair = Pair::join().await;
    let _first = pair.here.advertise("worker", || Worker).fail_if_exists().await.expect("the first");
    let error = pair.here.advertise("worker", || Worker).fail_if_exists().await.expect_err("the second");
    assert!(matches!(error, AdvertiseError::Exists { .. }), "{error:?}");
    let _another = pair.here.advertise("worker", || Worker).await.expect("an instance beside it is fine");
}

#[actix::test]
async fn two_messages_of_one_name_are_refused() {
    let pair = Pair::join().await;
    let error = pair.here.advertise("worker", || Worker).handles::<Work>().handles_as::<Work>("Work").await;
    assert!(matches!(error, Err(AdvertiseError::SameName(_))), "{error:?}");
}

#[actix::test]
async fn more_topics_than_may_be_retained_are_refused() {
    let limits = {
        let mut limits = Limits::default();
        limits.topics = 1;
        limits
    };
    let pair = Pair::join_with(limits).await;
    let error =
        pair.here.advertise("worker", || Worker).retains("a").retains("b").await.expect_err("too many");
    assert!(matches!(error, AdvertiseError::TooManyTopics(1)), "{error:?}");
}

#[actix::test]
async fn a_factory_that_panics_at_once_is_an_error() {
    let pair = Pair::join().await;
    let factory = || -> Worker { panic!("the motor does not answer") };
    let error = pair.here.advertise("worker", factory).await.expect_err("no actor");
    assert!(matches!(error, AdvertiseError::FactoryPanicked { .. }), "{error:?}");
}

#[actix::test]
async fn another_mesh_at_the_address_is_named() {
    let (pair, others) = (Pair::join().await, Pair::join().await);
    let service = pair.here.advertise("worker", || Worker).await.expect("advertised");
    let looking = others.here.discover(service.address().to_string()).within(Duration::from_millis(300));
    let error = looking.await.expect_err("it is another mesh");
    assert!(error.to_string().contains(pair.here.name().as_str()), "{error}");
}

#[actix::test]
async fn a_peer_of_another_protocol_is_named() {
    let pair = Pair::join().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let web_server = std::thread::spawn(move || {
        // Ends when the test drops its connection to the listener below.
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut first = [0; 1];
            if stream.read(&mut first).is_ok_and(|read| read == 1 && first[0] == b'Q') {
                return;
            }
            // The client closes the connection as soon as it has read enough.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = pair.there.discover(address.to_string()).within(Duration::from_millis(300)).await;
    let error = error.expect_err("it is no mesh");
    assert!(error.to_string().contains("web server"), "{error}");
    TcpStream::connect(address).and_then(|mut end| end.write_all(b"Q")).expect("the server listens");
    web_server.join().expect("the server ends");
}

#[actix::test]
async fn a_stranger_at_the_endpoint_is_rejected_and_others_are_served() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("worker", || Worker).handles::<Work>().await.expect("advertised");
    let address = service.address();
    let strangers = std::thread::spawn(move || {
        for greeting in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"\x00MZ\x63", &[0; 600]]
        {
            let mut stream = TcpStream::connect(address).expect("the endpoint listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a valid time");
            stream.write_all(greeting).expect("it takes the greeting");
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer) {
                Ok(_) => assert_eq!(answer, b"", "a stranger gets no bytes"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
            }
        }
    });
    let worker = pair.reach(&service).await;
    while !strangers.is_finished() {
        worker.send(Work(Some(1))).timeout(PATIENCE).await.expect("others are served");
    }
    strangers.join().expect("every stranger was turned away");
}

#[actix::test]
async fn an_address_without_a_listener_is_an_error_that_says_so() {
    let pair = Pair::join().await;
    let free =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let error = pair.there.discover(free.to_string()).within(Duration::from_millis(200)).await;
    let error = error.expect_err("nobody listens");
    assert!(matches!(error, DiscoverError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}
