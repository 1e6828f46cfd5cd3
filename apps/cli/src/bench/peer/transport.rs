//! The transport to the receiving side: an actor in this process, a second process, or a running service.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use meshzero::{Join, Limits, Mesh, Service, ServiceName, ServiceRef};
use tokio::net::TcpStream;
use tokio::time;

use super::child::ServerProcess;
use super::serve;
use super::service::BenchService;
use crate::bench::baseline::BaselineServer;
use crate::bench::traffic::packet::LONGEST;
use crate::bench::traffic::protocol::{BenchGreet, NAME, ServerInfo, VERSION};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::target::{InvalidTarget, Target};

/// The overhead of an encoded packet over its payload in bytes, generously.
const ENVELOPE: usize = 1_024;
/// The number of times that a service which has just started is asked.
const GREETING_TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// The connect timeout of bare TCP.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The time in which a running service is looked for.
const DISCOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// The choice of `--transport`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Caller and actor in this process.
    Inproc,
    /// A second process on this machine.
    Loopback,
    /// A service that runs already.
    Service(Target),
}

impl FromStr for Transport {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        match text {
            "inproc" => Ok(Self::Inproc),
            "loopback" => Ok(Self::Loopback),
            name => name.parse().map(Self::Service),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inproc => f.write_str("inproc"),
            Self::Loopback => f.write_str("loopback"),
            Self::Service(target) => target.fmt(f),
        }
    }
}

/// The receiving side, found and greeted.
pub(crate) struct Peer {
    pub(crate) mesh: Mesh,
    /// One instance, so that everything goes to the same process.
    pub(crate) service: ServiceRef,
    pub(crate) greeting: ServerInfo,
    /// The address of bare TCP; none within this process.
    pub(crate) baseline: Option<SocketAddr>,
    /// The time for which connections spin before they sleep.
    pub(crate) spin: Duration,
    /// The private mesh of this run, if it has one.
    private_mesh: Option<String>,
    /// The service and the bare TCP of this process, kept alive.
    local_service: Option<(Service<BenchService>, BaselineServer)>,
    child: Option<ServerProcess>,
}

impl Peer {
    /// Starts or finds the receiving side.
    pub(crate) async fn reach(
        session: &Session,
        transport: &Transport,
        spin: Option<Duration>,
    ) -> Result<Self, Failure> {
        let own = unique("bench");
        match transport {
            Transport::Inproc => {
                let mesh = session.mesh_as(|join| private_mesh(with_room(join, spin), &own)).await?;
                let local_service = serve::serve(mesh, &name(NAME)?, None).await?;
                let peer =
                    Self::greet(&session.out, mesh, local_service.0.address().to_string(), spin).await?;
                Ok(Self {
                    private_mesh: Some(own),
                    baseline: None,
                    local_service: Some(local_service),
                    ..peer
                })
            }
            Transport::Loopback => {
                let mut child = ServerProcess::start(&own, spin)?;
                let mesh = session.mesh_as(|join| private_mesh(with_room(join, spin), &own)).await?;
                let peer = Self::greet(&session.out, mesh, child.address().await?, spin).await?;
                Ok(Self { private_mesh: Some(own), child: Some(child), ..peer })
            }
            Transport::Service(target) => {
                let mesh = session.mesh_as(|join| with_room(join, spin)).await?;
                let found = target
                    .discover(mesh, DISCOVER_TIMEOUT)
                    .await
                    .map_err(|failure| not_found(target, failure))?;
                let gone = || Failure::Unavailable(format!("{target} was found, and has disappeared"));
                let address = found.address().ok_or_else(gone)?;
                Self::greet(&session.out, mesh, address.to_string(), spin).await
            }
        }
    }

