//! Messages with a trace context that is too short. The tests speak the protocol to send them.

use meshzero::trace;
use meshzero_proto::wire::frame::{self, FrameKind, Header, TRACED};
use meshzero_proto::wire::hello::{self, Purpose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stations::Here;
use super::{span_below, station};
use crate::pair::{PATIENCE, Pair};

#[actix::test]
async fn a_forged_trace_costs_its_connection_and_nothing_else() {
    let pair = Pair::join().await;
    let (_, service, there) = station(&pair).await;
    for (kind, bytes) in
        [(FrameKind::Tell, 0), (FrameKind::Tell, 24), (FrameKind::Request, 0), (FrameKind::Request, 28)]
    {
        let mut stranger = TcpStream::connect(service.address()).await.expect("it listens");
        let mut sent = hello::encode_hello(&pair.stranger_hello(Purpose::Requests));
        let header = Header { flags: TRACED, ..Header::new(kind, 0) };
        frame::write(&mut sent, header, &vec![1; bytes]);
        stranger.write_all(&sent).await.expect("sent");
        let mut received = Vec::new();
        // Ends with the connection, however that ends.
        let read = timeout(PATIENCE, stranger.read_to_end(&mut received)).await;
        drop(read.expect("the connection ends"));
        assert!(received.starts_with(&hello::MAGIC), "it was let in");
    }
    let root = trace::begin();
    span_below(root, &there.send(Here).trace(root).await.expect("others are served"));
}
