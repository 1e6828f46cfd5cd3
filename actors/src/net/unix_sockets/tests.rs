use std::future::poll_fn;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A TCP listener, which reserves the address whose Unix socket is tested.
async fn reserved() -> (TcpListener, SocketAddr) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = tcp.local_addr().expect("bound");
    (tcp, address)
}

async fn accept(listener: &Listener) -> io::Result<Connection> {
    let from = ([127, 0, 0, 1], 7).into();
    time::timeout(PATIENCE, poll_fn(|task| listener.poll_accept(task, from))).await.expect("in time")
}

/// A file in a folder of its own.
fn file() -> PathBuf {
    std::env::temp_dir().join(format!("meshzero-test-{:016x}", fastrand::u64(..))).join("127.0.0.1:9")
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_of_a_process_is_seen_at_once() {
    let (_tcp, address) = reserved().await;
    let listener = Listener::open(address).expect("nobody holds the name");
    let mut client = connect(address).expect("it listens");
    let mut server = accept(&listener).await.expect("it accepts");
    assert_eq!(server.peer_addr().expect("known"), ([127, 0, 0, 1], 7).into());
    assert_eq!(client.peer_addr().expect("known"), address);
    assert!(client.writer.is_unix() && server.writer.is_unix());
    client.writer.write_all(b"hello").await.expect("it reads");
    server.writer.write_all(b"welcome").await.expect("it reads");
    let mut bytes = [0; 7];
    server.reader.read_exact(&mut bytes[..5]).await.expect("it arrives");
    assert_eq!(&bytes[..5], b"hello");
    client.reader.read_exact(&mut bytes).await.expect("it arrives");
    assert_eq!(&bytes, b"welcome");
    drop(server);
    assert_eq!(time::timeout(PATIENCE, client.reader.read(&mut bytes)).await.expect("in time").ok(), Some(0));
}

#[tokio::test]
async fn there_is_a_connection_only_while_there_is_a_listener() {
    let (_tcp, address) = reserved().await;
    assert!(connect(address).is_none());
    let listener = Listener::open(address).expect("nobody holds the name");
    assert!(Listener::open(address).is_none(), "the name is held");
    assert!(connect(address).is_some());
    drop(listener);
    assert!(connect(address).is_none());
    assert!(Listener::open(address).is_some(), "the name is free again");
}

#[tokio::test]
async fn a_listener_at_all_addresses_is_found_by_each_of_them() {
    let tcp = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let port = tcp.local_addr().expect("bound").port();
    let _listener = Listener::open(([0, 0, 0, 0], port).into()).expect("nobody holds the name");
    assert!(connect(([127, 0, 0, 1], port).into()).is_some());
    assert!(connect((Ipv6Addr::LOCALHOST, port).into()).is_none(), "it accepts IPv4 only");
    let _both = Listener::open((Ipv6Addr::UNSPECIFIED, port).into()).expect("nobody holds the name");
    assert!(connect((Ipv6Addr::LOCALHOST, port).into()).is_some());
}

#[tokio::test]
async fn a_full_queue_does_not_make_a_client_wait() {
    let (_tcp, address) = reserved().await;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    let name = SocketName::of(address);
    name.prepare().expect("a folder");
    socket.bind(&name.to_address().expect("it fits")).expect("nobody holds the name");
    socket.listen(0).expect("it listens");
    let _held: Vec<Connection> = std::iter::from_fn(|| connect(address)).take(1_000).collect();
    assert!(connect(address).is_none(), "its queue is full");
    name.free();
}

#[tokio::test]
async fn a_listener_that_was_shut_down_is_an_error() {
    let (_tcp, address) = reserved().await;
    let listener = Listener::open(address).expect("nobody holds the name");
    socket2::SockRef::from(&listener.socket).shutdown(std::net::Shutdown::Both).expect("it is open");
    let accepted =
        time::timeout(PATIENCE, poll_fn(|task| listener.poll_accept(task, address))).await.expect("in time");
    assert_eq!(accepted.expect_err("it is closed").kind(), io::ErrorKind::NotConnected);
    assert!(connect(address).is_none());
}

#[tokio::test]
async fn another_user_is_refused() {
    let (one, _other) = UnixStream::pair().expect("a pair");
    check_user(&one, Uid::effective()).expect("it is this process");
    let error = check_user(&one, Uid::from_raw(Uid::effective().as_raw() + 1)).expect_err("it is not");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_file_is_of_this_user_alone_replaces_a_stale_one_and_is_removed() {
    use std::os::unix::fs::MetadataExt;

    let file = file();
    let name = || SocketName::File(file.clone());
    let listener = Listener::open_at(name()).expect("a new file");
    let folder = std::fs::metadata(file.parent().expect("a folder")).expect("it exists");
    assert_eq!(folder.mode() & 0o777, 0o700);
    // Without its destructor, as in a process that was killed.
    std::mem::forget(listener);
    let listener = Listener::open_at(name()).expect("the stale file is replaced");
    let _stream = connect_to(&name()).expect("it listens");
    accept(&listener).await.expect("it accepts");
    drop(listener);
    assert!(!file.exists());
    std::fs::remove_dir(file.parent().expect("a folder")).expect("it is empty");
}

#[tokio::test]
async fn a_folder_that_others_can_open_is_not_used() {
    use std::os::unix::fs::PermissionsExt;

    let file = file();
    let folder = file.parent().expect("a folder");
    std::fs::create_dir(folder).expect("it is new");
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let error = Listener::open_at(SocketName::File(file.clone())).expect_err("others can open it");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    std::fs::remove_dir(folder).expect("it is empty");
}
