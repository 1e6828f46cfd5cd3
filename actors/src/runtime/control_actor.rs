//! Supervision of the node's own actors: after a panic, such an actor loses the current message, and keeps its state and its
//! address.
//!
//! Services have a factory and are restarted. The state of discovery and of the router is worth more than a clean start: it is
//! plain data that no other thread sees, and all code that reads it expects that a part may be missing.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Supervised};

use crate::runtime::panic::PanicMessage;

/// The delay after a panic, so that repeated panics do not occupy the thread.
const RESTART_DELAY: Duration = Duration::from_millis(20);

/// Starts the actor that `make` creates on the current arbiter. It ends when it stops itself or its last address is dropped.
///
/// After a panic its futures and timers are gone: `Supervised::restarting` and `Actor::started` are called again.
pub(crate) fn spawn_control_actor<A>(make: impl FnOnce(&mut Context<A>) -> A) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    let mut context = Context::new();
    let actor = make(&mut context);
    let addr = context.address();
    let mut future = context.into_future(actor);
    actix::spawn(async move {
        loop {
            let end =
                poll_fn(|task| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(task))) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(PanicMessage::new(payload))),
                });
            let Err(PanicMessage(panic)) = end.await else { return };
            let actor = std::any::type_name::<A>();
            tracing::error!(
                actor,
                panic,
                "an actor of the mesh panicked, and continues with the next message"
            );
            tokio::time::sleep(RESTART_DELAY).await;
            match catch_unwind(AssertUnwindSafe(|| future.restart())) {
                Ok(true) => {}
                // The last address is gone, or the actor cannot even restart.
                Ok(false) | Err(_) => return,
            }
        }
    });
    addr
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message, ResponseActFuture, WrapFuture};

    use super::*;

    #[derive(Default)]
    struct Counter {
        count: u32,
        started: u32,
    }

    #[derive(Message)]
    #[rtype(result = "(u32, u32)")]
    enum Count {
        On,
        Panic,
        PanicLater,
        PanicInTheFuture,
    }

    impl Actor for Counter {
        type Context = Context<Self>;

        fn started(&mut self, _: &mut Context<Self>) {
            self.started += 1;
        }
    }

    impl Supervised for Counter {}

    impl Handler<Count> for Counter {
        type Result = ResponseActFuture<Self, (u32, u32)>;

        fn handle(&mut self, count: Count, context: &mut Context<Self>) -> Self::Result {
            self.count += 1;
            match count {
                Count::On => {}
                Count::Panic => panic!("at once"),
                Count::PanicLater => {
                    context.run_later(Duration::ZERO, |_, _| panic!("later"));
                }
                Count::PanicInTheFuture => {
                    return Box::pin(async { panic!("in the future") }.into_actor(self));
                }
            }
            let counts = (self.count, self.started);
            Box::pin(async move { counts }.into_actor(self))
        }
    }

    #[actix::test]
    async fn an_actor_keeps_its_state_and_address_after_a_panic() {
        let addr = spawn_control_actor(|_| Counter::default());
        assert_eq!(addr.send(Count::On).await, Ok((1, 1)));
        addr.send(Count::Panic).await.expect_err("it panics");
        assert_eq!(addr.send(Count::On).await, Ok((3, 2)));
        addr.send(Count::PanicInTheFuture).await.expect_err("it panics");
        assert_eq!(addr.send(Count::On).await, Ok((5, 3)));
        assert_eq!(addr.send(Count::PanicLater).await, Ok((6, 3)));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while addr.send(Count::On).await.is_ok_and(|(_, started)| started == 3) {
            assert!(tokio::time::Instant::now() < deadline, "it has not panicked");
            tokio::task::yield_now().await;
        }
        assert!(addr.connected());
    }
}
