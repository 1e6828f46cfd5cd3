//! A service of the mesh in the guise of an actix `Recipient`: a small actor that passes messages on.

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Context, Handler, Recipient};
use meshzero_actors::NetMessage;
use meshzero_actors::home::Home;

use crate::request::Request;

/// A recipient whose messages are passed on with `send`. It lives as long as somebody holds it.
pub(crate) fn forwarding<M: NetMessage>(
    send: impl Fn(M) -> Request<M> + Send + 'static,
    home: &Home,
) -> Recipient<M> {
    home.start_actor(|| Forward { send: Box::new(send) }).recipient()
}

struct Forward<M: NetMessage> {
    send: Box<dyn Fn(M) -> Request<M> + Send>,
}

impl<M: NetMessage> Actor for Forward<M> {
    type Context = Context<Self>;
}

/// A call that was passed on, and whose reply will be.
struct Forwarded<M: NetMessage> {
    request: Request<M>,
}

impl<M: NetMessage> Handler<M> for Forward<M> {
    type Result = Forwarded<M>;

    fn handle(&mut self, message: M, _: &mut Context<Self>) -> Forwarded<M> {
        Forwarded { request: (self.send)(message) }
    }
}

impl<M: NetMessage> MessageResponse<Forward<M>, M> for Forwarded<M> {
    fn handle(self, _: &mut Context<Forward<M>>, reply: Option<OneshotSender<M::Result>>) {
        actix::spawn(async move {
            match self.request.await {
                Ok(result) => {
                    if let Some(reply) = reply {
                        // The caller may have given up.
                        let _ = reply.send(result);
                    }
                }
                Err(error) => tracing::warn!(%error, "a message that was passed on has no reply"),
            }
        });
    }
}
