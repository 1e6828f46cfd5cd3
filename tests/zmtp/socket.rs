//! A raw socket that speaks ZMTP.

use std::net::SocketAddr;

use bytes::BytesMut;
use meshzero_proto::zmtp::{self, SocketType, ZmtpEvent, ZmtpMachine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::pair::PATIENCE;

/// A ZeroMQ socket, as seen on the wire.
pub struct Socket {
    stream: TcpStream,
    conversation: ZmtpMachine,
    arrived: BytesMut,
}

impl Socket {
    pub async fn connect(address: SocketAddr, kind: SocketType) -> Self {
        let stream = TcpStream::connect(address).await.expect("it accepts connections");
        let (this, answer) = Self::shake_hands(stream, kind).await;
        assert!(matches!(answer, ZmtpEvent::Ready { is_meshzero: true, .. }), "{answer:?}");
        this
    }

    /// The peer of the next connection to the listener.
    pub async fn accept(listener: &TcpListener, kind: SocketType) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection");
        Self::shake_hands(stream, kind).await.0
    }

    async fn shake_hands(stream: TcpStream, kind: SocketType) -> (Self, ZmtpEvent) {
        let mut this = Self { stream, conversation: ZmtpMachine::new(1 << 20), arrived: BytesMut::new() };
        let mut hello = zmtp::greeting().to_vec();
        zmtp::write_ready(&mut hello, kind, false);
        this.stream.write_all(&hello).await.expect("it reads");
        let answer = this.next().await.expect("it shakes hands");
        (this, answer)
    }

    pub async fn send(&mut self, frames: &[&[u8]]) {
        let mut bytes = Vec::new();
        zmtp::write_message(&mut bytes, frames.iter().copied());
        self.stream.write_all(&bytes).await.expect("it reads");
    }

    pub async fn subscribe(&mut self, prefix: &str) {
        let mut bytes = Vec::new();
        zmtp::write_subscription(&mut bytes, prefix.as_bytes(), true);
        self.stream.write_all(&bytes).await.expect("it reads");
    }

    /// The frames of the next message.
    pub async fn receive(&mut self) -> Vec<Vec<u8>> {
        match self.next().await {
            Some(ZmtpEvent::Message(frames)) => frames.iter().map(|frame| frame.to_vec()).collect(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// Sends JSON as a REQ socket does, and returns the JSON of the reply.
    pub async fn request(&mut self, json: &str) -> String {
        self.send(&[b"", json.as_bytes()]).await;
        let [delimiter, reply] = self.receive().await.try_into().expect("two frames");
        assert!(delimiter.is_empty());
        String::from_utf8(reply).expect("JSON is text")
    }

    /// Returns whether nothing more arrives but the end of the connection.
    pub async fn ends(&mut self) -> bool {
        self.next().await.is_none()
    }

    async fn next(&mut self) -> Option<ZmtpEvent> {
        loop {
            if let Some(event) = self.conversation.next(&mut self.arrived).expect("ZMTP") {
                return Some(event);
            }
            let reading = self.stream.read_buf(&mut self.arrived);
            match timeout(PATIENCE, reading).await.expect("something comes in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
