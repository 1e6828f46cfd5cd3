//! libzmq, from plain threads: REQ and REP, DEALER and ROUTER, PUSH and PULL, PUB and SUB.

mod calls;
mod no_drop;
mod one_way;

use peers_common::{Control, Load, Plan, Result, Role};
use zmq::{Context, Socket, SocketType};

/// The limit of bytes queued at one end, and the fewest and most messages; 1,000 is libzmq's default.
const QUEUED: usize = 16 << 20;
const MESSAGES: (usize, usize) = (16, 1_000);

fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    match (plan.way.as_str(), plan.role, plan.load) {
        ("call", Role::Server, Load::RoundTrip) => calls::reply(&plan, &control),
        ("call", Role::Client, Load::RoundTrip) => calls::request(&plan, &control),
        ("call", Role::Server, Load::Calls) => calls::route(&plan, &control),
        ("call", Role::Client, Load::Calls) => calls::deal(&plan, &control),
        ("push", Role::Server, Load::OneWay) => one_way::pull(&plan, &control),
        ("push", Role::Client, Load::OneWay) => one_way::push(&plan, &control),
        ("pub", Role::Server, _) => one_way::publish(&plan, &control),
        ("pub", Role::Client, _) => one_way::subscribe(&plan, &control),
        (way, role, load) => Err(format!("no {load:?} by {way} for a {role:?}").into()),
    }
}

fn socket(context: &Context, kind: SocketType, plan: &Plan) -> Result<Socket> {
    let socket = context.socket(kind)?;
    let most = (QUEUED / plan.size).clamp(MESSAGES.0, MESSAGES.1) as i32;
    socket.set_sndhwm(most)?;
    socket.set_rcvhwm(most)?;
    Ok(socket)
}

/// Binds to a free port, and reports it.
fn bind(socket: &Socket, control: &Control) -> Result {
    socket.bind("tcp://127.0.0.1:*")?;
    let address = socket.get_last_endpoint()?.map_err(|_| "an address that is no text")?;
    control.ready(address);
    Ok(())
}
