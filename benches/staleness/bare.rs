//! The same states over a TCP connection and as UDP datagrams, and nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;

use crate::listener::Ages;
use crate::{PERIOD, STATE_BYTES, now};

pub(crate) fn publish() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    let socket = UdpSocket::bind(at).expect("the same port");
    println!("at 10.77.0.1:{}", at.port());
    let (mut stream, _) = listener.accept().expect("somebody listens");
    let (_, subscriber) = socket.recv_from(&mut [0; 8]).expect("somebody asks");
    stream.set_nodelay(true).expect("a connection");
    let mut state = [0; STATE_BYTES];
    loop {
        state[..8].copy_from_slice(&now().to_le_bytes());
        stream.write_all(&state).expect("it continues to listen");
        // A datagram that cannot be sent is lost like any other.
        let _ = socket.send_to(&state, subscriber);
        thread::sleep(PERIOD);
    }
}

pub(crate) fn listen(at: &str) {
    let mut stream = TcpStream::connect(at).expect("it is there");
    let ages = Ages::default();
    ages.serve();
    println!("listening");
    let mut state = [0; STATE_BYTES];
    loop {
        stream.read_exact(&mut state).expect("it continues");
        ages.arrive(u64::from_le_bytes(*state.first_chunk().expect("long enough")));
    }
}

pub(crate) fn listen_udp(at: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.send_to(b"states", at).expect("it is there");
    let ages = Ages::default();
    ages.serve();
    println!("listening");
    let mut state = [0; STATE_BYTES];
    loop {
        socket.recv(&mut state).expect("it continues");
        ages.arrive(u64::from_le_bytes(*state.first_chunk().expect("long enough")));
    }
}
