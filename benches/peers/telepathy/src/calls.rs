//! Calls: an item to the other node, and the same item back.

use actix::prelude::*;
use actix_telepathy::prelude::*;
use bytes::Bytes;
use peers_common::{Caller, Callers, Control, Plan, Result, RoundTrips, shared_body};

use crate::messages::{CALLER, ECHO, Item};
use crate::node::{join, register};

pub(crate) async fn answer(control: &Control) -> Result {
    let mut own = join(None)?;
    control.ready(own.address);
    let caller = own.other().await?.get_remote_addr(CALLER.to_owned());
    let echo = Echo(caller).start();
    register(&echo, ECHO.to_owned()).await?;
    control.over().await;
    Ok(())
}

#[derive(RemoteActor)]
#[remote_messages(Item)]
struct Echo(RemoteAddr);

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Item> for Echo {
    type Result = ();

    fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        self.0.do_send(item);
    }
}

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let trips = RoundTrips::new(plan, control);
    call(plan, control, 1, |_| Ok(Calls::One(Some(trips)))).await
}

pub(crate) async fn window(plan: &Plan, control: &Control) -> Result {
    let start = |plan: &Plan| {
        let mut callers = Callers::start(plan, control, 1)?;
        Ok(Calls::Many(callers.pop().ok_or("one caller was asked for")?))
    };
    call(plan, control, plan.in_flight, start).await
}

async fn call(
    plan: &Plan,
    control: &Control,
    window: usize,
    calls: impl FnOnce(&Plan) -> Result<Calls>,
) -> Result {
    let mut own = join(Some(plan.at.parse()?))?;
    let echo = own.other().await?.get_remote_addr(ECHO.to_owned());
    control.ready("");
    control.go().await;
    let caller = Calling { echo, body: shared_body(plan.size), calls: calls(plan)? }.start();
    register(&caller, CALLER.to_owned()).await?;
    for _ in 0..window {
        caller.send(Next).await?;
    }
    control.over().await;
    Ok(())
}

enum Calls {
    One(Option<RoundTrips>),
    Many(Caller),
}

/// Calls, and calls again on each reply.
#[derive(RemoteActor)]
#[remote_messages(Item)]
struct Calling {
    echo: RemoteAddr,
    body: Bytes,
    calls: Calls,
}

/// Starts one more call.
#[derive(Message)]
#[rtype(result = "()")]
struct Next;

impl Actor for Calling {
    type Context = Context<Self>;
}

impl Handler<Next> for Calling {
    type Result = ();

    fn handle(&mut self, _: Next, _: &mut Context<Self>) {
        self.next();
    }
}

impl Handler<Item> for Calling {
    type Result = ();

    fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        match &mut self.calls {
            Calls::One(Some(trips)) => trips.answered(Some(item.number)),
            Calls::One(None) => {}
            // In a window the call of the reply is unknown: it only has to be one that was made.
            Calls::Many(caller) => caller.answered(item.number, Some(item.number)),
        }
        self.next();
    }
}

impl Calling {
    fn next(&mut self) {
        let number = match &mut self.calls {
            Calls::One(trips) => {
                let number = trips.as_mut().and_then(RoundTrips::next_number);
                if number.is_none()
                    && let Some(trips) = trips.take()
                {
                    trips.tell();
                }
                number
            }
            Calls::Many(caller) => caller.next_number(),
        };
        if let Some(number) = number {
            self.echo.do_send(Item { number, body: self.body.clone() });
        }
    }
}
