//! A send queue with senders, a writer and a socket.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use meshzero_proto::buffer::{Buffer, WriteBuffer};
use meshzero_proto::codec::{Blob, Encoding};
use meshzero_proto::limits::Limits;
use meshzero_proto::stream::{InvalidAck, PIECE_BYTES};
use meshzero_proto::wire::fragments::FragmentBuffer;
use meshzero_proto::wire::frame::{self, FrameWriter, Frames, HEADER_BYTES, Header};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::connection::Connection;

fn bytes(count: usize) -> impl FnOnce(&mut Buffer) -> Result<(), Infallible> {
    move |out| {
        out.put(&vec![7; count]);
        Ok(())
    }
}

/// The writing end of a connection, and the other end.
async fn connection() -> (WriteHalf, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (client, peer) = tokio::join!(TcpStream::connect(address), listener.accept());
    let Connection { writer, .. } = client.expect("connected").into();
    (writer, peer.expect("accepted").0)
}

/// Returns a send queue whose task does not run yet, and the other end of its connection.
async fn queue_with(limits: Limits) -> (Arc<SendQueue>, TcpStream) {
    let (writer, peer) = connection().await;
    let queue = SendQueue::new(writer, &limits, &Arc::default(), &BufferPool::default(), &Arc::default());
    (Arc::new(queue), peer)
}

async fn send_queue(limit: usize) -> (Arc<SendQueue>, TcpStream) {
    let mut limits = Limits::default();
    limits.send_queue_bytes = limit;
    // The unacknowledged bytes must not stop these tests.
    limits.unacknowledged_bytes = 8 << 20;
    queue_with(limits).await
}

/// Waits until the socket accepts bytes.
async fn writable(send_queue: &SendQueue) {
    let socket = send_queue.lock().socket.clone();
    socket.expect("attached").writable().await.expect("connected");
}

fn end(pushed: Result<WrittenRange, PushError<Infallible>>) -> Result<u64, PushError<Infallible>> {
    pushed.map(|range| range.end)
}

fn spawn_flush(send_queue: &Arc<SendQueue>) -> tokio::task::JoinHandle<io::Result<()>> {
    let send_queue = Arc::clone(send_queue);
    tokio::spawn(async move { send_queue.run_flush().await })
}

async fn all(mut peer: TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.expect("read");
    read
}

#[tokio::test]
async fn a_frame_that_fails_or_panics_leaves_nothing_behind() {
    let (send_queue, _far) = send_queue(100).await;
    assert_eq!(end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(3))), Ok(3));
    let failed = send_queue.push(SpaceNeeded::Limit, Flush::Batched, |out| {
        out.put(&[1]);
        Err("no")
    });
    assert_eq!(failed, Err(PushError::Frame("no")));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        send_queue.push(SpaceNeeded::Limit, Flush::Batched, |out| -> Result<(), Infallible> {
            out.put(&[1]);
            panic!("a value that cannot be serialised")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(3))), Ok(6));
    assert_eq!(*send_queue.lock().flow.batch(), [7; 6]);
}

#[tokio::test]
async fn at_the_limit_only_replies_are_accepted() {
    let (send_queue, _far) = send_queue(10).await;
    assert_eq!(
        end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(20))),
        Ok(20),
        "the frame that crosses the limit"
    );
    assert_eq!(end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(1))), Err(PushError::Full));
    assert_eq!(end(send_queue.push(SpaceNeeded::Any, Flush::Batched, bytes(1))), Ok(21));
    send_queue.close();
    assert_eq!(end(send_queue.push(SpaceNeeded::Any, Flush::Batched, bytes(1))), Err(PushError::Closed));
}

#[tokio::test]
async fn a_frame_that_does_not_fit_is_encoded_once_at_most() {
    let (send_queue, peer) = send_queue(10).await;
    let reader = tokio::spawn(all(peer));
    end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(20))).expect("room");
    let mut written = 0;
    for _ in 0..100 {
        let refused = send_queue.push::<Infallible>(SpaceNeeded::Limit, Flush::Batched, |_| {
            written += 1;
            Ok(())
        });
        assert_eq!(refused, Err(PushError::Full));
    }
    assert_eq!(written, 1);
    let flush = spawn_flush(&send_queue);
    send_queue.room(1).await.expect("open");
    end(send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(1))).expect("there is room again");
    send_queue.close();
    flush.await.expect("it ends").expect("it is written");
    reader.await.expect("it ends");
}

