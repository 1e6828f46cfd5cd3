//! The message of a call that may have to wait, behind an interface without its type: attempts are compiled once, and not for each
//! type of message.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use meshzero_proto::codec;
use meshzero_proto::name::TypeName;
use tokio::sync::oneshot;

use super::CallOptions;
use super::local::{
    ExpectedReply, deliver_encoded, dropped_error, expire_queued, push_local, unanswered_error, withdraw,
};
use crate::client::caller::{conclude, decode};
use crate::client::error::CallErrorKind;
use crate::client::link::outgoing::{Deadline, OutgoingMessage};
use crate::client::link::{CallEnd, Link, ReplyFuture, SendError};
use crate::context::NodeContext;
use crate::link::send_queue::SendPermit;
use crate::message::NetMessage;
use crate::runtime::semaphore::Permits;
use crate::server::actor::inbox::JobId;
use crate::server::actor::local::{LocalEntry, LocalEnvelope};
use crate::server::request::inbound::{Outcome, ReplyTo};
use crate::server::service::Service;

/// A message that is sent until one instance has handled it, and its reply.
pub(crate) trait AttemptedMessage: Send {
    /// Returns the name of its type.
    fn type_name(&self) -> &str;

    /// Returns whether the message is still there: an actor of this process takes it.
    fn can_be_sent(&self) -> bool;

    /// Sends it to another process, with a permit if the connection had no room at once.
    ///
    /// # Errors
    /// As [`Link::try_call`].
    ///
    /// # Panics
    /// If the message is no longer there.
    fn send(
        &self,
        link: &Arc<Link>,
        permit: Option<SendPermit<'_>>,
        options: &CallOptions<'_>,
        caller: &Waker,
    ) -> Result<ReplyFuture, SendError>;

    /// Stores the reply of a call to another process that has ended, or returns the reason why there is none.
    fn conclude(&mut self, end: CallEnd, context: &NodeContext) -> Result<(), CallErrorKind>;

    /// Hands it to an actor of this process.
    ///
    /// # Errors
    /// Those of [`deliver_encoded`].
    ///
    /// # Panics
    /// If the message is no longer there.
    fn deliver(
        &mut self,
        context: &NodeContext,
        service: &Arc<Service>,
        options: &CallOptions<'_>,
        permit: Permits,
    ) -> Result<(), CallErrorKind>;

    /// Polls for the reply of the actor of this process to which it was handed, and stores it.
    ///
    /// # Panics
    /// If it was handed to none, or the reply has been stored.
    fn poll_reply(
        &mut self,
        task: &mut Context<'_>,
        context: &NodeContext,
    ) -> Poll<Result<(), CallErrorKind>>;

    /// Ends a call to an actor of this process for a `reason`, and returns its error. A message that still waits in an inbox is
    /// withdrawn.
    fn interrupt(&mut self, reason: CallErrorKind) -> CallErrorKind;

    /// Converts it for a downcast to its own type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// An [`AttemptedMessage`] of one type. Dropping it removes the message from an inbox in which it waits.
pub(crate) struct TypedMessage<M: NetMessage> {
    message: Option<M>,
    reply: Option<M::Result>,
    /// The actor of this process that has the message, and its reply.
    local: Option<(Arc<Service>, LocalReply<M>)>,
}

/// The reply of an actor of this process that is awaited.
enum LocalReply<M: NetMessage> {
    /// The message went into an inbox.
    Inbox { rx: oneshot::Receiver<M::Result>, name: Option<TypeName>, job: JobId },
    /// The message went into a mailbox.
    Mailbox(oneshot::Receiver<M::Result>),
    /// The message was encoded.
    Encoded(oneshot::Receiver<Outcome>),
}

impl<M: NetMessage> TypedMessage<M> {
    pub(crate) fn new(message: M) -> Self {
        Self { message: Some(message), reply: None, local: None }
    }

    /// Returns the reply of a call that has succeeded.
    ///
    /// # Panics
    /// If there is no reply, or `message` is of another type.
    pub(crate) fn reply_of(message: Box<dyn AttemptedMessage>) -> M::Result {
        let typed = message.into_any().downcast::<Self>().ok();
        typed
            .and_then(|mut typed| typed.reply.take())
            .expect("a call that has succeeded has a reply of its type")
    }
}

impl<M: NetMessage> AttemptedMessage for TypedMessage<M> {
    fn type_name(&self) -> &str {
        codec::type_info::<M>().name()
    }

