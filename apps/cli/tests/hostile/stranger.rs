//! One end of a connection that says whatever it likes, and a client that is polite.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use meshzero_proto::codec::{DecodeLimits, Encoding, decode, encode};
use meshzero_proto::id::NodeId;
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::frame::{self, FrameKind, Frames, Header};
use meshzero_proto::wire::hello::{self, Hello, HelloAnswer, Purpose, Rejection, Welcome};
use serde::Serialize;

/// The time that a stranger waits for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an honest message at most.
pub(super) const MESSAGE: usize = 1 << 20;

/// Somebody who knows an endpoint and its mesh.
#[derive(Clone, Copy)]
pub(super) struct Stranger<'a> {
    pub(super) address: SocketAddr,
    pub(super) mesh: &'a str,
}

impl Stranger<'_> {
    /// A connection.
    #[track_caller]
    pub(super) fn connect(self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("it accepts connections");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// A connection on which this has been said, as far as the other end lets it.
    #[track_caller]
    pub(super) fn says(self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        say(&mut stream, bytes);
        stream
    }

    /// A hello that is right.
    pub(super) fn hello(self, purpose: Purpose) -> Hello {
        Hello {
            mesh: MeshName::new(self.mesh).expect("a name"),
            node: node(),
            instance: None,
            purpose,
            message_bytes: MESSAGE as u32,
            resume: None,
            pieces: true,
            standby: None,
        }
    }

    /// A connection that has been welcomed.
    #[track_caller]
    pub(super) fn welcomed(self, purpose: Purpose) -> (TcpStream, Welcome) {
        self.welcomed_as(&self.hello(purpose))
    }

    /// A connection that has been welcomed after this hello.
    #[track_caller]
    pub(super) fn welcomed_as(self, hello: &Hello) -> (TcpStream, Welcome) {
        let mut stream = self.says(&hello::encode_hello(hello));
        match answer(&mut stream).expect("an answer comes") {
            HelloAnswer::Welcome(welcome) => (stream, welcome),
            HelloAnswer::Rejected(rejection) => panic!("rejected: {rejection}"),
        }
    }

    /// A connection that has been welcomed and on which this has been said.
    #[track_caller]
    pub(super) fn goes_on(self, purpose: Purpose, bytes: &[u8]) -> TcpStream {
        let (mut stream, _) = self.welcomed(purpose);
        say(&mut stream, bytes);
        stream
    }

    /// Says `bytes` on a connection for requests, which the other end then ends.
    #[track_caller]
    pub(super) fn is_cut_off(self, bytes: &[u8]) -> Vec<TcpStream> {
        let stream = self.goes_on(Purpose::Requests, bytes);
        ends(stream);
        Vec::new()
    }

    /// The rejection of a hello.
    #[track_caller]
    pub(super) fn is_rejected(self, hello: &Hello) -> Rejection {
        let mut stream = self.says(&hello::encode_hello(hello));
        match answer(&mut stream).expect("an answer comes") {
            HelloAnswer::Rejected(rejection) => rejection,
            HelloAnswer::Welcome(_) => panic!("it was welcomed"),
        }
    }
}

/// A node that nobody has heard of.
pub(super) fn node() -> NodeId {
    NodeId::from_random(std::array::from_fn(|_| fastrand::u8(..)))
}

/// Says as much as the other end takes before it hangs up or stops reading; returns how much.
pub(super) fn say(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut said = 0;
    while said < bytes.len() {
        match stream.write(&bytes[said..]) {
            Ok(0) | Err(_) => break,
            Ok(wrote) => said += wrote,
        }
    }
    said
}

/// Says the same again and again until so many bytes are said, or the other end has taken none for a second or has hung up;
/// whatever it answers is not read.
pub(super) fn say_on(stream: &mut TcpStream, bytes: &[u8], least: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let batch = bytes.repeat((64 << 10) / bytes.len() + 1);
    let mut said = 0;
    while said < least {
        match say(stream, &batch) {
            0 => break,
            some => said += some,
        }
    }
    said
}

