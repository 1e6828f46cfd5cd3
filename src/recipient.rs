//! A service of the mesh in the guise of an actix `Recipient`: a small actor that passes messages on.

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Context, Handler, Recipient};
use meshzero_actors::NetMessage;
use meshzero_actors::home::Home;

use crate::request::Request;
use crate::service_ref::ServiceRef;

/// A recipient whose messages go to `service`. It lives as long as somebody holds it.
pub(crate) fn forwarding<M: NetMessage>(service: ServiceRef, home: &Home) -> Recipient<M> {
    Forward::start_in_arbiter(home.arbiter(), |_| Forward { service }).recipient()
}

struct Forward {
    service: ServiceRef,
}

impl Actor for Forward {
    type Context = Context<Self>;
}

/// A call that was passed on, and whose reply will be.
struct Forwarded<M: NetMessage> {
    request: Request<M>,
}

impl<M: NetMessage> Handler<M> for Forward {
    type Result = Forwarded<M>;

    fn handle(&mut self, message: M, _: &mut Context<Self>) -> Forwarded<M> {
        Forwarded { request: self.service.send(message) }
    }
}

impl<M: NetMessage> MessageResponse<Forward, M> for Forwarded<M> {
    fn handle(self, _: &mut Context<Forward>, reply: Option<OneshotSender<M::Result>>) {
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