#[tokio::test]
async fn frames_leave_in_order_whoever_writes_them() {
    let (send_queue, peer) = send_queue(1 << 20).await;
    let reader = tokio::spawn(all(peer));
    // The system reports that the socket accepts bytes before anything is written.
    writable(&send_queue).await;
    let mut expected = Vec::new();
    let mut writer = None;
    for number in 0..=255 {
        let frame = vec![number; 1 + usize::from(number) * 40];
        let write = |out: &mut Buffer| {
            out.put(&frame);
            Ok::<_, Infallible>(())
        };
        expected.extend_from_slice(&frame);
        match number % 4 {
            0 => drop(send_queue.push(SpaceNeeded::Any, Flush::Now, write)),
            1 => drop(send_queue.push(SpaceNeeded::Any, Flush::Batched, write)),
            2 => send_queue.push_frames(&mut frame.clone()),
            _ => send_queue.share([Bytes::new(), frame.into()]).expect("open"),
        }
        if number == 100 {
            writer = Some(spawn_flush(&send_queue));
        }
        if number % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    send_queue.close();
    writer.expect("started").await.expect("no panic").expect("written");
    frame::write(&mut expected, Header::new(FrameKind::Bye, 0), b"");
    assert_eq!(send_queue.handed_to_kernel(), expected.len() as u64);
    drop(send_queue);
    assert!(reader.await.expect("no panic") == expected, "other bytes arrived");
}

#[tokio::test]
async fn an_idle_connection_sends_a_frame_at_once() {
    let (send_queue, mut peer) = send_queue(100).await;
    writable(&send_queue).await;
    send_queue.push(SpaceNeeded::Limit, Flush::Now, bytes(3)).expect("room");
    assert_eq!(send_queue.handed_to_kernel(), 3, "although only the sender writes");
    let mut read = [0; 3];
    peer.read_exact(&mut read).await.expect("read");
    assert_eq!(read, [7; 3]);
}

#[tokio::test]
async fn waiters_are_served_in_order_and_never_overtaken() {
    let (send_queue, peer) = send_queue(1).await;
    send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(1)).expect("room");
    let (order, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for number in 0..3 {
        let (send_queue, order) = (Arc::clone(&send_queue), order.clone());
        waiting.push(tokio::spawn(async move {
            let turn = send_queue.reserve().await.expect("open");
            turn.push(Flush::Batched, bytes(1)).expect("room");
            order.send(number).expect("the test receives");
        }));
        // On this single thread the task waits in the queue before the next is created.
        tokio::task::yield_now().await;
    }
    let overtaking = send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(1));
    assert_eq!(end(overtaking), Err(PushError::Full), "three wait already");
    let writer = spawn_flush(&send_queue);
    for number in 0..3 {
        assert_eq!(arrivals.recv().await, Some(number));
    }
    send_queue.close();
    writer.await.expect("no panic").expect("written");
    drop((send_queue, waiting));
    assert_eq!(all(peer).await.len(), 4 + HEADER_BYTES, "and a goodbye");
}

#[tokio::test]
async fn closing_ends_all_waiting() {
    let (send_queue, _far) = send_queue(1).await;
    send_queue.push(SpaceNeeded::Limit, Flush::Batched, bytes(1)).expect("room");
    let waiting = Arc::clone(&send_queue);
    let waiting = tokio::spawn(async move { waiting.reserve().await.is_err() });
    tokio::task::yield_now().await;
    send_queue.close();
    assert!(waiting.await.expect("no panic"));
}

/// Reads `count` bytes.
async fn read(peer: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    peer.read_exact(&mut bytes).await.expect("read");
    bytes
}

/// Writes a frame of `count` equal bytes.
fn byte(byte: u8, count: usize) -> impl FnOnce(&mut Buffer) -> Result<(), Infallible> {
    move |out| {
        out.put(&vec![byte; count]);
        Ok(())
    }
}