    async fn greet(
        out: &Output,
        mesh: &Mesh,
        address: String,
        spin: Option<Duration>,
    ) -> Result<Self, Failure> {
        let service = mesh.discover(&address).await?;
        let described = service.describe().await?;
        let handled: Vec<_> = described.messages.iter().map(|message| message.name.as_str()).collect();
        if !handled.contains(&"BenchGreet") {
            return Err(no_bench(&described.service, &handled));
        }
        let mut greeting = service.send(BenchGreet).await?;
        for _ in 0..GREETING_TRIES {
            if greeting.baseline != 0 {
                break;
            }
            time::sleep(PAUSE).await;
            greeting = service.send(BenchGreet).await?;
        }
        if greeting.version != VERSION {
            let ServerInfo { version, machine, .. } = greeting;
            return Err(Failure::Refused(format!(
                "{address} is mz {} and measures in version {version}, this is mz {} and version {VERSION}: use the \
                 same mz on both sides",
                machine.version,
                env!("CARGO_PKG_VERSION")
            )));
        }
        let mut baseline = service.address();
        if let Some(address) = &mut baseline {
            address.set_port(greeting.baseline);
            if !is_reachable(*address).await {
                out.errors.remark(&format!(
                    "bare TCP is not reachable at {address}, perhaps because of a firewall: there is no baseline of this transport"
                ));
                baseline = None;
            }
        }
        Ok(Self {
            mesh: mesh.clone(),
            service,
            greeting,
            baseline,
            spin: spin.unwrap_or_default(),
            private_mesh: None,
            local_service: None,
            child: None,
        })
    }

    /// Returns whether both sides share cores.
    pub(crate) fn shares_cores(&self) -> bool {
        self.is_local() || self.service.address().is_none_or(|address| address.ip().is_loopback())
    }

    /// Returns whether the receiving side is this process.
    pub(crate) fn is_local(&self) -> bool {
        self.local_service.is_some()
    }

    /// Returns the settings with which another node joins the same mesh.
    pub(crate) fn join(&self, join: Join) -> Join {
        let join = with_room(join, None);
        match &self.private_mesh {
            Some(mesh) => private_mesh(join, mesh),
            None => join,
        }
    }

    /// Ends the process that was started for it.
    pub(crate) async fn end(self) {
        if let Some(child) = self.child {
            child.dismiss().await;
        }
    }
}

/// Returns whether bare TCP is reachable: a firewall may let nothing through but the service.
async fn is_reachable(address: SocketAddr) -> bool {
    matches!(time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Returns a unique name.
pub(crate) fn unique(what: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{what}-{random:016x}")
}

/// Parses a name of this program's own.
pub(crate) fn name(text: &str) -> Result<ServiceName, Failure> {
    ServiceName::new(text).map_err(|error| Failure::Usage(error.to_string()))
}

/// Returns settings for a private mesh on this machine, whatever the user's meshes are.
fn private_mesh(join: Join, mesh: &str) -> Join {
    join.mesh(mesh).interfaces("lo").peers(Vec::<String>::new())
}

/// Returns settings with room for the longest packets, unless the user has set limits, and with the spin time.
pub(crate) fn with_room(join: Join, spin: Option<Duration>) -> Join {
    let join = join.spin(spin.unwrap_or_default());
    if std::env::var_os("MESHZERO_LIMITS").is_some_and(|limits| !limits.is_empty()) {
        return join;
    }
    let mut limits = Limits::default();
    limits.message_bytes = LONGEST + ENVELOPE;
    join.limits(limits)
}

fn not_found(target: &Target, failure: Failure) -> Failure {
    match failure {
        Failure::NotFound(mut absence) => {
            absence.text.push_str(&format!(
                "\n--transport is inproc, loopback, or the name of a service started with: mz bench serve {target}"
            ));
            Failure::NotFound(absence)
        }
        other => other,
    }
}

fn no_bench(service: &str, handled: &[&str]) -> Failure {
    let handled = if handled.is_empty() { "no messages".to_owned() } else { handled.join(", ") };
    Failure::Refused(format!(
        "{service} is not a measurement service: it handles {handled}. Start one there with: mz bench serve NAME"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_a_word_or_a_name() {
        assert_eq!("inproc".parse::<Transport>().ok(), Some(Transport::Inproc));
        assert_eq!("loopback".parse::<Transport>().ok(), Some(Transport::Loopback));
        for text in ["bench", "10.0.0.7:9000"] {
            assert_eq!(text.parse::<Transport>().expect(text).to_string(), text);
        }
        assert!("10.0.0.7:70000".parse::<Transport>().is_err());
    }
}
