//! The send queue of a link: appended frames arrive whole, once and in order, whichever thread writes them and wherever connections are
//! cut, and no sender waits while there is room.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use meshzero_proto::buffer::Buffer;
use meshzero_proto::limits::Limits;
use meshzero_proto::stream::BufferPool;
use meshzero_proto::wire::frame::{self, FrameKind, Frames, Header};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::{future, thread};

use crate::link::send_queue::{Flush, PushError, QueueClosed, SendQueue, SpaceNeeded};
use crate::net::connection::{ReadHalf, connection};

/// The number of interleavings of each check.
const ITERATIONS: usize = 2_000;

/// The number of senders, and of frames of each.
const SENDERS: u8 = 2;
const FRAMES: u8 = 3;

/// The limit of waiting bytes, from which senders wait: two frames.
const LIMIT: usize = 20;

/// A connection that is never cut.
const NEVER_CUT: usize = usize::MAX;

fn queue(bytes_until_cut: usize) -> (Arc<SendQueue>, ReadHalf) {
    let mut limits = Limits::default();
    limits.send_queue_bytes = LIMIT;
    let (writer, reader) = connection(bytes_until_cut);
    let queue = SendQueue::new(writer, &limits, &Arc::default(), &BufferPool::default(), &Arc::default());
    (Arc::new(queue), reader)
}

/// The frame `number` of a sender.
fn write(sender: u8, number: u8) -> impl FnOnce(&mut Buffer) -> Result<(), Infallible> {
    move |out| {
        frame::write(out, Header::new(FrameKind::Tell, 0), &[sender, number]);
        Ok(())
    }
}

fn random_flush() -> Flush {
    if thread_rng().gen_bool(0.5) { Flush::Now } else { Flush::Batched }
}

/// Sends all frames of one sender, waiting for room where there is none.
fn send(queue: &SendQueue, sender: u8) {
    for number in 0..FRAMES {
        match queue.push(SpaceNeeded::Ahead, random_flush(), write(sender, number)) {
            Ok(_) => {}
            Err(PushError::Full) => {
                let permit = future::block_on(queue.reserve()).expect("it is open");
                permit.push(random_flush(), write(sender, number)).expect("it is open");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn senders(queue: &Arc<SendQueue>) -> Vec<thread::JoinHandle<()>> {
    let start = |sender| {
        let queue = Arc::clone(queue);
        thread::spawn(move || send(&queue, sender))
    };
    (0..SENDERS).map(start).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Checks that all frames have arrived, in the order of each sender, and a `Bye` frame after them.
fn check(stream: &[u8]) {
    let mut frames = Frames::new(stream);
    let mut arrived: Vec<_> = frames.by_ref().collect();
    assert_eq!(frames.remaining(), 0, "half a frame has arrived: {stream:?}");
    arrived.retain(|(header, _)| header.kind != FrameKind::Ack);
    assert_eq!(arrived.pop().map(|(header, _)| header.kind), Some(FrameKind::Bye));
    for sender in 0..SENDERS {
        let of_sender =
            arrived.iter().filter(|(_, payload)| payload[0] == sender).map(|(_, payload)| payload[1]);
        assert_eq!(of_sender.collect::<Vec<_>>(), (0..FRAMES).collect::<Vec<_>>(), "of sender {sender}");
    }
    assert_eq!(arrived.len(), usize::from(SENDERS * FRAMES));
}

/// Frames that several threads append, at once or gathered, with room or waiting for it, arrive whole, once, and in the order of
/// each thread. No thread blocks forever.
pub fn frames_of_several_senders_arrive_whole_once_and_in_order() {
    shuttle::check_random(
        || {
            let (queue, reader) = queue(NEVER_CUT);
            let writer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || future::block_on(queue.run_flush()).expect("it is not cut"))
            };
            let receiver = thread::spawn(move || {
                let mut stream = Vec::new();
                loop {
                    match reader.read() {
                        bytes if bytes.is_empty() => return stream,
                        bytes => stream.extend(bytes),
                    }
                }
            });
            join(senders(&queue));
            queue.close();
            future::block_on(queue.finished());
            writer.join().expect("no panic");
            check(&receiver.join().expect("no panic"));
        },
        ITERATIONS,
    );
}

/// The same with connections that are cut, in the middle of frames and during writes, while the link continues over others.
pub fn a_link_resumes_behind_the_last_byte_that_arrived() {
    shuttle::check_random(
        || {
            let (queue, reader) = queue(thread_rng().gen_range(1..60));
            let stream = Arc::new(Mutex::new(Vec::new()));
            let link = {
                let (queue, stream) = (Arc::clone(&queue), Arc::clone(&stream));
                thread::spawn(move || run_link(&queue, reader, &stream))
            };
            join(senders(&queue));
            queue.close();
            link.join().expect("no panic");
            check(&stream.lock().expect("no panic"));
        },
        ITERATIONS,
    );
}

/// Runs a link over one connection after the other; the third is not cut.
fn run_link(queue: &Arc<SendQueue>, mut reader: ReadHalf, stream: &Arc<Mutex<Vec<u8>>>) {
    for bytes_until_cut in [thread_rng().gen_range(1..60), NEVER_CUT, NEVER_CUT] {
        let receiver = {
            let (queue, reader, stream) = (Arc::clone(queue), reader.clone(), Arc::clone(stream));
            thread::spawn(move || receive(&queue, &reader, &stream))
        };
        future::block_on(async {
            let (mut flushing, mut cut) =
                (pin!(queue.run_flush()), pin!(poll_fn(|task| reader.poll_cut(task))));
            poll_fn(|task| match (flushing.as_mut().poll(task), cut.as_mut().poll(task)) {
                (Poll::Pending, Poll::Pending) => Poll::Pending,
                // Only the other end knows whether all bytes have arrived.
                _ => Poll::Ready(()),
            })
            .await
        });
        receiver.join().expect("no panic");
        if reader.has_ended() {
            return;
        }
        queue.detach();
        let (writer, next) = connection(bytes_until_cut);
        let arrived = stream.lock().expect("no panic").len() as u64;
        future::block_on(queue.attach(writer, arrived, false)).expect("it is open");
        reader = next;
    }
    panic!("the last connection was not cut");
}

/// Receives until the connection ends, and acknowledges at random.
fn receive(queue: &SendQueue, reader: &ReadHalf, stream: &Mutex<Vec<u8>>) {
    loop {
        let bytes = reader.read();
        if bytes.is_empty() {
            return;
        }
        let mut stream = stream.lock().expect("no panic");
        stream.extend(bytes);
        if thread_rng().gen_bool(0.5) {
            queue.acknowledge(stream.len() as u64).expect("it was sent");
        }
    }
}

/// A sender that waits for room when the queue is closed gets an error, and the bytes appended before still arrive.
pub fn senders_that_wait_for_room_get_an_error_when_the_queue_closes() {
    shuttle::check_random(
        || {
            let (queue, _reader) = queue(NEVER_CUT);
            while queue.push(SpaceNeeded::Ahead, random_flush(), write(0, 0)).is_ok() {}
            let waiting: Vec<_> = (0..2)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || future::block_on(queue.reserve()).map(drop))
                })
                .collect();
            queue.close();
            for thread in waiting {
                assert_eq!(thread.join().expect("no panic"), Err(QueueClosed));
            }
        },
        ITERATIONS,
    );
}
