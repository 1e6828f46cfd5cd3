//! The endpoint of one service: it accepts connections, checks whom they want, and starts their sessions.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use meshzero_proto::hello::{self, Answer, Hello, LinkState, Purpose, Rejection, Resume, Welcome};
use meshzero_proto::id::{LinkId, NodeId};
use meshzero_proto::protocol::{self, Protocol};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::connection::Connection;
use crate::dial;
use crate::discovery::PeerArrived;
use crate::drain::{self, LAST_ANSWERS};
use crate::guests::{Guests, Place};
use crate::listeners::Listeners;
use crate::readmit::Connections;
use crate::service::Service;
use crate::stats::Carries;
use crate::unfinished::Abandoned;
use crate::zmtp::{Visitor, WireError};
use crate::zone::Named;
use crate::{session, zmtp};

/// The pause after the system refused to accept, for example because no file descriptor is left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The longest time for draining: later is beyond what a clock may be able to tell.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Serves `service` on `listeners` until `closing` is told, then lets accepted work finish for as long as that says, or as
/// the limits say where it is dropped. Meanwhile new messages and new connections are told that it drains. Returns what
/// was not finished. Connections of peers go to `peers`.
pub(crate) async fn run(
    mut listeners: Listeners,
    service: Arc<Service>,
    peers: Recipient<PeerArrived>,
    closing: oneshot::Receiver<Duration>,
) -> Option<Abandoned> {
    let guests = Rc::new(Guests::new(service.limits()));
    let mut sessions = JoinSet::new();
    let mut work = pin!(async {
        let within = closing.await.unwrap_or(service.limits().drain);
        let deadline = Instant::now() + within.min(LONGEST_DRAIN);
        let left = drain::finish(&service, deadline).await;
        // What was answered or published is still on its way out.
        (deadline.max(Instant::now() + LAST_ANSWERS), left)
    });
    let mut ended = None;
    // Links may go on over new connections to the end.
    while ended.is_none() || guests.served() > 0 {
        tokio::select! {
            biased;
            // Those who come one after the other do not keep it from what else there is.
            () = until(ended.as_ref()) => break,
            Some(_) = sessions.join_next() => {}
            done = &mut work, if ended.is_none() => {
                service.close();
                ended = Some(done);
            }
            accepted = listeners.accept() => match accepted {
                Ok((connection, from)) => {
                    let visit = visit(connection, from, Arc::clone(&service), peers.clone(), Rc::clone(&guests));
                    sessions.spawn_local(visit);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    time::sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    let (messages, unfinished) = ended.and_then(|(_, left)| left).unwrap_or_default();
    let connections = guests.served();
    if unfinished == 0 && connections == 0 {
        return None;
    }
    let others = unfinished.saturating_sub(messages.values().sum());
    let shown = service.identity.name.clone().or_else(|| Some(Named(listeners.summary()?).into()))?;
    let abandoned = Abandoned { service: shown, messages, others, connections };
    tracing::warn!(%abandoned, "closed with work left");
    Some(abandoned)
}

/// Waits until a service that has ended should wait for nobody any more.
async fn until<T>(ended: Option<&(Instant, T)>) {
    match ended {
        Some((deadline, _)) => time::sleep_until(*deadline).await,
        None => std::future::pending().await,
    }
}

/// The place of one connection among the guests, if it has one.
struct Seat {
    guests: Rc<Guests>,
    address: IpAddr,
    place: Option<Place>,
}

impl Seat {
    fn new(guests: &Rc<Guests>, address: IpAddr) -> Self {
        Self { guests: Rc::clone(guests), address, place: guests.enter(address) }
    }

    /// Returns whether there is a place, if need be that of a link which waits for its client to come back. Only for connections that
    /// need a place of their own: a client that comes back to its link has one.
    async fn is_taken(&mut self, service: &Service) -> bool {
        if self.place.is_none() && service.links.give_up_one() {
            // It gives its place back when it has its turn.
            tokio::task::yield_now().await;
            self.place = self.guests.enter(self.address);
        }
        self.place.is_some()
    }
}

/// One connection from its first byte to its last.
async fn visit(
    connection: Connection,
    from: SocketAddr,
    service: Arc<Service>,
    peers: Recipient<PeerArrived>,
    guests: Rc<Guests>,
) {
    let mut seat = Seat::new(&guests, from.ip().to_canonical());
    let greeted = {
        let mut handshake = guests.shake_hands(from.ip().to_canonical());
        let greeting = greet(connection, from, &service, &mut seat);
        tokio::select! {
            greeted = time::timeout(service.limits().handshake, greeting) => greeted,
            () = handshake.is_displaced() => {
                service.connections.speechless.count();
                return tracing::debug!(%from, "others needed its place to shake hands");
            }
        }
    };
    let welcomed = match greeted {
        Ok(Ok(welcomed)) => welcomed,
        Ok(Err(error)) => {
            service.connections.speechless.count();
            return tracing::debug!(%from, %error, "a connection that never said hello");
        }
        Err(_) => {
            service.connections.speechless.count();
            return tracing::debug!(%from, "a connection that did not say hello in time");
        }
    };
    match welcomed {
        Welcomed::Nobody => {}
        Welcomed::Peer(connection, hello) => {
            if peers.try_send(PeerArrived { connection, hello }).is_err() {
                tracing::debug!(%from, "closed a peer's connection: too many arrive at once");
            }
        }
        Welcomed::Client(connection, hello, connections) => {
            let _served = guests.serve();
            if let Err(error) = session::serve(connection, &hello, Arc::clone(&service), connections).await {
                if error.is_given_up() {
                    service.connections.given_up.count();
                }
                tracing::debug!(%from, %error, "a link ended");
            }
        }
        Welcomed::Back(connection, node, resume) => {
            if service.links.go_on(node, resume, connection, from).is_err() {
                tracing::debug!(%from, "a link ended just as its client came back");
            }
        }
        Welcomed::Zmtp(visitor) => {
            let _served = guests.serve();
            if let Err(error) = zmtp::serve(visitor, service).await {
                tracing::debug!(%from, %error, "a socket of ZeroMQ was given up");
            }
        }
    }
    drop(seat);
}

/// What becomes of a connection that has said hello.
enum Welcomed {
    /// Nothing: that was all, or it was turned away and told why.
    Nobody,
    /// A node that tells about the mesh.
    Peer(Connection, Hello),
    /// A client that begins a link.
    Client(Connection, Hello, Connections),
    /// A client that goes on with a link, whose keeper answers its hello.
    Back(Connection, NodeId, Resume),
    /// A socket of ZeroMQ.
    Zmtp(Visitor),
}

/// Shakes hands, in the language of whoever has come.
async fn greet(
    mut connection: Connection,
    from: SocketAddr,
    service: &Arc<Service>,
    seat: &mut Seat,
) -> Result<Welcomed, GreetError> {
    connection.keep_alive(service.limits().keep_alive);
    let mut first = [0; protocol::FIRST_BYTES];
    let read = connection.reader.read(&mut first).await.map_err(dial::GreetingError::Io)?;
    if read == 0 {
        return Err(GreetError::Silent);
    }
    let first = &first[..read];
    match protocol::recognise(first).map_err(dial::GreetingError::Hello)? {
        Protocol::Meshzero => greet_client(connection, first, from, service, seat).await,
        Protocol::Zmtp => {
            let has_place = seat.is_taken(service).await;
            let visitor = zmtp::greet(connection, first, service, has_place).await?;
            Ok(visitor.map_or(Welcomed::Nobody, Welcomed::Zmtp))
        }
    }
}

/// Shakes hands with a client of this protocol, whose `first` bytes have been read.
async fn greet_client(
    mut connection: Connection,
    first: &[u8],
    from: SocketAddr,
    service: &Arc<Service>,
    seat: &mut Seat,
) -> Result<Welcomed, GreetError> {
    let hello = dial::read_greeting(&mut connection.reader, first, hello::parse_hello).await?;
    let identity = &service.identity;
    let rejection = if hello.mesh != identity.mesh {
        Some(Rejection::OtherMesh { theirs: identity.mesh.clone() })
    } else if hello.instance.is_some_and(|wanted| wanted != identity.instance) {
        Some(Rejection::OtherInstance)
    } else if let Some(link) = hello.standby {
        match service.links.state(hello.node, link) {
            Some(state) => return stand_by(connection, &hello, link, state, service).await,
            None => Some(Rejection::UnknownLink),
        }
    } else if let Some(resume) = hello.resume {
        if service.links.knows(hello.node, resume.link) {
            return Ok(Welcomed::Back(connection, hello.node, resume));
        }
        Some(Rejection::UnknownLink)
    } else if !service.is_alive() {
        Some(Rejection::Draining)
    } else if !seat.is_taken(service).await {
        Some(Rejection::Full)
    } else {
        None
    };
    let (welcome, connections) = match (rejection, hello.purpose) {
        (Some(rejection), _) => {
            service.connections.rejected.count();
            tracing::debug!(%from, ?rejection, "turned a connection away");
            answer(&connection, &Answer::Rejected(rejection)).await?;
            return Ok(Welcomed::Nobody);
        }
        (None, Purpose::Probe | Purpose::Peer { .. }) => (service.welcome(), None),
        (None, purpose @ (Purpose::Requests | Purpose::News)) => {
            let carries = if purpose == Purpose::News { Carries::News } else { Carries::Requests };
            let connections = Connections::begin(service, hello.node, from, carries)?;
            (Welcome { link: Some(connections.link()), ..service.welcome() }, Some(connections))
        }
    };
    answer(&connection, &Answer::Welcome(welcome)).await?;
    Ok(match (hello.purpose, connections) {
        (_, Some(connections)) => Welcomed::Client(connection, hello, connections),
        (Purpose::Peer { .. }, None) => Welcomed::Peer(connection, hello),
        (_, None) => Welcomed::Nobody,
    })
}

/// Lets a connection stand by for a link, until its client lets that go on over it or closes it: there may be others, and the
/// old one may carry again.
async fn stand_by(
    mut connection: Connection,
    hello: &Hello,
    link: LinkId,
    state: LinkState,
    service: &Service,
) -> Result<Welcomed, GreetError> {
    let welcome = Welcome { link: Some(link), standby: Some(state), ..service.welcome() };
    answer(&connection, &Answer::Welcome(welcome)).await?;
    let next = match dial::read_greeting(&mut connection.reader, &[], hello::parse_hello).await {
        Err(dial::GreetingError::Io(_)) => return Ok(Welcomed::Nobody),
        next => next?,
    };
    match next.resume {
        Some(resume) if next.node == hello.node && resume.link == link => {
            if service.links.knows(hello.node, link) {
                return Ok(Welcomed::Back(connection, hello.node, resume));
            }
            answer(&connection, &Answer::Rejected(Rejection::UnknownLink)).await?;
            Ok(Welcomed::Nobody)
        }
        _ => Err(GreetError::OtherLink),
    }
}

async fn answer(connection: &Connection, answer: &Answer) -> Result<(), dial::GreetingError> {
    Ok(connection.writer.write_all(&hello::encode_answer(answer)).await?)
}

/// Why a connection was not greeted.
#[derive(Debug, thiserror::Error)]
enum GreetError {
    #[error(transparent)]
    Greeting(#[from] dial::GreetingError),
    #[error(transparent)]
    Zmtp(#[from] WireError),
    #[error("it left without a word")]
    Silent,
    #[error("it stood by for one link and asked for something else")]
    OtherLink,
    #[error("the system has no randomness: {0}")]
    Random(#[from] getrandom::Error),
}
