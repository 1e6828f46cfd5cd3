//! The probe of an endpoint: a handshake shows that it is the advertised one. Few run at a time; a failure ends in a verdict.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use meshzero_proto::diagnosis::absence::{is_denial, is_gone};
use meshzero_proto::discovery::addresses::is_own;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::{Hello, Rejection, Welcome};
use tokio::sync::Semaphore;
use tokio::time;

use crate::link::attempt_record::AttemptRecord;
use crate::link::dial::{DialError, Handshaken, InstanceUpdates, dial_listed};
use crate::net::network::Network;

/// The number of attempts that may begin at the same time, and the time for which each occupies its slot.
const SLOTS: usize = 8;
const SLOT_TIME: Duration = Duration::from_millis(50);
/// The timeout for the answer of an endpoint. It takes a millisecond, unless its host is busy, which does not mean dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The delays before trying again when a connection was accepted and closed at once: the endpoint was at its limit, or its
/// process was about to die.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// The conclusion from failing to reach an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint is there, and has no room for another connection.
    Alive,
    /// There is no listener at its addresses, or that of another instance.
    Dead,
    /// There was no response.
    Unreachable,
}

impl Verdict {
    /// Returns the verdict on an instance that could not be reached, and `answered` at an address before.
    pub(crate) fn of(error: &DialError, answered: Option<SocketAddr>, network: &Network) -> Self {
        match error {
            DialError::Rejected { rejection: Rejection::Full, .. } => Self::Alive,
            DialError::Rejected { rejection, .. } if rejection.is_from_expected_instance() => Self::Dead,
            _ => {
                let own = network.own_addresses();
                // The other host's system answered: there is no such listener, or its process just died.
                match is_gone(error.attempts(), answered, is_denial, |ip| is_own(ip, &own)) {
                    true => Self::Dead,
                    false => Self::Unreachable,
                }
            }
        }
    }
}

/// An instance to reach.
pub(crate) struct ProbeTarget {
    pub(crate) instance: Instance,
    /// The address that answered last, if one did.
    pub(crate) answered: Option<SocketAddr>,
    /// The updates of the instance, with addresses that become known meanwhile.
    pub(crate) updates: InstanceUpdates,
}

/// Dials one endpoint and checks that it is the one that was advertised.
pub(crate) async fn probe(
    network: &Network,
    target: &ProbeTarget,
    hello: &Hello,
    record: &AttemptRecord,
) -> Result<Handshaken, Verdict> {
    let ProbeTarget { instance: advertised, answered, updates } = target;
    let mut delays = RETRY_DELAYS.into_iter();
    loop {
        let updates = Some(updates.clone());
        match dial_listed(network, &advertised.addresses, updates, hello, ANSWER_TIMEOUT, record).await {
            Ok(handshaken) => {
                let Welcome { node, instance, .. } = handshaken.welcome;
                let is_same = (node, instance) == (advertised.node, advertised.id);
                return if is_same { Ok(handshaken) } else { Err(Verdict::Dead) };
            }
            Err(error) => {
                tracing::debug!(service = %advertised.service, %error, "no connection to an announced service");
                match delays.next() {
                    Some(delay) if was_closed(&error) => time::sleep(delay).await,
                    _ => return Err(Verdict::of(&error, *answered, network)),
                }
            }
        }
    }
}

fn was_closed(error: &DialError) -> bool {
    let DialError::Unreachable { error, .. } = error else { return false };
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
    )
}

/// Returns the slots that all attempts of one node share.
pub(crate) fn slots() -> Rc<Semaphore> {
    Rc::new(Semaphore::new(SLOTS))
}

/// Runs `attempt` when fewer than [`SLOTS`] others have just begun. A host that does not answer frees its slot early, so
/// that a thousand forged addresses do not keep the real ones waiting.
pub(crate) async fn with_slot<T>(slots: &Semaphore, attempt: impl Future<Output = T>) -> T {
    let permit = slots.acquire().await;
    let mut attempt = std::pin::pin!(attempt);
    tokio::select! {
        biased;
        outcome = &mut attempt => return outcome,
        () = time::sleep(SLOT_TIME) => {}
    }
    drop(permit);
    attempt.await
}
