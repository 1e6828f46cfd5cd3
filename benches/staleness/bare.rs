//! The same states over a TCP connection, and nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::listener::Ages;
use crate::{PERIOD, STATE_BYTES, now};

pub(crate) fn publish() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    println!("at 10.77.0.1:{}", listener.local_addr().expect("bound").port());
    let (mut stream, _) = listener.accept().expect("somebody listens");
    stream.set_nodelay(true).expect("a connection");
    let mut state = [0; STATE_BYTES];
    loop {
        state[..8].copy_from_slice(&now().to_le_bytes());
        stream.write_all(&state).expect("it goes on listening");
        thread::sleep(PERIOD);
    }
}

pub(crate) fn listen(at: &str) {
    let mut stream = TcpStream::connect(at).expect("it is there");
    let ages = Ages::default();
    ages.answer();
    println!("listening");
    let mut state = [0; STATE_BYTES];
    loop {
        stream.read_exact(&mut state).expect("it goes on");
        ages.arrive(u64::from_le_bytes(*state.first_chunk().expect("long enough")));
    }
}