    fn can_be_sent(&self) -> bool {
        self.message.is_some()
    }

    fn send(
        &self,
        link: &Arc<Link>,
        permit: Option<SendPermit<'_>>,
        options: &CallOptions<'_>,
        caller: &Waker,
    ) -> Result<ReplyFuture, SendError> {
        let outgoing = OutgoingMessage {
            message: self.message.as_ref().expect("the message is there"),
            name: options.name,
            deadline: options.deadline.map(Deadline::new),
            trace: options.trace.as_ref(),
        };
        match permit {
            Some(permit) => link.call(permit, outgoing, caller),
            None => link.try_call(outgoing, caller),
        }
    }

    fn conclude(&mut self, end: CallEnd, context: &NodeContext) -> Result<(), CallErrorKind> {
        self.reply = Some(conclude::<M>(end, &context.decode_limits)?);
        Ok(())
    }

    fn deliver(
        &mut self,
        context: &NodeContext,
        service: &Arc<Service>,
        options: &CallOptions<'_>,
        permit: Permits,
    ) -> Result<(), CallErrorKind> {
        let message = self.message.take().expect("the message is there");
        let reply = match service.types.local_entry::<M>(options.name) {
            Some(LocalEntry::Inbox(inbox)) => {
                let (tx, rx) = oneshot::channel();
                let envelope = LocalEnvelope { reply: Some(tx), permit };
                let job = push_local(inbox.as_ref(), message, envelope, options.trace.as_ref());
                LocalReply::Inbox { rx, name: options.name.cloned(), job }
            }
            Some(LocalEntry::Mailbox(mailbox)) => {
                let (tx, rx) = oneshot::channel();
                mailbox.send(message, LocalEnvelope { reply: Some(tx), permit }, &service.executor);
                LocalReply::Mailbox(rx)
            }
            None => {
                let (tx, rx) = oneshot::channel();
                let reply = ReplyTo::local(tx, context.limits().message_bytes);
                let expected = ExpectedReply { reply, deadline: options.deadline };
                deliver_encoded(service, options.name, &message, options.trace, Some(expected), permit)?;
                self.message = Some(message);
                LocalReply::Encoded(rx)
            }
        };
        self.local = Some((Arc::clone(service), reply));
        Ok(())
    }

    fn poll_reply(
        &mut self,
        task: &mut Context<'_>,
        context: &NodeContext,
    ) -> Poll<Result<(), CallErrorKind>> {
        let (service, reply) = self.local.as_mut().expect("it was handed to an actor");
        let result = match reply {
            LocalReply::Inbox { rx, name, job } => {
                let reply = ready!(Pin::new(rx).poll(task));
                reply.map_err(|_| unanswered_error::<M>(context, service, name.as_ref(), *job))
            }
            LocalReply::Mailbox(rx) => {
                ready!(Pin::new(rx).poll(task)).map_err(|_| dropped_error(context, service))
            }
            LocalReply::Encoded(rx) => match ready!(Pin::new(rx).poll(task)) {
                Ok(outcome) => decode::<M>(outcome, &context.decode_limits),
                Err(_) => Err(dropped_error(context, service)),
            },
        };
        self.local = None;
        Poll::Ready(result.map(|reply| self.reply = Some(reply)))
    }

    fn interrupt(&mut self, reason: CallErrorKind) -> CallErrorKind {
        let Some((service, LocalReply::Inbox { mut rx, name, job })) = self.local.take() else {
            return reason;
        };
        // The inbox skips a message whose reply is no longer wanted.
        rx.close();
        match reason {
            CallErrorKind::TimedOut => expire_queued::<M>(&service, name.as_ref(), job),
            reason => {
                withdraw::<M>(&service, name.as_ref(), job);
                reason
            }
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl<M: NetMessage> Drop for TypedMessage<M> {
    fn drop(&mut self) {
        if let Some((service, LocalReply::Inbox { name, job, .. })) = &self.local {
            withdraw::<M>(service, name.as_ref(), *job);
        }
    }
}
