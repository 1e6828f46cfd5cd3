//! Blocking sockets of the standard library: messages of one length, one after the other, in writes of 64 KiB.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use peers_common::{
    Callers, Control, Load, Numbers, Plan, Result, RoundTrips, Sink, block_on, number_of, with_number,
};

/// The size of reads and writes, or one message if that is longer.
const BLOCK: usize = 64 << 10;

pub(crate) fn server(plan: &Plan, control: &Control) -> Result {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    control.ready(listener.local_addr()?);
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    match plan.load {
        Load::RoundTrip | Load::Calls => echo(plan, stream),
        Load::OneWay => {
            receive(plan, control, stream)?;
            block_on(control.over());
            Ok(())
        }
        Load::FanOut => Err(crate::unknown(plan)),
    }
}

pub(crate) fn client(plan: &Plan, control: &Control) -> Result {
    let mut stream = TcpStream::connect(&plan.at)?;
    stream.set_nodelay(true)?;
    control.ready("");
    block_on(control.go());
    match plan.load {
        Load::RoundTrip => round_trips(plan, control, &mut stream)?,
        Load::Calls => calls(plan, control, &mut stream)?,
        Load::OneWay => send(plan, control, &mut stream)?,
        Load::FanOut => return Err(crate::unknown(plan)),
    }
    block_on(control.over());
    Ok(())
}

/// Answers all whole messages that have arrived, in one write.
fn echo(plan: &Plan, mut stream: TcpStream) -> Result {
    messages(plan, &mut stream.try_clone()?, |whole| Ok(stream.write_all(whole)?))
}

fn receive(plan: &Plan, control: &Control, mut stream: TcpStream) -> Result {
    let mut tallies = Sink::start(plan, control, 1)?;
    let tally = tallies.first_mut().ok_or("one receiver has one tally")?;
    messages(plan, &mut stream, |whole| {
        for message in whole.chunks_exact(plan.size) {
            tally.take(number_of(message).ok_or("a message of less than a number")?);
        }
        Ok(())
    })
}

/// Passes the received bytes on as whole messages, until the other end closes.
fn messages(plan: &Plan, stream: &mut TcpStream, mut each: impl FnMut(&[u8]) -> Result) -> Result {
    let mut buffer = vec![0; BLOCK.max(plan.size)];
    let mut held = 0;
    loop {
        match stream.read(&mut buffer[held..]) {
            Ok(0) => return Ok(()),
            Ok(length) => held += length,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let whole = held - held % plan.size;
        each(&buffer[..whole])?;
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
}

fn round_trips(plan: &Plan, control: &Control, stream: &mut TcpStream) -> Result {
    let mut trips = RoundTrips::new(plan, control);
    let mut message = with_number(0, plan.size);
    while let Some(number) = trips.next_number() {
        put(&mut message, number);
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        trips.answered(number_of(&message));
    }
    trips.tell();
    Ok(())
}

/// A window of calls in one write, and then their replies.
fn calls(plan: &Plan, control: &Control, stream: &mut TcpStream) -> Result {
    let mut callers = Callers::start(plan, control, 1)?;
    let caller = callers.first_mut().ok_or("one caller was asked for")?;
    let mut block = with_number(0, plan.size * plan.in_flight);
    let mut numbers = Vec::with_capacity(plan.in_flight);
    'calls: loop {
        numbers.clear();
        for message in block.chunks_exact_mut(plan.size) {
            let Some(number) = caller.next_number() else { break 'calls };
            put(message, number);
            numbers.push(number);
        }
        stream.write_all(&block)?;
        stream.read_exact(&mut block)?;
        for (number, answer) in numbers.iter().zip(block.chunks_exact(plan.size)) {
            caller.answered(*number, number_of(answer));
        }
    }
    Ok(())
}

fn send(plan: &Plan, control: &Control, stream: &mut TcpStream) -> Result {
    let mut numbers = Numbers::new(control);
    let mut block = with_number(0, (BLOCK / plan.size).max(1) * plan.size);
    let mut filled = 0;
    while let Some(number) = numbers.next_number() {
        put(&mut block[filled..], number);
        filled += plan.size;
        if filled == block.len() {
            stream.write_all(&block)?;
            filled = 0;
        }
    }
    stream.write_all(&block[..filled])?;
    numbers.tell();
    Ok(())
}

fn put(message: &mut [u8], number: u64) {
    message[..size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
}
