use meshzero_proto::diagnosis::Attempt;
use meshzero_proto::id::NodeId;
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::hello::{Purpose, Welcome};
use tokio::net::TcpListener;

use super::*;

/// The hello of a probe.
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

#[tokio::test]
async fn when_all_addresses_refuse_nothing_is_waited_for() {
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let started = Instant::now();
    dial(&Network::System, &[refusing, refusing], &hello(), Duration::from_secs(60))
        .await
        .expect_err("nobody answers");
    assert!(started.elapsed() < AFTER_REFUSAL, "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_address_that_refuses_says_more_than_one_that_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let addresses = [silent.local_addr().expect("bound"), refusing];
    let error = dial(&Network::System, &addresses, &hello(), Duration::from_secs(60))
        .await
        .expect_err("nobody answers");
    assert!(matches!(error, DialError::Unreachable { address, .. } if address == refusing), "{error}");
}

#[tokio::test]
async fn an_address_that_becomes_known_while_dialling_is_tried() {
    use meshzero_proto::id::InstanceId;
    use meshzero_proto::wire::hello::{HelloAnswer, encode_answer, parse_hello};
    use tokio::io::AsyncWriteExt;

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let there = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = there.local_addr().expect("bound");
    let mut instance = Instance {
        id: InstanceId::from_random([2; 16]),
        node: NodeId::from_random([3; 16]),
        service: "arm".parse().expect("a name"),
        addresses: vec![silent.local_addr().expect("bound")],
        local: false,
    };
    let (tell, listed) = watch::channel(Some(instance.clone()));
    let (network, hello, known) = (Network::System, hello(), instance.addresses.clone());
    let (record, patience) = (AttemptRecord::default(), Duration::from_secs(60));
    let dial = dial_listed(&network, &known, Some(listed), &hello, patience, &record);
    let answering = async {
        // The first address is being tried by now.
        let (_held, _) = silent.accept().await.expect("dialled");
        instance.addresses.push(address);
        tell.send(Some(instance)).expect("it listens");
        let (mut stream, _) = there.accept().await.expect("dialled");
        read_handshake(&mut stream, &[], parse_hello).await.expect("a hello");
        let welcome = Welcome {
            node: NodeId::from_random([3; 16]),
            instance: InstanceId::from_random([2; 16]),
            service: None,
            message_bytes: 1,
            link: None,
            received: 0,
            standby: None,
        };
        stream.write_all(&encode_answer(&HelloAnswer::Welcome(welcome))).await.expect("it reads");
        std::future::pending::<()>().await;
    };
    let dialled = tokio::select! {
        dialled = dial => dialled.expect("it answers"),
        () = answering => unreachable!("it never ends"),
    };
    assert_eq!(dialled.address, address);
}

#[tokio::test]
async fn an_error_names_every_address_that_was_tried_and_how_each_ended() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let addresses = [silent.local_addr().expect("bound"), refusing];
    let error = dial(&Network::System, &addresses, &hello(), Duration::from_secs(60))
        .await
        .expect_err("nobody answers");
    let [first, second] = error.attempts() else { panic!("not two: {:?}", error.attempts()) };
    assert_eq!((first.address, first.outcome), (addresses[0], AttemptOutcome::Accepted));
    assert_eq!(second.address, refusing);
    let kind = io::ErrorKind::ConnectionRefused;
    assert!(
        matches!(second.outcome, AttemptOutcome::Failed { kind: told, code: Some(_) } if told == kind),
        "{second}"
    );
    assert!(first.took >= AFTER_REFUSAL && second.took < AFTER_REFUSAL, "{first}, {second}");
}

#[tokio::test]
async fn attempts_that_are_open_at_the_timeout_are_reported_as_well() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("bound");
    let patience = Duration::from_millis(100);
    let error = dial(&Network::System, &[address], &hello(), patience).await.expect_err("nobody answers");
    assert!(matches!(error, DialError::TimedOut { after, .. } if after == patience), "{error}");
    let [Attempt { outcome: AttemptOutcome::Accepted, .. }] = error.attempts() else {
        panic!("{:?}", error.attempts())
    };
}