#[tokio::test]
async fn a_new_connection_continues_from_the_byte_that_the_peer_expects() {
    let (send_queue, mut peer) = send_queue(1 << 20).await;
    writable(&send_queue).await;
    send_queue.push(SpaceNeeded::Any, Flush::Now, byte(1, 100)).expect("room");
    send_queue.push(SpaceNeeded::Any, Flush::Now, byte(2, 100)).expect("room");
    assert_eq!(send_queue.handed_to_kernel(), 200);
    send_queue.acknowledge(30).expect("it was sent");
    send_queue.detach();
    send_queue.share([Bytes::from_static(&[3; 50])]).expect("open");
    send_queue.push(SpaceNeeded::Any, Flush::Now, byte(4, 10)).expect("room");
    assert_eq!(
        (send_queue.handed_to_kernel(), read(&mut peer, 200).await.len()),
        (200, 200),
        "nothing is sent without a connection"
    );

    let (writer, _) = connection().await;
    assert_eq!(
        send_queue.attach(writer, 29, false).await,
        Err(InvalidAck { claimed: 29, first: 30, written: 200 }),
        "acknowledged bytes are gone"
    );
    let (writer, _) = connection().await;
    send_queue.attach(writer, 201, false).await.expect_err("it was never sent");

    let (writer, mut peer) = connection().await;
    send_queue.attach(writer, 60, false).await.expect("it is there");
    let writer = spawn_flush(&send_queue);
    assert_eq!(read(&mut peer, 200).await, [[1; 40].as_slice(), &[2; 100], &[3; 50], &[4; 10]].concat());
    send_queue.acknowledge(150).expect("it was sent");
    writer.abort();
    send_queue.detach();
    let (socket, mut peer) = connection().await;
    send_queue.attach(socket, 250, false).await.expect("it is there");
    let writer = spawn_flush(&send_queue);
    assert_eq!(read(&mut peer, 10).await, [4; 10]);
    send_queue.acknowledge(260).expect("it was sent");
    assert_eq!(send_queue.acknowledge(261), Err(InvalidAck { claimed: 261, first: 260, written: 260 }));
    send_queue.close();
    writer.await.expect("no panic").expect("written");
    assert_eq!(all(peer).await.len(), HEADER_BYTES, "a goodbye");
}

#[tokio::test]
async fn unacknowledged_bytes_are_bounded() {
    const WINDOW: usize = 2 * ACK_BYTES;
    let mut limits = Limits::default();
    limits.unacknowledged_bytes = WINDOW;
    let (send_queue, mut peer) = queue_with(limits).await;
    let writer = spawn_flush(&send_queue);
    send_queue.push(SpaceNeeded::Any, Flush::Batched, byte(1, WINDOW)).expect("room");
    assert_eq!(read(&mut peer, WINDOW).await, [1; WINDOW]);
    send_queue.push(SpaceNeeded::Any, Flush::Now, byte(2, 10)).expect("room");
    tokio::task::yield_now().await;
    assert_eq!(send_queue.handed_to_kernel(), WINDOW as u64);
    send_queue.acknowledge(1).expect("it was sent");
    assert_eq!(read(&mut peer, 10).await, [2; 10]);
    assert!(send_queue.has_unacked());
    send_queue.acknowledge(WINDOW as u64 + 10).expect("it was sent");
    send_queue.ping();
    assert!(!send_queue.has_unacked(), "a ping need not be acknowledged");
    writer.abort();
}

#[tokio::test]
async fn a_frame_of_which_nothing_was_sent_can_be_withdrawn() {
    let (send_queue, mut peer) = send_queue(1 << 20).await;
    writable(&send_queue).await;
    let request = |id, payload: &'static [u8]| {
        move |out: &mut Buffer| {
            frame::write(out, Header::new(FrameKind::Request, id), payload);
            Ok::<_, Infallible>(())
        }
    };
    let left = send_queue.push(SpaceNeeded::Any, Flush::Now, request(1, b"left")).expect("room");
    let first = send_queue.push(SpaceNeeded::Any, Flush::Batched, request(2, b"first")).expect("room");
    send_queue.share([Bytes::from_static(b"")]).expect("open");
    send_queue.detach();
    let second = send_queue.push(SpaceNeeded::Any, Flush::Batched, request(3, b"second")).expect("room");
    let third = send_queue.push(SpaceNeeded::Any, Flush::Batched, request(4, b"third")).expect("room");
    assert!(!send_queue.withdraw(left.bytes()), "it may have been executed");
    assert!(
        send_queue.withdraw(second.bytes()) && send_queue.withdraw(second.bytes()),
        "twice has the same effect"
    );
    let all = third.end as usize;
    let (writer, mut next) = connection().await;
    let arrived = read(&mut peer, first.end as usize).await.len();
    send_queue.attach(writer, 0, false).await.expect("all of it is there");
    assert!(arrived > 0);
    let writer = spawn_flush(&send_queue);
    let bytes = read(&mut next, all).await;
    let kinds: Vec<_> = Frames::new(&bytes).map(|(header, _)| (header.kind, header.id)).collect();
    let request = FrameKind::Request;
    assert_eq!(kinds, [(request, 1), (request, 2), (FrameKind::Void, 0), (request, 4)]);
    writer.abort();
}

