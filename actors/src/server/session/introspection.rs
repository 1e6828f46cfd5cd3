//! Answers about the service itself: its description, and the statistics of its node.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use meshzero_proto::wire::frame::FrameKind;
use meshzero_proto::wire::refusal::Refusal;
use tokio::task::JoinHandle;

use super::refusals::Refusals;
use super::{SessionError, send_frame};
use crate::link::send_queue::SendQueue;
use crate::server::describe;
use crate::server::request::responder::Responder;
use crate::server::service::Service;
use crate::telemetry::stats::GetStats;

/// Answers a client's queries about the service.
pub(super) struct Introspection {
    service: Arc<Service>,
    responder: Arc<Responder>,
    send_queue: Arc<SendQueue>,
    /// The ids of requests for a description that is being built.
    describing: Rc<RefCell<Vec<u64>>>,
    /// The task that collects the statistics.
    stats_task: Option<JoinHandle<()>>,
}

impl Introspection {
    pub(super) fn new(service: Arc<Service>, responder: Arc<Responder>, send_queue: Arc<SendQueue>) -> Self {
        Self { service, responder, send_queue, describing: Rc::default(), stats_task: None }
    }

    /// Replies with the description of the service, once that has been built.
    ///
    /// # Errors
    /// [`SessionError::DoesNotRead`].
    pub(super) fn describe(&mut self, id: u64, refusals: &mut Refusals) -> Result<(), SessionError> {
        if !refusals.are_read() {
            return refusals.refuse(id, Refusal::Busy);
        }
        if let Some(description) = describe::cached_bytes(&self.service) {
            send_frame(&self.send_queue, FrameKind::Reply, id, &description);
            return Ok(());
        }
        let limit = self.service.limits().requests_in_flight;
        let mut describing = self.describing.borrow_mut();
        if describing.len() >= limit {
            return refusals.refuse(id, Refusal::Busy);
        }
        describing.push(id);
        if describing.len() == 1 {
            let (service, send_queue) = (Arc::clone(&self.service), Arc::clone(&self.send_queue));
            let describing = Rc::clone(&self.describing);
            actix::spawn(async move {
                let description = describe::describe_encoded(&service).await;
                for id in describing.take() {
                    send_frame(&send_queue, FrameKind::Reply, id, &description);
                }
            });
        }
        Ok(())
    }

    /// Replies with the statistics of the node, once they have been collected: one query at a time.
    ///
    /// # Errors
    /// [`SessionError::DoesNotRead`].
    pub(super) fn report(&mut self, id: u64, refusals: &mut Refusals) -> Result<(), SessionError> {
        let is_collecting = self.stats_task.as_ref().is_some_and(|stats_task| !stats_task.is_finished());
        if is_collecting || !refusals.are_read() {
            return refusals.refuse(id, Refusal::Busy);
        }
        let (node, responder, send_queue) =
            (self.service.node_stats.clone(), Arc::clone(&self.responder), Arc::clone(&self.send_queue));
        self.stats_task = Some(actix::spawn(async move {
            let stats = match node.upgrade() {
                Some(node) => node.send(GetStats).await.ok(),
                None => None,
            };
            match stats {
                Some(stats) => send_frame(&send_queue, FrameKind::Reply, id, &stats.to_bytes()),
                // The node has left.
                None => responder.refuse(id, &Refusal::Draining),
            }
        }));
        Ok(())
    }
}
