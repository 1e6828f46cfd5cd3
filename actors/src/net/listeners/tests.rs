use meshzero_proto::discovery::addresses::OwnAddress;
use tokio::net::TcpStream;
use tokio::time;

use super::*;
use crate::net::host::interfaces::Interface;

/// Another loopback address. On Linux and Windows all of 127.0.0.0/8 belongs to this host; other systems have one more, of
/// IPv6.
const SECOND: &str = if cfg!(any(target_os = "linux", windows)) { "127.0.0.2" } else { "::1" };

fn chosen(ips: &[&str]) -> ChosenAddresses {
    let address = |ip: &&str| OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
    let interface = |ip| Interface { name: "eth0".into(), index: Some(7), address: address(ip) };
    ChosenAddresses { list: ips.iter().map(interface).collect(), ingress: Ingress::Any }
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// Needs three addresses of one family, all of this host.
#[cfg(any(target_os = "linux", windows))]
#[tokio::test]
async fn all_addresses_have_the_same_free_port() {
    let both =
        ChosenListeners::listen(&chosen(&["127.0.0.1", SECOND]), 0, UnixSockets::Used).expect("free ports");
    let port = both.bound().port();
    for ip in ["127.0.0.1", SECOND] {
        assert!(both.bound().accepts(at(ip, port)));
    }
    assert!(!both.bound().accepts(at("127.0.0.3", port)));
    let error =
        ChosenListeners::listen(&chosen(&[SECOND]), port, UnixSockets::Used).expect_err("it is taken");
    assert_eq!(error.1.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_port_is_reserved_while_there_is_no_address() {
    let none = ChosenListeners::listen(&chosen(&[]), 0, UnixSockets::Used).expect("a free port");
    let port = none.bound().port();
    assert!(port > 0);
    let error = ChosenListeners::listen(&chosen(&["127.0.0.1"]), port, UnixSockets::Used)
        .expect_err("it is reserved");
    assert_eq!(error.1.kind(), io::ErrorKind::AddrInUse);
}

/// Needs very many addresses.
#[cfg(any(target_os = "linux", windows))]
#[tokio::test]
async fn the_number_of_sockets_is_bounded() {
    let many: Vec<String> =
        (1..=chosen_addresses::MAX_ADDRESSES + 6).map(|host| format!("127.0.1.{host}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let chosen = ChosenListeners::listen(&chosen(&many), 0, UnixSockets::Used).expect("a free port");
    assert_eq!(chosen.sockets.len(), chosen_addresses::MAX_ADDRESSES);
    assert!(chosen.is_truncated && chosen.failing.is_empty());
}

/// Connects as soon as there is a listener.
async fn connect(address: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(address).await {
            Ok(client) => return client,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn an_address_that_appeared_before_follow_is_listened_at() {
    let (_publish, addresses) = watch::channel(Some(Arc::new(chosen(&[SECOND]))));
    let mut chosen =
        ChosenListeners::listen(&chosen(&["127.0.0.1"]), 0, UnixSockets::Used).expect("a free port");
    let second = at(SECOND, chosen.bound().port());
    chosen.follow(addresses, Duration::ZERO, || {});
    let connected = async { tokio::join!(chosen.accept(), connect(second)) };
    time::timeout(Duration::from_secs(20), connected).await.expect("it listens there").0.expect("it accepts");
}

#[tokio::test]
async fn sockets_come_and_go_with_the_addresses() {
    let (publish, addresses) = watch::channel(Some(Arc::new(chosen(&["127.0.0.1"]))));
    let mut listeners =
        ChosenListeners::listen(&chosen(&["127.0.0.1"]), 0, UnixSockets::Used).expect("a free port");
    let (tx, rx) = std::sync::mpsc::channel();
    listeners.follow(addresses, Duration::ZERO, move || tx.send(()).expect("the test receives"));
    let bound = listeners.bound().clone();
    let (first, second) = (at("127.0.0.1", bound.port()), at(SECOND, bound.port()));
    publish.send_replace(Some(Arc::new(chosen(&[SECOND]))));
    let (accepted, client) = tokio::join!(listeners.accept(), connect(second));
    let (_, from) = accepted.expect("a connection");
    assert_eq!(from, client.local_addr().expect("it is connected"));
    assert_eq!(rx.try_recv(), Ok(()));
    assert!(bound.accepts(second) && !bound.accepts(first));
    let refused = TcpStream::connect(first).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_by_another_interface_are_not_accepted() {
    let (publish, addresses) = watch::channel(Some(Arc::new(chosen(&["127.0.0.1"]))));
    let mut listeners =
        ChosenListeners::listen(&chosen(&["127.0.0.1"]), 0, UnixSockets::Used).expect("a free port");
    let address = at("127.0.0.1", listeners.bound().port());
    listeners.follow(addresses, Duration::ZERO, || {});
    let restricted = Ingress::only(&[7]);
    listeners.restrict(&restricted);
    // Otherwise loopback is always included.
    let attempt = time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await;
    assert!(attempt.is_err(), "{attempt:?}");
    let open = ChosenAddresses { ingress: Ingress::only(&[1, 7]), ..chosen(&["127.0.0.1"]) };
    publish.send_replace(Some(Arc::new(open)));
    let (accepted, client) = tokio::join!(listeners.accept(), connect(address));
    accepted.expect("a connection");
    drop(client);
}

#[tokio::test]
async fn the_sockets_stay_open_while_the_addresses_are_unknown() {
    let (publish, addresses) = watch::channel(None);
    let mut listeners =
        ChosenListeners::listen(&chosen(&["127.0.0.1"]), 0, UnixSockets::Used).expect("a free port");
    let (tx, rx) = std::sync::mpsc::channel();
    listeners.follow(addresses, Duration::ZERO, move || tx.send(()).expect("the test receives"));
    let bound = listeners.bound().clone();
    let first = at("127.0.0.1", bound.port());
    let (accepted, client) = tokio::join!(listeners.accept(), connect(first));
    accepted.expect("a connection");
    drop(client);
    assert!(bound.accepts(first) && rx.try_recv().is_err());
    publish.send_replace(Some(Arc::new(chosen(&[]))));
    let closed = async {
        tokio::select! {
            _ = listeners.accept() => unreachable!("nobody connects"),
            () = async { while bound.accepts(first) { tokio::task::yield_now().await } } => {}
        }
    };
    time::timeout(Duration::from_secs(20), closed).await.expect("it closes");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_any_interface_nothing_arrives() {
    let listeners = socket::listen(at("127.0.0.1", 0), &Ingress::only(&[])).expect("it listens");
    let address = listeners.local_addr().expect("bound");
    let attempt = time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await;
    assert!(attempt.is_err(), "{attempt:?}");
}
