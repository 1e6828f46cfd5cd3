//! The endpoint of one service: it accepts connections, checks whom they want, and starts their sessions.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use meshzero_proto::hello::{self, Answer, Hello, Purpose, Rejection, Welcome};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time;

use crate::dial;
use crate::service::Service;
use crate::{session, socket};

/// The pause after the system refused to accept, for example because no file descriptor is left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long accepted work may take to finish when the endpoint closes.
const DRAIN: Duration = Duration::from_millis(500);

/// A node wants to tell this one about the mesh.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PeerArrived {
    /// The connection, after the handshake.
    pub stream: TcpStream,
    /// Who it is.
    pub hello: Hello,
}

/// Serves `service` on `listener` until `closing` is told or dropped, then lets accepted work finish for a moment.
/// Connections of peers go to `peers`.
pub(crate) async fn run(
    listener: TcpListener,
    service: Arc<Service>,
    peers: Recipient<PeerArrived>,
    closing: oneshot::Receiver<()>,
) {
    let guests = Rc::new(Guests::new(&service));
    let mut sessions = JoinSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let visit = visit(stream, from, Arc::clone(&service), peers.clone(), Rc::clone(&guests));
                    sessions.spawn_local(visit);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    time::sleep(ACCEPT_AGAIN).await;
                }
            }
            while sessions.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        // Told or dropped, both mean the end.
        _ = closing => {}
    }
    drop(listener);
    if time::timeout(DRAIN, service.drained()).await.is_err() {
        tracing::warn!(service = ?service.identity.name, unfinished = service.unfinished(), "closed with work left");
    }
    service.close();
    // What has been answered is on its way out once the sessions had a turn.
    let _ = time::timeout(DRAIN, async { while sessions.join_next().await.is_some() {} }).await;
}

/// The connections of one endpoint, counted.
struct Guests {
    handshakes: Semaphore,
    counts: std::cell::RefCell<HashMap<IpAddr, usize>>,
    limit: usize,
    limit_per_address: usize,
}

impl Guests {
    fn new(service: &Service) -> Self {
        Self {
            handshakes: Semaphore::new(service.limits().handshakes),
            counts: Default::default(),
            limit: service.limits().connections,
            limit_per_address: service.limits().connections_per_address,
        }
    }

    /// A place for a connection from `address`, if there is one.
    fn enter(self: &Rc<Self>, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts.borrow_mut();
        let all: usize = counts.values().sum();
        let own = counts.entry(address).or_default();
        if all >= self.limit || (*own >= self.limit_per_address && !address.is_loopback()) {
            return None;
        }
        *own += 1;
        Some(Place { guests: Rc::clone(self), address })
    }
}

/// One connection's place among the guests.
struct Place {
    guests: Rc<Guests>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.guests.counts.borrow_mut();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// One connection from its first byte to its last.
async fn visit(
    mut stream: TcpStream,
    from: SocketAddr,
    service: Arc<Service>,
    peers: Recipient<PeerArrived>,
    guests: Rc<Guests>,
) {
    let place = guests.enter(from.ip().to_canonical());
    let greeted = {
        let Ok(_handshake) = guests.handshakes.try_acquire() else {
            tracing::warn!(%from, "closed a connection: too many are shaking hands");
            return;
        };
        let greeting = greet(&mut stream, &service, place.is_some());
        time::timeout(service.limits().handshake, greeting).await
    };
    let hello = match greeted {
        Ok(Ok(Some(hello))) => hello,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "a connection that never said hello"),
        Err(_) => return tracing::debug!(%from, "a connection that did not say hello in time"),
    };
    match hello.purpose {
        Purpose::Probe => {}
        Purpose::Peer { .. } => {
            if peers.try_send(PeerArrived { stream, hello }).is_err() {
                tracing::warn!(%from, "closed a peer's connection: too many arrive at once");
            }
        }
        Purpose::Requests | Purpose::News => {
            if let Err(error) = session::serve(stream, &hello, service).await {
                tracing::debug!(%from, %error, "a connection ended");
            }
        }
    }
    drop(place);
}

/// Shakes hands; `None` if the client was turned away, and told why.
async fn greet(
    stream: &mut TcpStream,
    service: &Service,
    has_place: bool,
) -> Result<Option<Hello>, dial::GreetingError> {
    socket::prepare(stream, service.limits().keep_alive)?;
    let hello = dial::read_greeting(stream, hello::parse_hello).await?;
    let identity = &service.identity;
    let rejection = if hello.mesh != identity.mesh {
        Some(Rejection::OtherMesh { theirs: identity.mesh.clone() })
    } else if hello.instance.is_some_and(|wanted| wanted != identity.instance) {
        Some(Rejection::OtherInstance)
    } else if !service.is_alive() {
        Some(Rejection::Draining)
    } else if !has_place {
        Some(Rejection::Full)
    } else {
        None
    };
    let (answer, hello) = match rejection {
        Some(rejection) => (Answer::Rejected(rejection), None),
        None => (Answer::Welcome(welcome(service)), Some(hello)),
    };
    stream.write_all(&hello::encode_answer(&answer)).await?;
    Ok(hello)
}

fn welcome(service: &Service) -> Welcome {
    Welcome {
        node: service.identity.node,
        instance: service.identity.instance,
        service: service.identity.name.clone(),
        message_bytes: u32::try_from(service.limits().message_bytes).unwrap_or(u32::MAX),
    }
}
