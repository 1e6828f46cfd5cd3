//! The actor that serves measurements: it receives packets, counts them and reports the counts.
//!
//! It keeps a bounded number of measurements and drops the least recently used, so that vanished clients cost nothing
//! for long.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, ResponseFuture};
use meshzero::{Mesh, Service};

use super::subscriber::{StopCounting, Subscriber};
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::traffic_sample::TrafficSample;
use crate::bench::gauge::usage::{self, ProcessUsage};
use crate::bench::traffic::counter::PacketCounter;
use crate::bench::traffic::packet::{Body, Echo, LONGEST, OneWay, Packet, SHORTEST, with_body};
use crate::bench::traffic::pattern::Pattern;
use crate::bench::traffic::protocol::{
    AdvertiseProbe, BeginStream, BenchGreet, EndStream, MAX_SUBSCRIBERS, ReadClock, ReadCounts,
    ReceiverState, ServerInfo, SubscribePackets, VERSION, WithdrawProbe,
};

/// The limit of measurements kept.
const STREAMS: usize = 16;
/// The time after which an unused measurement is dropped.
const EXPIRY: Duration = Duration::from_secs(600);
/// The time after which a probe service is withdrawn by itself.
const PROBE_LIFETIME: Duration = Duration::from_secs(60);
/// The interval between two looks for what has expired.
const LOOK: Duration = Duration::from_secs(10);

/// The actor that serves measurements.
pub(crate) struct BenchService {
    mesh: Mesh,
    /// The port of bare TCP; 0 until it is known.
    baseline: Arc<AtomicU16>,
    started: Instant,
    pattern: Pattern,
    streams: [Option<PacketStream>; STREAMS],
    begun: u16,
    /// The probe service of a discovery benchmark.
    appeared: Rc<RefCell<Option<ProbeService>>>,
}

/// A probe service, and the time when it was advertised.
struct ProbeService {
    since: Instant,
    _service: Service<IdleActor>,
}

/// The packets of one measurement.
struct PacketStream {
    number: u16,
    size: usize,
    counter: PacketCounter,
    subscribers: Vec<Addr<Subscriber>>,
    counted: Vec<Rc<RefCell<PacketCounter>>>,
    used: Instant,
}

/// An actor that handles nothing.
pub(crate) struct IdleActor;

impl Actor for IdleActor {
    type Context = Context<Self>;
}

impl BenchService {
    /// Creates the actor for `mesh`, with bare TCP at the port `baseline`.
    pub(crate) fn new(mesh: Mesh, baseline: Arc<AtomicU16>) -> Self {
        Self {
            mesh,
            baseline,
            started: Instant::now(),
            pattern: Pattern::default(),
            streams: Default::default(),
            begun: 0,
            appeared: Rc::default(),
        }
    }

    fn clock(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn stream(&mut self, number: u16) -> Option<&mut PacketStream> {
        self.streams[number as usize % STREAMS].as_mut().filter(|stream| stream.number == number)
    }

    /// Drops the state of clients that are gone.
    fn forget(&mut self) {
        let forgotten = |stream: &mut PacketStream| stream.used.elapsed() > EXPIRY;
        self.streams.iter_mut().for_each(|stream| drop(stream.take_if(forgotten)));
        self.appeared.borrow_mut().take_if(|appeared| appeared.since.elapsed() > PROBE_LIFETIME);
    }

    #[inline]
    fn count<B: Body>(&mut self, packet: &Packet<B>) {
        let slot = &mut self.streams[packet.stream() as usize % STREAMS];
        if let Some(stream) = slot.as_mut().filter(|stream| stream.number == packet.stream()) {
            stream.counter.count(packet.number(), packet.body());
        }
    }
}

impl Actor for BenchService {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(LOOK, |serving, _| serving.forget());
    }
}

impl<B: Body> Handler<OneWay<B>> for BenchService {
    type Result = ();

    fn handle(&mut self, OneWay(packet): OneWay<B>, _: &mut Context<Self>) {
        self.count(&packet);
    }
}

impl<B: Body> Handler<Echo<B>> for BenchService {
    type Result = MessageResult<Echo<B>>;

    fn handle(&mut self, Echo(packet): Echo<B>, _: &mut Context<Self>) -> MessageResult<Echo<B>> {
        self.count(&packet);
        MessageResult(packet)
    }
}

impl Handler<BenchGreet> for BenchService {
    type Result = MessageResult<BenchGreet>;

    fn handle(&mut self, _: BenchGreet, _: &mut Context<Self>) -> MessageResult<BenchGreet> {
        let baseline = self.baseline.load(Ordering::Relaxed);
        MessageResult(ServerInfo { version: VERSION, machine: Machine::this(), baseline })
    }
}

impl Handler<BeginStream> for BenchService {
    type Result = Result<u16, String>;

