//! A TCP proxy on loopback that makes connections fail as bad networks do.
//!
//! The faults of a connection are chosen when it is accepted: the number of bytes, in each direction, after which it is cut,
//! stalls or is corrupted, and its delay. Besides, all connections can be cut or stalled at any moment, and new ones refused.

mod faults;
mod lane;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time;

pub use self::faults::{Cut, Event, Fault, Faults};
use self::lane::{Ended, Lane};

/// The limit of open connections; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// The timeout for both ends to close a connection that was closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of the proxy's own thread for one command of a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    Up,
    /// From the target to the client.
    Down,
}

/// A proxy in front of one listener. Dropping it cuts all its connections and ends it.
///
/// ```
/// # use std::io::{Read, Write};
/// # use std::net::{TcpListener, TcpStream};
/// use meshzero_testing::{Cut, Event, Fault, FaultProxy, Faults};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = FaultProxy::in_front_of(listener.local_addr()?);
/// proxy.next(Faults { up: Fault::after(5, Event::Cut(Cut::Close)), ..Faults::default() });
/// TcpStream::connect(proxy.address())?.write_all(b"hello, world")?;
/// let mut arrived = String::new();
/// listener.accept()?.0.read_to_string(&mut arrived)?;
/// assert_eq!(arrived, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    live: watch::Sender<Live>,
    orders: Option<mpsc::Sender<(Order, blocking::Sender<io::Result<()>>)>>,
    thread: Option<JoinHandle<()>>,
}

/// The state shared by the connections and the handle.
#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    connections: AtomicU64,
    carried: [AtomicU64; 2],
}

/// The faults of future connections.
#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<Faults>,
    all: Faults,
    seed: u64,
}

/// The faults of open connections.
#[derive(Debug, Clone, Copy, Default)]
struct Live {
    /// The number of times that all connections were cut, and the way of the last time.
    cuts: (u64, Cut),
    stalled: [bool; 2],
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Refuse,
    Accept,
}

impl FaultProxy {
    /// A proxy on a free port of loopback that leads to `target`, without faults.
    ///
    /// # Panics
    /// If there is no port or no thread for it.
    #[must_use]
    #[track_caller]
    pub fn in_front_of(target: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let (live, live_told) = watch::channel(Live::default());
        let (orders, given) = mpsc::channel(8);
        let (tell, told) = blocking::channel();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let proxy = Proxy { target, shared: Arc::clone(&shared), live: live_told, places };
        let thread = thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || proxy.run(given, &tell))
            .expect("the system has a thread for the proxy");
        let address = told.recv_timeout(PATIENCE).expect("the proxy starts").expect("there is a free port");
        Self { address, shared, live, orders: Some(orders), thread: Some(thread) }
    }

    /// Seeds the random numbers, so that jitter is reproducible.
    pub fn seed(&self, seed: u64) {
        self.plan().seed = seed;
    }

    /// The address of its listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the faults of every connection from now on for which [`next`](Self::next) has not set others.
    pub fn all(&self, faults: Faults) {
        self.plan().all = faults;
    }

    /// Sets the faults of one connection: of the next in the first call, of the second in the second call.
    pub fn next(&self, faults: Faults) {
        self.plan().next.push_back(faults);
    }

    /// Cuts all open connections.
    pub fn cut(&self, how: Cut) {
        self.live.send_modify(|live| live.cuts = (live.cuts.0 + 1, how));
    }

    /// Stops forwarding in that direction, on all connections, until [`release`](Self::release).
    pub fn stall(&self, way: Direction) {
        self.live.send_modify(|live| live.stalled[way as usize] = true);
    }

    /// Resumes forwarding.
    pub fn release(&self, way: Direction) {
        self.live.send_modify(|live| live.stalled[way as usize] = false);
    }

    /// Refuses new connections, as the system does for a port without a listener.
    ///
    /// # Panics
    /// If the proxy does not answer.
    #[track_caller]
    pub fn refuse(&self) {
        self.order(Order::Refuse);
    }

    /// Accepts new connections again, at the same address.
    ///
    /// # Panics
    /// If another process has taken the port meanwhile.
    #[track_caller]
    pub fn accept(&self) {
        self.order(Order::Accept);
    }

    /// The number of accepted connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The number of bytes that all connections together have forwarded in that direction.
    #[must_use]
    pub fn carried(&self, way: Direction) -> u64 {
        self.shared.carried[way as usize].load(Ordering::Relaxed)
    }

    #[track_caller]
    fn order(&self, order: Order) {
        let (tell, told) = blocking::channel();
        let orders = self.orders.as_ref().expect("it is there until it is dropped");
        orders.try_send((order, tell)).expect("the proxy takes orders");
        let done = told.recv_timeout(PATIENCE).expect("the proxy answers");
        done.unwrap_or_else(|error| panic!("cannot do {order:?} at {}: {error}", self.address));
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared.plan()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the proxy at {} panicked", self.address);
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults of a new connection, and the seed of its random numbers.
    fn begin(&self) -> (Faults, u64) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut plan = self.plan();
        let faults = plan.next.pop_front().unwrap_or_else(|| plan.all.clone());
        (faults, plan.seed.wrapping_add(number))
    }
}

