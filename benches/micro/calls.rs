//! Calls of an actor, each awaited before the next: in this process beside actix alone, over loopback beside bare TCP. And tells,
//! as fast as they are accepted.
//!
//! Both ends of every connection are on one thread, so that no result depends on which cores are free.

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::Addr;
use criterion::{Bencher, Criterion};
use meshzero::{Service, ServiceRef};
use meshzero_proto::wire::frame::HEADER_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::message::{Echo, Echoes, POSE, Pose};
use crate::rig::Rig;

/// The bytes of a pose in a frame.
const FRAME_BYTES: usize = HEADER_BYTES + size_of::<Pose>();

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut ends = None;
    let mut group = criterion.benchmark_group("call_in_process");
    group.bench_function("actix", |bencher| ends.get_or_insert_with(Ends::new).actix(bencher));
    group.bench_function("meshzero", |bencher| {
        let ends = ends.get_or_insert_with(Ends::new);
        ends.meshzero(bencher, &ends.near);
    });
    group.finish();
    let mut group = criterion.benchmark_group("call_over_loopback");
    group.bench_function("tokio", |bencher| ends.get_or_insert_with(Ends::new).tokio(bencher));
    group.bench_function("meshzero", |bencher| {
        let ends = ends.get_or_insert_with(Ends::new);
        ends.meshzero(bencher, &ends.far);
    });
    group.finish();
    let mut group = criterion.benchmark_group("tell");
    group.bench_function("in_process", |bencher| {
        let ends = ends.get_or_insert_with(Ends::new);
        ends.tell(bencher, &ends.near);
    });
    group.bench_function("over_loopback", |bencher| {
        let ends = ends.get_or_insert_with(Ends::new);
        ends.tell(bencher, &ends.far);
    });
    group.finish();
}

/// One actor, each way to call it, and bare TCP.
struct Ends {
    addr: Addr<Echoes>,
    near: ServiceRef,
    far: ServiceRef,
    bare: Rc<Mutex<TcpStream>>,
    _service: Service<Echoes>,
    rig: Rig,
}

impl Ends {
    fn new() -> Self {
        let rig = Rig::join();
        let service = rig.offer("echoes");
        let at = service.address().to_string();
        Self {
            addr: service.addr(),
            near: rig.reach(&rig.here, &at),
            far: rig.reach(&rig.there, &at),
            bare: Rc::new(Mutex::new(rig.run(bare_echo()).expect("loopback can be used"))),
            _service: service,
            rig,
        }
    }

    fn actix(&self, bencher: &mut Bencher<'_>) {
        bencher.iter_custom(|calls| {
            let addr = self.addr.clone();
            self.rig.run(time(calls, async move || addr.send(Echo(POSE)).await.expect("answered")))
        });
    }

    fn meshzero(&self, bencher: &mut Bencher<'_>, service: &ServiceRef) {
        bencher.iter_custom(|calls| {
            let service = service.clone();
            self.rig.run(time(calls, async move || service.send(Echo(POSE)).await.expect("answered")))
        });
    }

    fn tell(&self, bencher: &mut Bencher<'_>, service: &ServiceRef) {
        bencher.iter_custom(|tells| {
            let service = service.clone();
            self.rig.run(async move {
                let started = Instant::now();
                for _ in 0..tells {
                    service.tell(Echo(POSE)).await.expect("sent");
                }
                // The reply to this shows that all messages before it were handled.
                service.send(Echo(POSE)).await.expect("answered");
                started.elapsed()
            })
        });
    }

    fn tokio(&self, bencher: &mut Bencher<'_>) {
        bencher.iter_custom(|calls| {
            let stream = Rc::clone(&self.bare);
            self.rig.run(async move {
                let mut stream = stream.lock().await;
                let (mut frame, started) = ([7; FRAME_BYTES], Instant::now());
                for _ in 0..calls {
                    stream.write_all(&frame).await.expect("sent");
                    stream.read_exact(&mut frame).await.expect("answered");
                }
                started.elapsed()
            })
        });
    }
}

async fn time<T>(calls: u64, call: impl AsyncFn() -> T) -> Duration {
    let started = Instant::now();
    for _ in 0..calls {
        black_box(call().await);
    }
    started.elapsed()
}

/// A connection whose other end echoes every frame.
async fn bare_echo() -> std::io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    actix::spawn(async move {
        let mut frame = [0; FRAME_BYTES];
        // Ends with the connection.
        while server.read_exact(&mut frame).await.is_ok() && server.write_all(&frame).await.is_ok() {}
    });
    Ok(client)
}
