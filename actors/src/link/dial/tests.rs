use meshzero_proto::diagnosis::Attempt;
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::frame::{self, FrameKind, Header};
use meshzero_proto::wire::hello::{HelloAnswer, Purpose, Welcome, encode_answer, parse_hello};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Returns the hello of a probe.
pub(crate) fn hello() -> Hello {
    Hello {
        mesh: MeshName::default(),
        node: NodeId::from_random([1; 16]),
        instance: None,
        purpose: Purpose::Probe,
        message_bytes: 1,
        resume: None,
        pieces: true,
        standby: None,
    }
}

/// Returns an answer that accepts any hello.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        node: NodeId::from_random([2; 16]),
        instance: InstanceId::from_random([3; 16]),
        service: None,
        message_bytes: 1,
        link: None,
        received: 0,
        standby: None,
    }
}

#[tokio::test]
async fn a_dial_fails_at_once_if_all_addresses_refuse() {
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let started = Instant::now();
    dial(&Network::default(), &[refusing, refusing], &hello(), Duration::from_secs(60))
        .await
        .expect_err("no address answers");
    assert!(started.elapsed() < TIMEOUT_AFTER_REFUSAL, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_error_of_an_address_that_refuses_is_preferred_to_that_of_a_silent_one() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let addresses = [silent.local_addr().expect("bound"), refusing];
    let error = dial(&Network::default(), &addresses, &hello(), Duration::from_secs(60))
        .await
        .expect_err("no address answers");
    assert!(matches!(error, DialError::Unreachable { address, .. } if address == refusing), "{error}");
}

#[tokio::test]
async fn an_address_that_becomes_known_while_dialling_is_tried() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let answering = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = answering.local_addr().expect("bound");
    let mut instance = Instance {
        id: InstanceId::from_random([2; 16]),
        node: NodeId::from_random([3; 16]),
        service: "arm".parse().expect("a name"),
        addresses: vec![silent.local_addr().expect("bound")],
        local: false,
    };
    let (updates_sender, updates) = watch::channel(Some(instance.clone()));
    let (network, hello, known) = (Network::default(), hello(), instance.addresses.clone());
    let (record, timeout) = (AttemptRecord::default(), Duration::from_secs(60));
    let dial = dial_listed(&network, &known, Some(updates), &hello, timeout, &record);
    let answer = async {
        // The first address is being tried by now.
        let (_connection, _) = silent.accept().await.expect("dialled");
        instance.addresses.push(address);
        updates_sender.send(Some(instance)).expect("it is received");
        let (mut stream, _) = answering.accept().await.expect("dialled");
        read_handshake(&mut stream, &[], parse_hello).await.expect("a hello");
        stream.write_all(&encode_answer(&HelloAnswer::Welcome(welcome()))).await.expect("it reads");
        std::future::pending::<()>().await;
    };
    let handshaken = tokio::select! {
        handshaken = dial => handshaken.expect("it answers"),
        () = answer => unreachable!("it never ends"),
    };
    assert_eq!(handshaken.address, address);
}

#[tokio::test]
async fn an_error_names_every_address_that_was_tried_and_how_each_ended() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let addresses = [silent.local_addr().expect("bound"), refusing];
    let error = dial(&Network::default(), &addresses, &hello(), Duration::from_secs(60))
        .await
        .expect_err("no address answers");
    let [first, second] = error.attempts() else { panic!("not two: {:?}", error.attempts()) };
    assert_eq!((first.address, first.outcome), (addresses[0], AttemptOutcome::Accepted));
    assert_eq!(second.address, refusing);
    let kind = io::ErrorKind::ConnectionRefused;
    assert!(
        matches!(second.outcome, AttemptOutcome::Failed { kind: actual, code: Some(_) } if actual == kind),
        "{second}"
    );
    assert!(first.took >= TIMEOUT_AFTER_REFUSAL && second.took < TIMEOUT_AFTER_REFUSAL, "{first}, {second}");
}

#[tokio::test]
async fn attempts_that_are_open_at_the_timeout_are_reported_as_well() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("bound");
    let timeout = Duration::from_millis(100);
    let error =
        dial(&Network::default(), &[address], &hello(), timeout).await.expect_err("no address answers");
    assert!(matches!(error, DialError::TimedOut { after, .. } if after == timeout), "{error}");
    let [Attempt { outcome: AttemptOutcome::Accepted, .. }] = error.attempts() else {
        panic!("{:?}", error.attempts())
    };
}

/// Dials two addresses, of which the second answers first, and returns the bytes that the first one receives after the hello.
async fn received_by_the_slower(purpose: Purpose) -> Vec<u8> {
    let slow = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let fast = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addresses = [&slow, &fast].map(|listener| listener.local_addr().expect("bound"));
    let (network, hello) = (Network::default(), Hello { purpose, ..hello() });
    let dial = async {
        let dial = dial(&network, &addresses, &hello, Duration::from_secs(60));
        let handshaken = dial.await.expect("the second address answers");
        assert_eq!(handshaken.address, addresses[1]);
        handshaken
    };
    let answers = async {
        let (mut slow, _) = slow.accept().await.expect("dialled");
        read_handshake(&mut slow, &[], parse_hello).await.expect("a hello");
        let (mut fast, _) = fast.accept().await.expect("dialled");
        read_handshake(&mut fast, &[], parse_hello).await.expect("a hello");
        fast.write_all(&encode_answer(&HelloAnswer::Welcome(welcome()))).await.expect("it reads");
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).await.expect("it is closed");
        rest
    };
    let (_handshaken, rest) = tokio::join!(dial, answers);
    rest
}

#[tokio::test]
async fn a_slower_connection_ends_the_link_that_may_have_been_opened_for_it() {
    let mut goodbye = Vec::new();
    frame::write(&mut goodbye, Header::new(FrameKind::Bye, 0), b"");
    for purpose in [Purpose::Requests, Purpose::News] {
        assert_eq!(received_by_the_slower(purpose).await, goodbye);
    }
    assert_eq!(received_by_the_slower(Purpose::Probe).await, b"", "a probe opens no link");
}
