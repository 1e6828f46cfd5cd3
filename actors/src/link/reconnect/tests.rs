//! Reconnection of a link to a listener that plays an endpoint.

use std::sync::Arc;

use meshzero_proto::limits::Limits;
use meshzero_proto::wire::hello::{HelloAnswer, LinkState};
use tokio::net::TcpListener;

use super::*;
use crate::net::connection::Connection;

fn hello() -> Hello {
    Hello { purpose: Purpose::News, ..dial::tests::hello() }
}

fn welcome() -> Welcome {
    Welcome { link: Some(LinkId::from_random([4; 16])), ..dial::tests::welcome() }
}

async fn read_hello(connection: &mut Connection) -> Hello {
    dial::read_handshake(&mut connection.reader, &[], hello::parse_hello).await.expect("a hello")
}

async fn answer(connection: &Connection, welcome: Welcome) {
    let answer = hello::encode_answer(&HelloAnswer::Welcome(welcome));
    connection.writer.write_all(&answer).await.expect("it reads");
}

/// Returns a listener that plays an endpoint, and the reconnector of a link to it.
async fn endpoint() -> (TcpListener, Reconnector) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (network, addresses, hello) = (Network::default(), [address], hello());
    let serve = async {
        let mut connection = accept(&listener).await;
        read_hello(&mut connection).await;
        answer(&connection, welcome()).await;
        connection
    };
    let dial = dial::dial(&network, &addresses, &hello, ATTEMPT_TIMEOUT);
    let (handshaken, accepted) = tokio::join!(dial, serve);
    drop(accepted);
    let reconnector =
        Reconnector::new(&hello, &handshaken.expect("it answers"), None, &LinkConfig::default());
    (listener, reconnector)
}

async fn accept(listener: &TcpListener) -> Connection {
    listener.accept().await.expect("it comes").0.into()
}

#[tokio::test]
async fn a_link_resumes_over_a_standby_connection() {
    let (listener, mut reconnector) = endpoint().await;
    let link = welcome().link;
    let serve = async {
        let mut connection = accept(&listener).await;
        let first = read_hello(&mut connection).await;
        assert_eq!((first.purpose, first.standby, first.resume), (Purpose::Probe, link, None));
        answer(&connection, Welcome { standby: Some(LinkState::default()), ..welcome() }).await;
        let second = read_hello(&mut connection).await;
        assert_eq!(second.resume.map(|resume| (Some(resume.link), resume.received)), Some((link, 7)));
        answer(&connection, Welcome { received: 5, ..welcome() }).await;
        connection
    };
    let (next, _connection) = tokio::join!(reconnector.next(7), serve);
    assert_eq!(next.expect("it resumes").resume_from, 5);
}

#[tokio::test]
async fn a_link_to_an_older_endpoint_resumes_without_a_standby_connection() {
    let (listener, mut reconnector) = endpoint().await;
    let serve = async {
        // It answers a probe without knowledge of standby connections, and closes the connection.
        let mut connection = accept(&listener).await;
        read_hello(&mut connection).await;
        answer(&connection, Welcome { link: None, ..welcome() }).await;
        drop(connection);
        let mut connection = accept(&listener).await;
        let resumed = read_hello(&mut connection).await;
        assert!(resumed.resume.is_some() && resumed.standby.is_none());
        answer(&connection, Welcome { received: 5, ..welcome() }).await;
        connection
    };
    let (next, _connection) = tokio::join!(reconnector.next(7), serve);
    assert_eq!(next.expect("it resumes").resume_from, 5);
    assert!(reconnector.dial_racer().is_none(), "it is not asked for a standby connection again");
}

#[tokio::test]
async fn at_the_limit_of_dials_a_link_resumes_without_a_standby_connection() {
    let (listener, mut reconnector) = endpoint().await;
    let mut limits = Limits::default();
    limits.races_per_second = 1;
    reconnector.link_config.limits = Arc::new(limits);
    // In the future, so that none is granted until then.
    let later = clock::now() + Duration::from_secs(60);
    while reconnector.link_config.may_dial_standby(later) {}
    reconnector.window = Duration::MAX;
    let started = Instant::now();
    let serve = async {
        let mut connection = accept(&listener).await;
        assert!(read_hello(&mut connection).await.resume.is_some());
        answer(&connection, Welcome { received: 5, ..welcome() }).await;
        connection
    };
    let (next, _connection) = tokio::join!(reconnector.next(7), serve);
    assert_eq!(next.expect("it resumes").resume_from, 5);
    assert!(started.elapsed() < ATTEMPT_TIMEOUT, "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_refusal_at_another_address_does_not_end_a_link_whose_address_is_silent() {
    let (listener, mut reconnector) = endpoint().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    reconnector.addresses = vec![reconnector.address, closed];
    reconnector.window = Duration::from_millis(700);
    let serve = async {
        let mut silent = Vec::new();
        loop {
            silent.push(accept(&listener).await);
        }
    };
    let started = Instant::now();
    let reason = tokio::select! {
        biased;
        next = reconnector.next(7) => next.expect_err("no endpoint answers"),
        () = serve => unreachable!("it accepts forever"),
    };
    assert!(
        started.elapsed() >= reconnector.window - MIN_DELAY * 3,
        "{reason} after {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_link_ends_at_once_if_its_port_refuses() {
    let (listener, mut reconnector) = endpoint().await;
    drop(listener);
    let started = Instant::now();
    let reason = reconnector.next(7).await.expect_err("there is no listener");
    assert!(reason.contains("refused") && started.elapsed() < ATTEMPT_TIMEOUT, "{reason}");
}