#[tokio::test]
async fn repeated_acknowledgements_and_pings_are_sent_once() {
    let (send_queue, peer) = send_queue(1 << 20).await;
    // Nothing is written until the next connection.
    send_queue.detach();
    send_queue.push(SpaceNeeded::Any, Flush::Batched, bytes(3)).expect("room");
    for received in 1..=1_000 {
        send_queue.send_ack(received);
    }
    send_queue.push(SpaceNeeded::Any, Flush::Batched, bytes(3)).expect("room");
    send_queue.send_ack(2_000);
    send_queue.ping();
    send_queue.ping();
    let (ack, ping) =
        (frame::length_of(FrameKind::Ack, 0) as u64, frame::length_of(FrameKind::Ping, 0) as u64);
    assert_eq!(send_queue.waiting(), 3 + ack + 3 + ack + ping);
    drop(peer);
    let (writer, peer) = connection().await;
    send_queue.attach(writer, 0, false).await.expect("all is there");
    let writer = spawn_flush(&send_queue);
    send_queue.close();
    writer.await.expect("no panic").expect("written");
    drop(send_queue);
    let read = all(peer).await;
    let acks: Vec<u64> = [3, 6 + ack as usize]
        .map(|at| Frames::new(&read[at..]).next().map_or(0, |(header, _)| header.id))
        .into();
    assert_eq!(acks, [1_000, 2_000]);
}

/// Returns the frame of a reply to the request `id`, with `count` bytes.
fn reply(id: u64, count: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    frame::write(&mut frame, Header::new(FrameKind::Reply, id), &vec![id as u8; count]);
    frame
}

/// Returns the replies in `bytes`, in the order in which they became whole.
fn replies(bytes: &[u8]) -> Vec<u64> {
    let mut long = std::collections::BTreeMap::<u64, FragmentBuffer>::new();
    let mut complete = Vec::new();
    for (header, payload) in Frames::new(bytes) {
        let id = header.id;
        match header.kind {
            FrameKind::Piece => {
                assert!(payload.len() <= PIECE_BYTES, "{} bytes", payload.len());
                long.entry(id).or_default().add(payload, 0, usize::MAX).expect("room");
                if header.flags & frame::LAST != 0 {
                    let reply = long.remove(&id).expect("it has begun").reply(id).expect("it is complete");
                    assert!(reply.payload.iter().all(|byte| *byte == id as u8), "other bytes");
                    complete.push(id);
                }
            }
            FrameKind::Reply => complete.push(id),
            _ => {}
        }
    }
    complete
}

#[tokio::test]
async fn short_replies_overtake_long_ones_even_over_another_connection() {
    const LONG: usize = 3 << 20;
    let (send_queue, mut peer) = send_queue(1 << 20).await;
    let max_frame = PIECE_BYTES;
    let blob = Blob::from(vec![1; LONG]);
    send_queue.push_reply(ReplyFrame { id: 1, max_frame }, Flush::Batched, |out| {
        let writer = FrameWriter::new(out, Header::new(FrameKind::Reply, 1));
        meshzero_proto::codec::encode(&blob, Encoding::Bincode, usize::MAX, out).expect("it is encoded");
        // The length of the blob, whose bytes are then all the same.
        out.written_mut().iter_mut().skip(16).for_each(|byte| *byte = 1);
        writer.end::<Infallible>(out, Ok(Encoding::Bincode)).expect("it is complete");
    });
    send_queue.push_fragmented(2, reply(2, LONG).into());
    send_queue.push_fragmented(3, reply(3, LONG).into());
    let writer = spawn_flush(&send_queue);
    let mut bytes = read(&mut peer, 1 << 20).await;
    send_queue.push_reply(ReplyFrame { id: 4, max_frame }, Flush::Batched, |out| out.put(&reply(4, 10)));
    send_queue.revoke(3);
    writer.abort();
    send_queue.detach();
    let (writer, mut peer) = connection().await;
    send_queue.attach(writer, bytes.len() as u64, false).await.expect("it is there");
    let writer = spawn_flush(&send_queue);
    let end = loop {
        bytes.extend(read(&mut peer, 100_000).await);
        send_queue.acknowledge(bytes.len() as u64).expect("it was sent");
        if bytes.len() > 5 << 20 {
            send_queue.close();
            break all(peer).await;
        }
    };
    writer.await.expect("no panic").expect("written");
    bytes.extend(end);
    assert_eq!(replies(&bytes), [4, 1, 2]);
    assert!(send_queue.handed_to_kernel() < 3 * LONG as u64, "the revoked reply was not sent completely");
}