/// Waits until the other end has ended the connection.
#[track_caller]
pub(super) fn ends(mut stream: TcpStream) {
    let begun = Instant::now();
    let mut buffer = [0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => return,
            Ok(_) if begun.elapsed() > PATIENCE => break,
            Ok(_) => {}
        }
    }
    panic!("it did not end the connection");
}

/// Ends a connection in the middle of whatever it was about.
pub(super) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Reads the answer to a hello, and nothing behind it.
fn answer(stream: &mut TcpStream) -> io::Result<HelloAnswer> {
    let mut bytes = Vec::new();
    loop {
        let wanted = hello::missing_bytes(&bytes).map_err(io::Error::other)?;
        let known = bytes.len();
        bytes.resize(known + wanted, 0);
        stream.read_exact(&mut bytes[known..])?;
        if let Some((answer, _)) = hello::parse_answer(&bytes).map_err(io::Error::other)? {
            return Ok(answer);
        }
    }
}

/// A frame.
pub(super) fn framed(kind: FrameKind, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, Header::new(kind, id), payload);
    bytes
}

/// A request of the first type of message that the endpoint handles, which is that of values.
pub(super) fn request(id: u64, message: &[u8]) -> Vec<u8> {
    framed(FrameKind::Request, id, &[&0u32.to_le_bytes()[..], message].concat())
}

/// The bytes of a message.
pub(super) fn packed<T: Serialize + ?Sized>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, Encoding::MessagePack, usize::MAX, &mut bytes).expect("it is encoded");
    bytes
}

/// A client that does as it should.
pub(super) struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of frames that have arrived.
    received: u64,
    calls: u64,
}

impl Caller {
    /// Connects within this time, however often that takes.
    #[track_caller]
    pub(super) fn connect(endpoint: Stranger<'_>, within: Duration) -> Self {
        let begun = Instant::now();
        loop {
            let greeted = || {
                let mut stream = TcpStream::connect_timeout(&endpoint.address, within)?;
                stream.set_read_timeout(Some(within))?;
                stream.write_all(&hello::encode_hello(&endpoint.hello(Purpose::Requests)))?;
                answer(&mut stream).map(|answer| (stream, answer))
            };
            match greeted() {
                Ok((stream, HelloAnswer::Welcome(_))) => {
                    return Self { stream, buffer: Vec::new(), received: 0, calls: 0 };
                }
                failed if begun.elapsed() > within => panic!("no connection: {failed:?}"),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Calls, and checks the reply.
    pub(super) fn call(&mut self, message: &str, within: Duration) -> Result<(), String> {
        self.calls += 1;
        // One place, used again and again.
        let id = self.calls << 32;
        self.send(&request(id, &packed(message)))?;
        let begun = Instant::now();
        loop {
            let mut buffer = [0; 4 << 10];
            let (frames, left) = {
                let mut frames = Frames::new(&self.buffer);
                let all: Vec<_> =
                    frames.by_ref().map(|(header, payload)| (header, payload.to_vec())).collect();
                (all, frames.remaining())
            };
            self.buffer.drain(..self.buffer.len() - left);
            for (header, payload) in frames {
                match header.kind {
                    FrameKind::Ping => self.send(&framed(FrameKind::Ack, self.received, b""))?,
                    FrameKind::Reply if header.id == id => {
                        let reply: String = decode(&payload, Encoding::MessagePack, &DecodeLimits::default())
                            .map_err(|error| error.to_string())?;
                        let is_same = reply == message;
                        return is_same.then_some(()).ok_or(format!("the reply is {reply:?}"));
                    }
                    FrameKind::Refusal if header.id == id => return Err("it was refused".to_owned()),
                    _ => {}
                }
            }
            if begun.elapsed() > within {
                return Err(format!("no reply within {within:?}"));
            }
            match self.stream.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => return Err("it ended the connection".to_owned()),
                read => {
                    self.received += read as u64;
                    self.buffer.extend_from_slice(&buffer[..read]);
                }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| error.to_string())
    }
}
