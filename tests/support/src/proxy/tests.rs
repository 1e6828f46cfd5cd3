//! The proxy injects the chosen faults, and no others.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;

/// Both ends of a connection through a proxy.
struct Ends {
    proxy: FaultProxy,
    client: TcpStream,
    server: TcpStream,
}

fn connect(faults: Faults) -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = FaultProxy::in_front_of(listener.local_addr().expect("bound"));
    proxy.next(faults);
    let client = TcpStream::connect(proxy.address()).expect("it listens");
    let server = listener.accept().expect("it forwards").0;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a valid time");
    }
    Ends { proxy, client, server }
}

fn arrived(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer).expect("it arrives");
    buffer
}

#[test]
fn without_faults_everything_arrives_both_ways_and_the_end_too() {
    let Ends { proxy, mut client, mut server } = connect(Faults::default());
    let much: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let sent = much.clone();
    let writing = thread::spawn(move || client.write_all(&sent).map(|()| client));
    let read = arrived(&mut server, much.len());
    assert!(read == much, "it is the same");
    server.write_all(b"thanks").expect("it is open");
    drop(server);
    let mut answer = String::new();
    let mut client = writing.join().expect("no panic").expect("it is written");
    client.read_to_string(&mut answer).expect("it ends in order");
    assert_eq!(answer, "thanks");
    assert_eq!((proxy.carried(Direction::Up), proxy.carried(Direction::Down)), (3_000_000, 6));
}

#[test]
fn it_cuts_by_reset_and_by_close_after_exactly_so_many_bytes() {
    for (how, end) in [(Cut::Reset, Err(ErrorKind::ConnectionReset)), (Cut::Close, Ok(0))] {
        for bytes in [0, 1, 7] {
            let faults = Faults { up: Fault::after(bytes, Event::Cut(how)), ..Faults::default() };
            let Ends { proxy: _proxy, mut client, mut server } = connect(faults);
            let wrote = client.write_all(b"0123456789");
            let mut all = Vec::new();
            let ended = server.read_to_end(&mut all).map(|_| 0).map_err(|error| error.kind());
            assert_eq!((&all[..], ended), (&b"0123456789"[..bytes as usize], end), "{how:?} after {bytes}");
            // A reset is reported once, and a connection that was cut at once has reported it already.
            if wrote.is_ok() {
                let ended = client.read(&mut [0]).map_err(|error| error.kind());
                assert_eq!(ended, end, "{how:?} after {bytes}");
            }
        }
    }
}

#[test]
fn it_cuts_holds_up_and_refuses_on_demand() {
    let Ends { proxy, mut client, mut server } = connect(Faults::default());
    proxy.stall(Direction::Up);
    client.write_all(b"held").expect("it is open");
    server.write_all(b"free").expect("it is open");
    assert_eq!(arrived(&mut client, 4), b"free");
    assert_eq!(proxy.carried(Direction::Up), 0);
    proxy.release(Direction::Up);
    assert_eq!(arrived(&mut server, 4), b"held");
    proxy.refuse();
    let error = TcpStream::connect(proxy.address()).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"more").expect("what was there goes on");
    assert_eq!(arrived(&mut server, 4), b"more");
    proxy.accept();
    TcpStream::connect(proxy.address()).expect("it listens again");
    proxy.cut(Cut::Reset);
    let error = client.read(&mut [0]).expect_err("it was reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn it_delays_throttles_corrupts_and_swallows() {
    let slow =
        Fault { delay: Duration::from_millis(30), jitter: Duration::from_millis(5), ..Fault::default() };
    let Ends { proxy: _proxy, mut client, mut server } = connect(Faults::both(slow));
    let begun = Instant::now();
    client.write_all(b"?").expect("it is open");
    let question = arrived(&mut server, 1);
    server.write_all(&question).expect("it is open");
    assert_eq!(arrived(&mut client, 1), b"?");
    assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());

    let narrow = Fault { bytes_per_second: Some(10_000), ..Fault::default() };
    let Ends { proxy: _proxy, mut client, mut server } = connect(Faults { up: narrow, ..Faults::default() });
    let begun = Instant::now();
    client.write_all(&[7; 1_000]).expect("it is open");
    assert_eq!(arrived(&mut server, 1_000), [7; 1_000]);
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());

    let damaged = Fault { events: vec![(1, Event::Corrupt), (3, Event::Corrupt)], ..Fault::default() };
    let Ends { proxy: _proxy, mut client, mut server } = connect(Faults { up: damaged, ..Faults::default() });
    client.write_all(b"aaa").expect("it is open");
    client.write_all(b"aa").expect("it is open");
    assert_eq!(arrived(&mut server, 5), b"a`a`a");

    let silent = Faults { up: Fault::after(2, Event::Swallow), ..Faults::default() };
    let Ends { proxy: _proxy, mut client, mut server } = connect(silent);
    client.write_all(b"abcdef").expect("it is open");
    assert_eq!(arrived(&mut server, 2), b"ab");
    drop(client);
    server.set_read_timeout(Some(Duration::from_millis(100))).expect("a valid time");
    let error = server.read(&mut [0]).expect_err("neither bytes nor the end");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}
