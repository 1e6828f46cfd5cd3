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
    /// The fault of the last attempt, or of an earlier one that may have been handled.
    last: Option<CallErrorKind>,
}

impl<'a> RetryState<'a> {
    pub(crate) fn new(caller: &'a Caller, deadline: Option<Instant>, idempotency: Idempotency) -> Self {
        Self { caller, deadline, idempotency, count: 0, failed: Vec::new(), handover: None, last: None }
    }

    /// Waits for an instance for the next attempt, until the timer fires.
    pub(crate) async fn wait_for_instance(&mut self, timer: &mut Sleep) -> Result<Pick, CallFailure> {
        let chosen = self.caller.route.ready_for_call(&self.failed);
        let chosen = match self.handover {
            Some(_) => {
                let mut sooner = self.caller.context.timers.sleep_until(self.handover);
                self.caller.wait_for(&mut sooner, chosen).await
            }
            None => self.caller.wait_for(timer, chosen).await,
        };
        match chosen {
            Ok(chosen) => {
                self.count += 1;
                Ok(chosen)
            }
            Err(nobody) => {
                let fault = match self.last.take() {
                    Some(last) => last,
                    None => self.caller.explain(nobody).await,
                };
                Err(CallFailure { error: fault, attempts: self.count })
            }
        }
    }

    /// Waits for the turn of a call that has not been tried, if calls wait for an instance, until the timer fires.
    pub(crate) async fn turn(&self, timer: &mut Sleep) -> Result<Option<QueueTurn<'a>>, CallFailure> {
        match self.caller.wait_for(timer, self.caller.route.turn()).await {
            Ok(turn) => Ok(turn),
            Err(nobody) => {
                Err(CallFailure { error: self.caller.explain(nobody).await, attempts: self.count })
            }
        }
    }

    /// Records the success or failure of an attempt for the health of its instance.
    pub(crate) fn record_outcome(
        &self,
        instance: InstanceId,
        fault: Option<&CallErrorKind>,
        probe: Option<Probe>,
    ) {
        let route = &self.caller.route;
        let result = match fault {
            None => ProbeResult::Works,
            Some(fault) if fault.is_failure() => ProbeResult::Fails,
            // Neither says anything about the health of the instance.
            Some(CallErrorKind::Encode(_) | CallErrorKind::Refused(Refusal::NoHandler { .. })) => {
                ProbeResult::Inconclusive
            }
            Some(_) => ProbeResult::Works,
        };
        match (probe, result) {
            (Some(probe), result) => probe.end(result),
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
        fault: CallErrorKind,
    ) -> Result<(), CallFailure> {
        let Caller { context, route, .. } = self.caller;
        self.count = self.count.max(1);
        if !self.failed.contains(&instance) {
            self.failed.push(instance);
        }
        let others = match route.has_others(&self.failed) || !route.is_ready(instance) {
            true => Alternatives::Untried,
            false => Alternatives::Tried,
        };
        let tried = fault.retry_class();
        let next = retry::next(tried, self.idempotency, self.count, others, fastrand::f64());
        let NextAttempt::Again { pause, cost } = next else { return Err(self.give_up(fault)) };
        let (now, deadline) = (clock::now(), self.deadline);
        self.handover = (tried == FailureClass::Closing).then(|| {
            let handover = self.handover.unwrap_or(now + retry::HANDOVER_WAIT);
            deadline.map_or(handover, |deadline| deadline.min(handover))
        });
        let at = now + pause;
        let is_late = self.handover.or(deadline).is_some_and(|latest| latest <= at);
        if is_late || (cost == AttemptCost::One && !route.may_retry()) {
            return Err(self.give_up(fault));
        }
        if others == Alternatives::Tried {
            // Starts over, but not with this instance.
            self.failed = vec![instance];
        }
        if tried == FailureClass::Unknown || self.last.as_ref().is_none_or(CallErrorKind::is_unhandled) {
            self.last = Some(fault);
        }
        route.health.counters.retries.count();
        if !pause.is_zero() {
            tokio::select! {
                biased;
                () = context.timers.sleep_until(Some(at)) => {}
                // The next wait for an instance returns the error.
                () = context.shutdown.triggered() => {}
                () = blocking::detect_blocking(&context.executor) => {}
            }
        }
        Ok(())
    }

    /// Returns the failure of the call after an attempt that ended in `fault`; an earlier attempt that may have been
    /// handled takes precedence.
    pub(crate) fn give_up(&mut self, fault: CallErrorKind) -> CallFailure {
        let before = self.last.take().filter(|before| !before.is_unhandled() && fault.is_unhandled());
        CallFailure { error: before.unwrap_or(fault), attempts: self.count }
    }
}
