//! A bare actix actor in this process, on this thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler, MailboxError, MessageResult};
use tokio::task::JoinSet;

use super::calls::CallLoad;
use super::window::Window;
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::traffic::counter::PacketCounter;
use crate::bench::traffic::packet::{Body, Echo, NO_STREAM, OneWay};
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

/// Messages without a reply between two awaited ones, which keeps the mailbox short.
const UNANSWERED: u64 = 512;

/// An actor that counts what it gets, as the service of the mesh does.
struct BareActor(PacketCounter);

impl BareActor {
    fn start(size: usize, pattern: &Pattern) -> Addr<Self> {
        Actor::start(Self(PacketCounter::new(size, pattern.clone())))
    }
}

impl Actor for BareActor {
    type Context = Context<Self>;
}

impl<B: Body> Handler<Echo<B>> for BareActor {
    type Result = MessageResult<Echo<B>>;

    fn handle(&mut self, Echo(packet): Echo<B>, _: &mut Context<Self>) -> MessageResult<Echo<B>> {
        self.0.count(packet.number(), packet.body());
        MessageResult(packet)
    }
}

impl<B: Body> Handler<OneWay<B>> for BareActor {
    type Result = ();

    fn handle(&mut self, OneWay(packet): OneWay<B>, _: &mut Context<Self>) {
        self.0.count(packet.number(), packet.body());
    }
}

/// Round trips of `send`, one at a time.
pub(crate) async fn ping<B: Body>(size: usize, time: Duration) -> Result<DurationHistogram, Failure> {
    let pattern = Pattern::new(size);
    let (bare, started) = (BareActor::start(size, &pattern), Instant::now());
    let (mut times, mut number) = (DurationHistogram::default(), 0);
    while started.elapsed() < time {
        let begun = Instant::now();
        bare.send(Echo(pattern.packet::<B>(NO_STREAM, number, size))).await.map_err(stopped)?;
        times.record(begun.elapsed());
        number += 1;
    }
    Ok(times)
}

/// Measures round trips of `send` by concurrent callers. Returns their times and the rate per second.
pub(crate) async fn window<B: Body>(load: CallLoad) -> Result<(DurationHistogram, f64), Failure> {
    let CallLoad { size, in_flight, timed_every, time } = load;
    let (pattern, window) = (Pattern::new(size), Rc::new(Window::default()));
    let (bare, next) = (BareActor::start(size, &pattern), Rc::new(Cell::new(0_u64)));
    let mut callers = JoinSet::new();
    let times = Rc::<RefCell<DurationHistogram>>::default();
    for _ in 0..in_flight {
        let (bare, pattern, times) = (bare.clone(), pattern.clone(), Rc::clone(&times));
        let (window, next) = (Rc::clone(&window), Rc::clone(&next));
        callers.spawn_local(async move {
            let mut calls = 0;
            while !window.is_over() {
                let number = next.replace(next.get() + 1);
                let started = number.is_multiple_of(timed_every).then(Instant::now);
                let reply = bare.send(Echo(pattern.packet::<B>(NO_STREAM, number, size))).await?;
                if window.is_measured() {
                    calls += u64::from(reply.number() == number);
                    if let Some(started) = started {
                        times.borrow_mut().record(started.elapsed());
                    }
                }
            }
            Ok(calls)
        });
    }
    let elapsed = window.pass(time).await;
    let calls = callers.join_all().await.into_iter().sum::<Result<u64, _>>().map_err(stopped)?;
    Ok((times.take(), calls as f64 / elapsed.as_secs_f64()))
}

/// Returns the rate of `do_send` per second.
pub(crate) async fn one_way<B: Body>(size: usize, time: Duration) -> Result<f64, Failure> {
    let pattern = Pattern::new(size);
    let (bare, started) = (BareActor::start(size, &pattern), Instant::now());
    let mut number = 0;
    while started.elapsed() < time {
        for _ in 0..UNANSWERED {
            bare.do_send(OneWay(pattern.packet::<B>(NO_STREAM, number, size)));
            number += 1;
        }
        bare.send(OneWay(pattern.packet::<B>(NO_STREAM, number, size))).await.map_err(stopped)?;
        number += 1;
    }
    Ok(number as f64 / started.elapsed().as_secs_f64())
}

fn stopped(error: MailboxError) -> Failure {
    Failure::Local(format!("an actor of this process, for the baseline, stopped: {error}"))
}