    fn handle(&mut self, BeginStream { size }: BeginStream, _: &mut Context<Self>) -> Result<u16, String> {
        let size = usize::try_from(size).ok().filter(|size| (SHORTEST..=LONGEST).contains(size));
        let size = size.ok_or_else(|| format!("packets have {SHORTEST} to {LONGEST} bytes"))?;
        self.pattern.grow(size);
        let busy = |stream: &Option<PacketStream>| stream.as_ref().map(|stream| stream.used);
        let slot = (0..STREAMS).min_by_key(|slot| busy(&self.streams[*slot])).unwrap_or(0);
        // A number that maps to the slot, is not `NO_STREAM`, and was not used by the last thousands of measurements.
        self.begun = self.begun % (u16::MAX / STREAMS as u16) + 1;
        let number = self.begun * STREAMS as u16 + slot as u16;
        usage::reset_peak();
        self.streams[slot] = Some(PacketStream {
            number,
            size,
            counter: PacketCounter::new(size, self.pattern.clone()),
            subscribers: Vec::new(),
            counted: Vec::new(),
            used: Instant::now(),
        });
        Ok(number)
    }
}

impl Handler<SubscribePackets> for BenchService {
    type Result = ResponseFuture<Result<(), String>>;

    fn handle(
        &mut self,
        follow: SubscribePackets,
        _: &mut Context<Self>,
    ) -> ResponseFuture<Result<(), String>> {
        let SubscribePackets { stream: number, service, subscribers } = follow;
        let (mesh, pattern) = (self.mesh.clone(), self.pattern.clone());
        let begun = match self.stream(number) {
            None => Err("there is no such measurement any more".to_owned()),
            Some(stream)
                if stream.subscribers.len() + usize::from(subscribers) > usize::from(MAX_SUBSCRIBERS) =>
            {
                Err(format!("a measurement has at most {MAX_SUBSCRIBERS} subscribers"))
            }
            Some(stream) => {
                let started =
                    (0..subscribers).map(|_| Subscriber::start_counting(stream.size, pattern.clone()));
                let (addrs, counted): (Vec<_>, Vec<_>) = started.unzip();
                stream.subscribers.extend(addrs.iter().cloned());
                stream.counted.extend(counted);
                Ok((addrs, stream.size))
            }
        };
        Box::pin(async move {
            let (addrs, size) = begun?;
            let publisher = mesh.discover(&service).await.map_err(|error| error.to_string())?;
            for addr in addrs {
                with_body!(size, B => Subscriber::subscribe::<B>(&addr, &publisher).await)?;
            }
            Ok(())
        })
    }
}

impl Handler<ReadCounts> for BenchService {
    type Result = MessageResult<ReadCounts>;

    fn handle(
        &mut self,
        ReadCounts { stream }: ReadCounts,
        _: &mut Context<Self>,
    ) -> MessageResult<ReadCounts> {
        let (clock, wire) = (self.clock(), TrafficSample::of(&self.mesh));
        MessageResult(self.stream(stream).map(|stream| {
            stream.used = Instant::now();
            let mut counts = stream.counter.counts();
            stream.counted.iter().for_each(|counted| counts.add(counted.borrow().counts()));
            ReceiverState { clock, counts, usage: ProcessUsage::now(), wire }
        }))
    }
}

impl Handler<EndStream> for BenchService {
    type Result = ();

    fn handle(&mut self, EndStream { stream }: EndStream, _: &mut Context<Self>) {
        if self.stream(stream).is_some() {
            self.streams[stream as usize % STREAMS] = None;
        }
    }
}

impl Handler<ReadClock> for BenchService {
    type Result = u64;

    fn handle(&mut self, _: ReadClock, _: &mut Context<Self>) -> u64 {
        self.clock()
    }
}

impl Handler<AdvertiseProbe> for BenchService {
    type Result = ResponseFuture<Result<u64, String>>;

    fn handle(
        &mut self,
        AdvertiseProbe { service }: AdvertiseProbe,
        _: &mut Context<Self>,
    ) -> ResponseFuture<Result<u64, String>> {
        let (mesh, appeared, clock) = (self.mesh.clone(), Rc::clone(&self.appeared), self.clock());
        Box::pin(async move {
            let service = mesh.advertise(&service, || IdleActor).await.map_err(|error| error.to_string())?;
            appeared.replace(Some(ProbeService { since: Instant::now(), _service: service }));
            Ok(clock)
        })
    }
}

impl Handler<WithdrawProbe> for BenchService {
    type Result = ();

    fn handle(&mut self, _: WithdrawProbe, _: &mut Context<Self>) {
        self.appeared.replace(None);
    }
}

impl Drop for PacketStream {
    fn drop(&mut self) {
        // They hold connections; one that has stopped needs no message.
        self.subscribers.iter().for_each(|subscriber| subscriber.do_send(StopCounting));
    }
}
