//! Calls: one at a time by REQ and REP, many by a window over DEALER and ROUTER.

use peers_common::{Callers, Control, Plan, Result, RoundTrips, block_on, number_of, with_number};
use zmq::{Context, Message};

use crate::{bind, socket};

pub(crate) fn reply(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::REP, plan)?;
    bind(&socket, control)?;
    std::thread::spawn(move || {
        let mut message = Message::new();
        while socket.recv(&mut message, 0).is_ok() && socket.send(&message[..], 0).is_ok() {}
    });
    block_on(control.over());
    Ok(())
}

pub(crate) fn request(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::REQ, plan)?;
    socket.connect(&plan.at)?;
    control.ready("");
    block_on(control.go());
    let mut message = Message::new();
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        socket.send(with_number(number, plan.size), 0)?;
        socket.recv(&mut message, 0)?;
        trips.answered(number_of(&message));
    }
    trips.tell();
    block_on(control.over());
    Ok(())
}

pub(crate) fn route(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::ROUTER, plan)?;
    bind(&socket, control)?;
    std::thread::spawn(move || -> std::result::Result<(), zmq::Error> {
        let (mut whom, mut message) = (Message::new(), Message::new());
        loop {
            socket.recv(&mut whom, 0)?;
            socket.recv(&mut message, 0)?;
            socket.send(&whom[..], zmq::SNDMORE)?;
            socket.send(&message[..], 0)?;
        }
    });
    block_on(control.over());
    Ok(())
}

pub(crate) fn deal(plan: &Plan, control: &Control) -> Result {
    let socket = socket(&Context::new(), zmq::DEALER, plan)?;
    socket.connect(&plan.at)?;
    control.ready("");
    block_on(control.go());
    let mut callers = Callers::start(plan, control, 1)?;
    let caller = callers.first_mut().ok_or("one caller was asked for")?;
    let mut message = Message::new();
    let mut call = with_number(0, plan.size);
    let mut awaited = std::collections::VecDeque::with_capacity(plan.in_flight);
    while let Some(number) = caller.next_number() {
        call[..size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
        socket.send(&call, 0)?;
        awaited.push_back(number);
        if awaited.len() == plan.in_flight
            && let Some(first) = awaited.pop_front()
        {
            // One router replies in order.
            socket.recv(&mut message, 0)?;
            caller.answered(first, number_of(&message));
        }
    }
    block_on(control.over());
    Ok(())
}