/// The proxy's own state, on its thread.
struct Proxy {
    target: SocketAddr,
    shared: Arc<Shared>,
    live: watch::Receiver<Live>,
    places: Arc<Semaphore>,
}

impl Proxy {
    fn run(
        self,
        orders: mpsc::Receiver<(Order, blocking::Sender<io::Result<()>>)>,
        tell: &blocking::Sender<io::Result<SocketAddr>>,
    ) {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            let listener = listen((Ipv4Addr::LOCALHOST, 0).into());
            match listener.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((address, listener)) => {
                    // The caller may have given up waiting.
                    drop(tell.send(Ok(address)));
                    self.serve(address, listener, orders).await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
    }

    /// Runs until the handle is dropped.
    async fn serve(
        &self,
        address: SocketAddr,
        listener: TcpListener,
        mut orders: mpsc::Receiver<(Order, blocking::Sender<io::Result<()>>)>,
    ) {
        let mut listener = Some(listener);
        loop {
            tokio::select! {
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(stream) => self.welcome(stream).await,
                    Err(error) => {
                        eprintln!("the proxy at {address}: {error}");
                        time::sleep(Duration::from_millis(10)).await;
                    }
                },
                order = orders.recv() => {
                    let Some((order, told)) = order else { return };
                    listener = None;
                    let done = match order {
                        Order::Refuse => Ok(()),
                        Order::Accept => listen(address).map(|bound| listener = Some(bound)),
                    };
                    drop(told.send(done));
                }
            }
        }
    }

    async fn welcome(&self, client: TcpStream) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let (faults, seed) = self.shared.begin();
        let (target, shared, live) = (self.target, Arc::clone(&self.shared), self.live.clone());
        tokio::spawn(async move {
            match TcpStream::connect(target).await {
                Ok(server) => forward(client, server, faults, seed, &shared, live).await,
                // As the other end did.
                Err(_) => reset(&client),
            }
            drop(place);
        });
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Forwards one connection until it has ended or is cut.
async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: Faults,
    seed: u64,
    shared: &Shared,
    live: watch::Receiver<Live>,
) {
    for stream in [&client, &server] {
        // Only a matter of speed.
        drop(stream.set_nodelay(true));
    }
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let [carried_up, carried_down] = &shared.carried;
        let mut up = Lane::new(faults.up, Direction::Up, seed, carried_up, live.clone());
        let mut down = Lane::new(faults.down, Direction::Down, !seed, carried_down, live.clone());
        let both = async {
            let (up, down) = (up.run(from_client, to_server), down.run(from_server, to_client));
            tokio::pin!(up, down);
            tokio::select! {
                ended = &mut up => if let Ended::Over = ended { down.await } else { ended },
                ended = &mut down => if let Ended::Over = ended { up.await } else { ended },
            }
        };
        tokio::select! {
            cut = cut_by_hand(live) => Some(cut),
            ended = both => match ended {
                Ended::Over => None,
                Ended::Cut(cut) => Some(cut),
            },
        }
    };
    match cut {
        None => {}
        Some(Cut::Reset) => [&client, &server].into_iter().for_each(reset),
        Some(Cut::Close) => {
            let closing = async { tokio::join!(close(client), close(server)) };
            // An end that does not close in time is cut off.
            drop(time::timeout(CLOSE_TIMEOUT, closing).await);
        }
    }
}

async fn cut_by_hand(mut live: watch::Receiver<Live>) -> Cut {
    let before = live.borrow().cuts.0;
    match live.wait_for(|live| live.cuts.0 > before).await {
        Ok(live) => live.cuts.1,
        Err(_) => Cut::Reset,
    }
}

/// Makes dropping the connection reset it.
fn reset(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        eprintln!("a connection is closed and not reset: {error}");
    }
}

/// Closes a connection gracefully: bytes that still arrive are read, or the system would reset it.
async fn close(mut stream: TcpStream) {
    let mut rest = [0; 16 << 10];
    // It may be closed already.
    if stream.shutdown().await.is_ok() {
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

#[cfg(test)]
mod tests;
