//! The smallest program that can show whether a test's network carries datagrams, for the tests of the network itself.

#![allow(clippy::print_stdout, reason = "its output is its interface")]

use std::io::{self, BufRead as _};
use std::net::{Ipv4Addr, UdpSocket};

/// The multicast group that it joins: mDNS's, on another port.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5454;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["listen", own] => listen(address(own)?),
        ["send", own] => send(address(own)?),
        _ => Err(io::Error::other("usage: meshzero-probe listen|send OWN-ADDRESS")),
    }
}

/// Prints each datagram that arrives for this host or the group.
fn listen(own: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.join_multicast_v4(&GROUP, &own)?;
    println!("ready");
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        println!("{from} {}", String::from_utf8_lossy(&buffer[..length]));
    }
}

/// Sends the rest of each line to the address that is its first word. A network that is down loses datagrams, as it should.
fn send(own: Ipv4Addr) -> io::Result<()> {
    // Linux sends multicast through the interface that has the address a socket is bound to.
    let socket = UdpSocket::bind((own, 0))?;
    for line in io::stdin().lock().lines() {
        if let Some((to, text)) = line?.split_once(' ')
            && let Err(error) = socket.send_to(text.as_bytes(), to)
        {
            eprintln!("{to}: {error}");
        }
    }
    Ok(())
}

fn address(text: &str) -> io::Result<Ipv4Addr> {
    text.parse().map_err(io::Error::other)
}
