//! Promise 4 for the gateway to NetworkZero: everything that its programs advertise, send or leave unread, and everything that
//! the gateway's owner does not take, is bounded.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use meshzero::networkzero::{Gateway, GatewayEvent};
use meshzero::{Mesh, TrySendError, Value};
use meshzero_proto::networkzero::{BEACON_PORT, COMMAND_PORT};
use meshzero_proto::zmtp::SocketType;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Arm;
use super::socket::Socket;
use crate::bounds::{LENGTH, MANY, check_memory, send_many};
use crate::pair::{PATIENCE, Pair};

/// The limit of names that a gateway stores from adverts, and of those that programs of its machine advertise.
const NAMES: usize = 512;

/// A write that takes longer is blocked.
const HELD_UP: Duration = Duration::from_millis(500);

/// A gateway that is the beacon of this machine.
async fn open(mesh: &Mesh) -> Gateway {
    let mut gateway = mesh.networkzero().await.expect("a gateway");
    assert_eq!(
        next(&mut gateway).await,
        GatewayEvent::IsBeacon,
        "no other program is the beacon of this machine"
    );
    gateway
}

async fn next(gateway: &mut Gateway) -> GatewayEvent {
    timeout(PATIENCE, gateway.next()).await.expect("in time").expect("it continues")
}

/// A program of this machine that sends commands to the beacon.
async fn commands(kind: SocketType) -> Socket {
    let beacon = SocketAddr::from((Ipv4Addr::LOCALHOST, COMMAND_PORT));
    let listens = async {
        while TcpStream::connect(beacon).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, listens).await.expect("it takes commands in time");
    Socket::connect(beacon, kind).await
}

/// The number of names that the beacon stores.
async fn known(program: &mut Socket) -> usize {
    let all = program.request(r#"["discover_all"]"#).await;
    serde_json::from_str::<Vec<(String, String)>>(&all).expect("names and addresses").len()
}

fn advertise(name: &str, address: SocketAddr) -> String {
    json!(["advertise", name, address.to_string(), false, 3_600]).to_string()
}

/// An address without a listener.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

#[actix::test]
async fn names_that_programs_of_this_machine_advertise() {
    let pair = Pair::join().await;
    let _gateway = open(&pair.here).await;
    let mut program = commands(SocketType::Req).await;
    check_memory("names as long as messages", async || {
        for number in 0..300 {
            let name = format!("{}{number}", "x".repeat(500_000));
            assert_eq!(program.request(&advertise(&name, nowhere())).await, "null", "it fits no advert");
        }
    })
    .await;
    let mut taken = 0;
    for number in 0..2 * NAMES {
        taken += usize::from(program.request(&advertise(&number.to_string(), nowhere())).await != "null");
    }
    assert_eq!((taken, known(&mut program).await), (NAMES, NAMES));
}

#[actix::test]
async fn names_that_are_heard() {
    let pair = Pair::join().await;
    let _gateway = open(&pair.here).await;
    let mut program = commands(SocketType::Req).await;
    let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let mut number = 0;
    // Datagrams may be lost.
    let heard = async {
        while known(&mut program).await < NAMES || number < 4 * NAMES {
            for _ in 0..32 {
                let advert = json!([number.to_string(), nowhere().to_string(), 3_600]).to_string();
                host.send_to(advert.as_bytes(), (Ipv4Addr::LOCALHOST, BEACON_PORT)).await.expect("sent");
                number += 1;
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("in time");
    assert_eq!(known(&mut program).await, NAMES);
}

#[actix::test]
async fn a_program_that_floods_the_beacon_with_commands_is_blocked_and_others_are_served() {
    let pair = Pair::join().await;
    let _gateway = open(&pair.here).await;
    let mut eager = commands(SocketType::Dealer).await;
    let question = json!(["discover", "x".repeat(LENGTH), 3_600]).to_string();
    check_memory("commands", async || {
        let mut sent = 0;
        while sent < MANY && timeout(HELD_UP, eager.send(&[b"", question.as_bytes()])).await.is_ok() {
            sent += 1;
        }
        assert!(sent < MANY, "all {sent} were taken");
    })
    .await;
    drop(eager);
    let mut program = commands(SocketType::Req).await;
    assert_eq!(program.request(r#"["discover", "nobody", 0]"#).await, "null");
}

#[actix::test]
async fn events_that_the_owner_of_a_gateway_does_not_take_are_counted() {
    let pair = Pair::join().await;
    let mut gateway = open(&pair.here).await;
    let mut program = commands(SocketType::Req).await;
    let rounds = 200;
    for _ in 0..rounds {
        let service = pair.here.advertise("arm", Arm::default).await.expect("advertised");
        // The program can wait for a new name, and has to poll for a removed one.
        let found = async { while program.request(r#"["discover", "arm", 1]"#).await == "null" {} };
        timeout(PATIENCE, found).await.expect("in time");
        service.close().await;
        let gone = async { while known(&mut program).await > 0 {} };
        timeout(PATIENCE, gone).await.expect("in time");
    }
    let (mut told, mut missed) = (0, 0);
    while told + missed < 2 * rounds {
        match next(&mut gateway).await {
            GatewayEvent::Missed { count } => missed += count,
            GatewayEvent::Announced { .. } | GatewayEvent::Unannounced { .. } => told += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(missed > 0 && told + missed == 2 * rounds, "{told} told, {missed} missed");
}

/// A NetworkZero program that answers at an address of its own, once the gateway has reached it.
async fn answering(program: &mut Socket) -> Socket {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    assert_eq!(program.request(&advertise("still", address)).await, json!(address.to_string()).to_string());
    Socket::accept(&listener, SocketType::Router).await
}

#[actix::test]
async fn a_program_that_reads_nothing() {
    let pair = Pair::join().await;
    let _gateway = open(&pair.here).await;
    let mut program = commands(SocketType::Req).await;
    let _reads_nothing = answering(&mut program).await;
    let service = pair.there.discover("still").within(PATIENCE).await.expect("it is brought over");
    let message = || Value::Bytes(vec![7; LENGTH]);
    send_many("messages", || service.do_send(message())).await;
    assert!(matches!(service.try_send(message()), Err(TrySendError::Full(_))));
    assert!(service.stats().calls.dropped as usize > MANY / 2, "{:?}", service.stats().calls);
}

#[actix::test]
async fn messages_without_a_reply_to_a_program_that_answers_none() {
    let pair = Pair::join().await;
    let _gateway = open(&pair.here).await;
    let mut program = commands(SocketType::Req).await;
    let mut answers_nothing = answering(&mut program).await;
    let service = pair.there.discover("still").within(PATIENCE).await.expect("it is brought over");
    for number in 0..2_000u64 {
        service.tell(Value::from(number)).await.expect("it is taken");
        let frames = answers_nothing.receive().await;
        assert_eq!(frames.last().map(Vec::as_slice), Some(number.to_string().as_bytes()));
    }
}
