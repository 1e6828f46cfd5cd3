//! One way: PUSH and PULL, and a publisher that waits for its subscribers.

use std::thread;

use peers_common::{Control, Numbers, Plan, Result, Sink, Tally, block_on, number_of, with_number};
use zmq::{Context, Message, Socket};

use crate::no_drop::wait_for_subscribers;
use crate::{bind, socket};

pub(crate) fn pull(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::PULL, plan)?;
    bind(&socket, control)?;
    receive_all(plan, control, vec![socket])
}

pub(crate) fn push(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::PUSH, plan)?;
    socket.connect(&plan.at)?;
    control.ready("");
    block_on(control.go());
    send_all(plan, control, &socket)
}

pub(crate) fn publish(plan: &Plan, control: &Control) -> Result {
    let mut socket = socket(&Context::new(), zmq::XPUB, plan)?;
    wait_for_subscribers(&mut socket)?;
    // Otherwise only the first of equal subscriptions is reported.
    socket.set_xpub_verbose(true)?;
    bind(&socket, control)?;
    block_on(control.go());
    for _ in 0..plan.subscribers {
        socket.recv_bytes(0)?;
    }
    send_all(plan, control, &socket)
}

pub(crate) fn subscribe(plan: &Plan, control: &Control) -> Result {
    let context = Context::new();
    let mut sockets = Vec::new();
    for _ in 0..plan.subscribers {
        let socket = socket(&context, zmq::SUB, plan)?;
        socket.connect(&plan.at)?;
        socket.set_subscribe(b"")?;
        sockets.push(socket);
    }
    control.ready("");
    receive_all(plan, control, sockets)
}

fn send_all(plan: &Plan, control: &Control, socket: &Socket) -> Result {
    let mut message = with_number(0, plan.size);
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        message[..size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
        socket.send(&message, 0)?;
    }
    numbers.tell();
    block_on(control.over());
    Ok(())
}

/// A thread for each socket.
fn receive_all(plan: &Plan, control: &Control, sockets: Vec<Socket>) -> Result {
    for (socket, tally) in sockets.into_iter().zip(Sink::start(plan, control, plan.subscribers)?) {
        thread::Builder::new().spawn(move || receive(&socket, tally))?;
    }
    block_on(control.over());
    Ok(())
}

fn receive(socket: &Socket, mut tally: Tally) -> Result {
    let mut message = Message::new();
    loop {
        socket.recv(&mut message, 0)?;
        tally.take(number_of(&message).ok_or("a message of less than a number")?);
    }
}
