//! A subscriber of published packets: an actor that counts them.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message, StreamHandler};
use meshzero::{News, NewsError, ServiceRef, Subscription};

use crate::bench::traffic::counter::PacketCounter;
use crate::bench::traffic::packet::{Body, Packet};
use crate::bench::traffic::pattern::Pattern;
use crate::bench::traffic::protocol::TOPIC;

/// Counts the packets of one subscription. It stops when its publisher is lost, or on request.
pub(crate) struct Subscriber {
    counter: Rc<RefCell<PacketCounter>>,
}

/// Stops the subscriber.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StopCounting;

/// Hands over the subscription.
struct StartCounting<B>(Subscription<Packet<B>>);

impl<B: 'static> Message for StartCounting<B> {
    type Result = ();
}

impl Subscriber {
    /// Starts a subscriber for packets of `size` bytes. Returns its counter as well.
    pub(crate) fn start_counting(size: usize, pattern: Pattern) -> (Addr<Self>, Rc<RefCell<PacketCounter>>) {
        let counter = Rc::new(RefCell::new(PacketCounter::new(size, pattern)));
        let subscriber = Self { counter: Rc::clone(&counter) };
        (subscriber.start(), counter)
    }

    /// Subscribes it to packets with this kind of body, confirmed by the publisher.
    ///
    /// # Errors
    /// A sentence for people.
    pub(crate) async fn subscribe<B: Body>(addr: &Addr<Self>, publisher: &ServiceRef) -> Result<(), String> {
        let subscription =
            publisher.subscribe::<Packet<B>>(TOPIC).await.map_err(|error| error.to_string())?;
        addr.send(StartCounting(subscription)).await.map_err(|error| error.to_string())
    }
}

impl Actor for Subscriber {
    type Context = Context<Self>;
}

impl<B: Body> Handler<StartCounting<B>> for Subscriber {
    type Result = ();

    fn handle(&mut self, StartCounting(subscription): StartCounting<B>, context: &mut Context<Self>) {
        subscription.add_to(context);
    }
}

impl Handler<StopCounting> for Subscriber {
    type Result = ();

    fn handle(&mut self, _: StopCounting, context: &mut Context<Self>) {
        context.stop();
    }
}

impl<B: Body> StreamHandler<Result<News<Packet<B>>, NewsError>> for Subscriber {
    fn handle(&mut self, news: Result<News<Packet<B>>, NewsError>, context: &mut Context<Self>) {
        match news {
            Ok(news) => self.counter.borrow_mut().count(news.item.number(), news.item.body()),
            // The measuring side is gone.
            Err(NewsError::Lost { .. }) => context.stop(),
            // Missed and undecodable items are not counted, so they show as lost.
            Err(_) => {}
        }
    }
}
