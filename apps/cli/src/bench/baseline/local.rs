//! A bare actix actor in this process, on this thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, MailboxError, MessageResult};
use tokio::task::JoinSet;

use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::traffic::packet::{Echo, OneWay, Pattern};
use crate::failure::Failure;

/// Messages without a reply between two awaited ones, which keeps the mailbox short.
const UNANSWERED: u64 = 512;

struct BareActor;

impl Actor for BareActor {
    type Context = Context<Self>;
}

impl Handler<Echo> for BareActor {
    type Result = MessageResult<Echo>;

    fn handle(&mut self, Echo(packet): Echo, _: &mut Context<Self>) -> MessageResult<Echo> {
        MessageResult(packet)
    }
}

impl Handler<OneWay> for BareActor {
    type Result = ();

    fn handle(&mut self, OneWay(packet): OneWay, _: &mut Context<Self>) {
        drop(packet);
    }
}

/// Round trips of `send`, one at a time.
pub(crate) async fn ping(size: usize, time: Duration) -> Result<DurationHistogram, Failure> {
    let (bare, pattern, started) = (BareActor.start(), Pattern::new(size), Instant::now());
    let (mut times, mut number) = (DurationHistogram::default(), 0);
    while started.elapsed() < time {
        let begun = Instant::now();
        bare.send(Echo(pattern.packet(0, number, size))).await.map_err(stopped)?;
        times.record(begun.elapsed());
        number += 1;
    }
    Ok(times)
}

/// Measures round trips of `send` with `in_flight` concurrent callers. Returns their times and the rate per second.
pub(crate) async fn window(
    size: usize,
    in_flight: usize,
    time: Duration,
) -> Result<(DurationHistogram, f64), Failure> {
    let (bare, pattern, started) = (BareActor.start(), Pattern::new(size), Instant::now());
    let mut callers = JoinSet::new();
    let times = Rc::<RefCell<DurationHistogram>>::default();
    for _ in 0..in_flight {
        let (bare, pattern, times) = (bare.clone(), pattern.clone(), Rc::clone(&times));
        callers.spawn_local(async move {
            let mut number = 0;
            while started.elapsed() < time {
                let begun = Instant::now();
                bare.send(Echo(pattern.packet(0, number, size))).await?;
                times.borrow_mut().record(begun.elapsed());
                number += 1;
            }
            Ok(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<(), _>>().map_err(stopped)?;
    let (times, elapsed) = (times.take(), started.elapsed());
    let rate = times.per_second(elapsed);
    Ok((times, rate))
}

/// Returns the rate of `do_send` per second.
pub(crate) async fn one_way(size: usize, time: Duration) -> Result<f64, Failure> {
    let (bare, pattern, started) = (BareActor.start(), Pattern::new(size), Instant::now());
    let mut number = 0;
    while started.elapsed() < time {
        for _ in 0..UNANSWERED {
            bare.do_send(OneWay(pattern.packet(0, number, size)));
            number += 1;
        }
        bare.send(OneWay(pattern.packet(0, number, size))).await.map_err(stopped)?;
        number += 1;
    }
    Ok(number as f64 / started.elapsed().as_secs_f64())
}

fn stopped(error: MailboxError) -> Failure {
    Failure::Local(format!("an actor of this process, for the baseline, stopped: {error}"))
}
