//! The attempts of one call: whether there is another, when it begins, and the error that is returned in the end.

use std::time::Instant;

use meshzero_proto::call::outlier::ProbeResult;
use meshzero_proto::call::retry::{self, Alternatives, AttemptCost, FailureClass, Idempotency, NextAttempt};
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::refusal::Refusal;

use crate::client::caller::Caller;
use crate::client::error::{CallErrorKind, CallFailure};
use crate::client::fair_queue::QueueTurn;
use crate::client::route::balancer::{Pick, Probe};
use crate::runtime::blocking;
use crate::runtime::clock;
use crate::runtime::timer::Sleep;

/// The attempts of one call.
pub(crate) struct RetryState<'a> {
    caller: &'a Caller,
    deadline: Option<Instant>,
    idempotency: Idempotency,
    count: u32,
    /// The instances at which the call has failed; others are preferred.
    failed: Vec<InstanceId>,
    /// The instant until which another instance must have replaced one that is closing.
    handover: Option<Instant>,
    /// The error of the last attempt, or of an earlier one that may have been handled.
    last_error: Option<CallErrorKind>,
}

impl<'a> RetryState<'a> {
    pub(crate) fn new(caller: &'a Caller, deadline: Option<Instant>, idempotency: Idempotency) -> Self {
        Self { caller, deadline, idempotency, count: 0, failed: Vec::new(), handover: None, last_error: None }
    }

    /// Waits for an instance for the next attempt, until `expiry` completes.
    pub(crate) async fn wait_for_instance(&mut self, expiry: &mut Sleep) -> Result<Pick, CallFailure> {
        let ready = self.caller.route.ready_for_call(&self.failed);
        let pick = match self.handover {
            Some(_) => {
                let mut handover_expiry = self.caller.context.timers.sleep_until(self.handover);
                self.caller.wait_for(&mut handover_expiry, ready).await
            }
            None => self.caller.wait_for(expiry, ready).await,
        };
        match pick {
            Ok(pick) => {
                self.count += 1;
                Ok(pick)
            }
            Err(error) => {
                let error = match self.last_error.take() {
                    Some(last_error) => last_error,
                    None => self.caller.explain(error).await,
                };
                Err(CallFailure { error, attempts: self.count })
            }
        }
    }

    /// Waits for the turn of a call that has not been tried, if calls wait for an instance, until `expiry` completes.
    pub(crate) async fn turn(&self, expiry: &mut Sleep) -> Result<Option<QueueTurn<'a>>, CallFailure> {
        match self.caller.wait_for(expiry, self.caller.route.turn()).await {
            Ok(turn) => Ok(turn),
            Err(error) => Err(CallFailure { error: self.caller.explain(error).await, attempts: self.count }),
        }
    }

    /// Records the success or failure of an attempt for the health of its instance.
    pub(crate) fn record_outcome(
        &self,
        instance: InstanceId,
        error: Option<&CallErrorKind>,
        probe: Option<Probe>,
    ) {
        let route = &self.caller.route;
        let result = match error {
            None => ProbeResult::Works,
            Some(error) if error.is_failure() => ProbeResult::Fails,
            // Neither says anything about the health of the instance.
            Some(CallErrorKind::Encode(_) | CallErrorKind::Refused(Refusal::NoHandler { .. })) => {
                ProbeResult::Inconclusive
            }
            Some(_) => ProbeResult::Works,
        };
        match (probe, result) {
            (Some(probe), result) => probe.report(result),
            (None, ProbeResult::Fails) => route.record_failure(instance),
            (None, ProbeResult::Works) => route.record_success(instance),
            (None, ProbeResult::Inconclusive) => {}
        }
    }

    /// Waits until it is time for another attempt after one that failed.
    ///
    /// # Errors
    /// There is no further attempt, and the call ends in this failure.
    pub(crate) async fn next_attempt(
        &mut self,
        instance: InstanceId,
        error: CallErrorKind,
    ) -> Result<(), CallFailure> {
        let Caller { context, route, .. } = self.caller;
        self.count = self.count.max(1);
        if !self.failed.contains(&instance) {
            self.failed.push(instance);
        }
        let alternatives = match route.has_others(&self.failed) || !route.is_ready(instance) {
            true => Alternatives::Untried,
            false => Alternatives::Tried,
        };
        let class = error.retry_class();
        let next = retry::next(class, self.idempotency, self.count, alternatives, fastrand::f64());
        let NextAttempt::Again { delay, cost } = next else { return Err(self.give_up(error)) };
        let (now, deadline) = (clock::now(), self.deadline);
        self.handover = (class == FailureClass::Closing).then(|| {
            let handover = self.handover.unwrap_or(now + retry::HANDOVER_WAIT);
            deadline.map_or(handover, |deadline| deadline.min(handover))
        });
        let retry_at = now + delay;
        let is_late = self.handover.or(deadline).is_some_and(|latest| latest <= retry_at);
        if is_late || (cost == AttemptCost::One && !route.may_retry()) {
            return Err(self.give_up(error));
        }
        if alternatives == Alternatives::Tried {
            // Starts over, but not with this instance.
            self.failed = vec![instance];
        }
        if class == FailureClass::Unknown || self.last_error.as_ref().is_none_or(CallErrorKind::is_unhandled)
        {
            self.last_error = Some(error);
        }
        route.health.counters.retries.count();
        if !delay.is_zero() {
            tokio::select! {
                biased;
                () = context.timers.sleep_until(Some(retry_at)) => {}
                // The next wait for an instance returns the error.
                () = context.shutdown.triggered() => {}
                () = blocking::detect_blocking(&context.executor) => {}
            }
        }
        Ok(())
    }

    /// Returns the failure of the call after an attempt that ended in `error`; an earlier attempt that may have been
    /// handled takes precedence.
    pub(crate) fn give_up(&mut self, error: CallErrorKind) -> CallFailure {
        let earlier =
            self.last_error.take().filter(|earlier| !earlier.is_unhandled() && error.is_unhandled());
        CallFailure { error: earlier.unwrap_or(error), attempts: self.count }
    }
}
