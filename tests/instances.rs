//! Several instances of one name: calls are balanced, busy instances get fewer, and gone ones are skipped.

use std::collections::HashSet;
use std::sync::Arc;

use actix::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::pair::{PATIENCE, Pair, until};

/// Answered with the number of the worker.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Who;

/// Answered when the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Hold;

struct Worker {
    number: u32,
    gate: Arc<Notify>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Who> for Worker {
    type Result = u32;
    fn handle(&mut self, _: Who, _: &mut Context<Self>) -> u32 {
        self.number
    }
}

impl Handler<Hold> for Worker {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Hold, _: &mut Context<Self>) -> ResponseFuture<()> {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move { gate.notified().await })
    }
}

async fn offer(mesh: &meshzero::Mesh, number: u32, gate: &Arc<Notify>) -> meshzero::Service<Worker> {
    let gate = Arc::clone(gate);
    let factory = move || Worker { number, gate: Arc::clone(&gate) };
    mesh.advertise("worker", factory).handles::<Who>().handles::<Hold>().await.expect("advertised")
}

async fn until_instances(worker: &meshzero::ServiceRef, count: usize) {
    until("the instances are connected", || worker.instances().len() == count).await;
}

#[actix::test]
async fn instances_share_the_work_and_one_that_is_gone_is_skipped() {
    let pair = Pair::join().await;
    let gate = Arc::default();
    let first = offer(&pair.here, 1, &gate).await;
    let _second = offer(&pair.there, 2, &gate).await;
    let worker = pair.here.discover("worker").within(PATIENCE).await.expect("found");
    until_instances(&worker, 2).await;
    let mut seen = HashSet::new();
    // Both instances are compared each time, and equally busy ones are chosen at random.
    for _ in 0..100 {
        seen.insert(worker.send(Who).timeout(PATIENCE).await.expect("a reply"));
    }
    assert_eq!(seen, HashSet::from([1, 2]));
    first.close().await;
    until_instances(&worker, 1).await;
    for _ in 0..20 {
        assert_eq!(worker.send(Who).timeout(PATIENCE).await.expect("a reply"), 2);
    }
}

#[actix::test]
async fn the_less_busy_of_two_gets_the_call() {
    let pair = Pair::join().await;
    let gate: Arc<Notify> = Arc::default();
    let busy = offer(&pair.here, 1, &gate).await;
    let worker = pair.there.discover("worker").within(PATIENCE).await.expect("found");
    let held: Vec<_> = (0..8).map(|_| actix::spawn(worker.send(Hold).timeout(PATIENCE))).collect();
    until("eight calls are under way", || busy.unfinished() == 8).await;
    let _idle = offer(&pair.here, 2, &gate).await;
    until_instances(&worker, 2).await;
    for _ in 0..20 {
        assert_eq!(worker.send(Who).timeout(PATIENCE).await.expect("a reply"), 2, "the other one is busy");
    }
    for call in held {
        gate.notify_one();
        call.await.expect("no panic").expect("a reply");
    }
}

#[actix::test]
async fn the_instances_of_a_name_are_asked_for_also_where_this_program_offers_it_itself() {
    let pair = Pair::join().await;
    let gate = Arc::default();
    let _other = offer(&pair.there, 1, &gate).await;
    let own = offer(&pair.here, 2, &gate).await;
    let name = own.instance().service.clone();
    let listed = pair.here.discover_all().named(name).within(PATIENCE).await;
    let nodes: HashSet<_> = listed.iter().map(|instance| instance.node).collect();
    assert_eq!((listed.len(), nodes), (2, [pair.here.node(), pair.there.node()].into()));
}
