//! A subscriber of published packets: an actor that counts them as they come.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message, StreamHandler};
use meshzero::{News, NewsError, ServiceRef, Subscription};

use crate::bench::traffic::counter::Counter;
use crate::bench::traffic::packet::{Packet, Pattern};
use crate::bench::traffic::protocol::TOPIC;

/// Counts the packets of one subscription. It ends when its publisher is lost, or when it is told to.
pub(crate) struct Subscriber {
    size: usize,
    pattern: Pattern,
    counter: Rc<RefCell<Counter>>,
}

/// Ends the subscription.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

/// Hands the subscription over.
#[derive(Message)]
#[rtype(result = "()")]
struct Hear(Subscription<Packet>);

impl Subscriber {
    /// Starts one for packets of `size` bytes; what it counts is in the second.
    pub(crate) fn start_counting(size: usize, pattern: Pattern) -> (Addr<Self>, Rc<RefCell<Counter>>) {
        let counter = Rc::<RefCell<Counter>>::default();
        let subscriber = Self { size, pattern, counter: Rc::clone(&counter) };
        (subscriber.start(), counter)
    }

    /// Subscribes it, confirmed by the publisher.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) async fn subscribe(addr: &Addr<Self>, publisher: &ServiceRef) -> Result<(), String> {
        let subscription = publisher.subscribe(TOPIC).await.map_err(|error| error.to_string())?;
        addr.send(Hear(subscription)).await.map_err(|error| error.to_string())
    }
}

impl Actor for Subscriber {
    type Context = Context<Self>;
}

impl Handler<Hear> for Subscriber {
    type Result = ();

    fn handle(&mut self, Hear(subscription): Hear, context: &mut Context<Self>) {
        subscription.add_to(context);
    }
}

impl Handler<Leave> for Subscriber {
    type Result = ();

    fn handle(&mut self, _: Leave, context: &mut Context<Self>) {
        context.stop();
    }
}

impl StreamHandler<Result<News<Packet>, NewsError>> for Subscriber {
    fn handle(&mut self, news: Result<News<Packet>, NewsError>, context: &mut Context<Self>) {
        match news {
            Ok(news) => self.counter.borrow_mut().count(&news.item, self.size, &self.pattern),
            // Whoever measured is gone.
            Err(NewsError::Lost { .. }) => context.stop(),
            // What was missed, or does not decode, is not counted, and so is lost in the sum.
            Err(_) => {}
        }
    }
}
