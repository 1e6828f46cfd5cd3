//! A caller of a route: waits for an instance until the deadline, and turns the end of a call into its reply or its
//! error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::call::in_flight::SendState;
use meshzero_proto::codec::DecodeLimits;

use crate::client::error::CallErrorKind;
use crate::client::link::CallEnd;
use crate::client::route::{Member, Route};
use crate::context::{Membership, NodeContext};
use crate::message::NetMessage;
use crate::runtime::blocking;
use crate::runtime::clock;
use crate::runtime::timer::Sleep;
use crate::server::request::inbound::Outcome;

/// A caller of the instances behind a route.
pub struct Caller {
    /// The context of the node that calls.
    pub context: Arc<NodeContext>,
    /// The membership that keeps the node joined.
    pub(crate) membership: Arc<dyn Membership>,
    /// The route to the instances that are called.
    pub route: Arc<Route>,
}

impl Caller {
    /// Waits for an instance to call, until `expiry` completes.
    pub(crate) async fn wait_for_instance(&self, expiry: &mut Sleep) -> Result<Member, CallErrorKind> {
        match self.wait_for(expiry, self.route.ready()).await {
            Ok(member) => Ok(member),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Returns the diagnosis of a call that ends in `error` because there was no instance to call.
    #[cold]
    pub(crate) async fn explain(&self, error: CallErrorKind) -> CallErrorKind {
        if self.context.shutdown.is_triggered() {
            return error;
        }
        CallErrorKind::Nobody(Box::new(self.route.diagnose(&self.context).await))
    }

    /// Waits for the output of `ready`, until `expiry` completes.
    pub(crate) async fn wait_for<T>(
        &self,
        expiry: &mut Sleep,
        ready: impl Future<Output = T>,
    ) -> Result<T, CallErrorKind> {
        let Self { context, membership, route } = self;
        tokio::select! {
            biased;
            ready = ready => Ok(ready),
            () = expiry => {
                let reason = route.last_error().map(|error| format!(": {error}")).unwrap_or_default();
                Err(CallErrorKind::NotSent(format!("no instance of it is connected{reason}")))
            }
            () = blocking::detect_blocking(&context.executor) => Err(CallErrorKind::Lost),
            () = context.shutdown.triggered() => Err(CallErrorKind::NotSent(membership.end_reason())),
        }
    }
}

/// Returns the deadline of a call that may take `timeout` from now; `None` if it lies beyond the range of the clock.
pub fn deadline_in(timeout: Duration) -> Option<Instant> {
    clock::now().checked_add(timeout)
}

/// Returns the reply of a call that has ended, or the reason why there is none.
pub(crate) fn conclude<M: NetMessage>(
    end: CallEnd,
    limits: &DecodeLimits,
) -> Result<M::Result, CallErrorKind> {
    match end {
        CallEnd::Answered(outcome) => decode::<M>(outcome, limits),
        CallEnd::TimedOut => Err(CallErrorKind::TimedOut),
        CallEnd::Withdrawn => {
            Err(CallErrorKind::NotSent("there was no connection until the deadline".into()))
        }
        CallEnd::Lost(SendState::Unknown) => Err(CallErrorKind::Lost),
        CallEnd::Lost(SendState::NotSent) => {
            Err(CallErrorKind::NotSent("the connection ended before the message was sent".into()))
        }
    }
}

/// Decodes the reply of an endpoint.
pub(crate) fn decode<M: NetMessage>(
    outcome: Outcome,
    limits: &DecodeLimits,
) -> Result<M::Result, CallErrorKind> {
    match outcome {
        Outcome::Reply(encoding, bytes) => bytes.decode(encoding, limits).map_err(CallErrorKind::Decode),
        Outcome::Refused(refusal) => Err(CallErrorKind::Refused(refusal)),
    }
}
