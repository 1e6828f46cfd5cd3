//! The settings with which a program joins a mesh, from the program or from the environment.

mod limits;

use std::env;
use std::future::{Future, IntoFuture};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::time::Duration;

use meshzero_actors::config::Config;
use meshzero_actors::net::interfaces::Interfaces;
use meshzero_actors::net::network::Network;
use meshzero_actors::net::system_listener::UnixSockets;
use meshzero_actors::net::zone;
use meshzero_actors::node::Node;
use meshzero_proto::codec::type_info;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::MeshName;

use crate::error::JoinError;
use crate::mesh::Mesh;
use crate::value::Value;

/// A builder of a mesh's settings, which joins when it is awaited. A setting that is not given here is taken from the environment,
/// where an empty variable counts as not set:
///
/// | setting | environment | default |
/// |---|---|---|
/// | [`Join::mesh`] | `MESHZERO_MESH=room-7` | `meshzero` |
/// | [`Join::interfaces`] | `MESHZERO_INTERFACES=eth0,192.168.1.*` | all; `lo` stays on this machine |
/// | [`Join::peers`] | `MESHZERO_PEERS=10.0.0.5:9000,lab.local:9000` | none |
/// | [`Join::ports`] | `MESHZERO_PORTS=9000-9100` | any free one |
/// | [`Join::unix_sockets`] | `MESHZERO_UNIX_SOCKETS=off` | on |
/// | [`Join::limits`] | `MESHZERO_LIMITS=message_bytes=4194304,mailbox=512` | [`Limits::default`] |
///
/// In `MESHZERO_LIMITS` a limit has the name of its field, and a time the suffix `_ms`: `handshake_ms`, `reconnect_ms`,
/// `news_patience_ms`, `drain_ms`, `request_timeout_ms`, `keep_alive_ms`.
///
/// # Errors
/// [`JoinError`]: a setting, from here or from the environment, that cannot be used, or a system that provides no thread, no socket
/// or no randomness.
///
/// # Cancel safety
/// This future is not cancel safe: a thread that was started for the mesh may remain, unused, until the program ends.
///
/// ```no_run
/// # async fn run() -> Result<(), meshzero::JoinError> {
/// use meshzero::{Limits, Mesh};
///
/// let mut limits = Limits::default();
/// limits.message_bytes = 4 << 20;
/// let mesh = Mesh::join()
///     .mesh("room-7")
///     .interfaces("eth0, 192.168.*")
///     .peers(["10.0.0.5:9000", "lab.local:9000"])
///     .ports(9000..=9100)
///     .limits(limits)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a mesh is joined when this is awaited"]
pub struct Join {
    mesh: Option<String>,
    interfaces: Option<String>,
    peers: Option<Vec<String>>,
    ports: Option<RangeInclusive<u16>>,
    ports_otherwise: Option<RangeInclusive<u16>>,
    limits: Option<Limits>,
    unix_sockets: Option<UnixSockets>,
    spin: Duration,
    networkzero: bool,
}

impl Mesh {
    /// Joins a mesh. Returns a builder that can be awaited as it is: then the mesh is `meshzero`, on every interface, unless the
    /// environment says otherwise, see [`Join`].
    ///
    /// Inside a running actix System, the mesh lives on the current arbiter, and ends with it; elsewhere it starts a thread of its
    /// own.
    ///
    /// ```no_run
    /// use meshzero::{JoinError, Mesh, block_on};
    ///
    /// fn main() -> Result<(), JoinError> {
    ///     let mesh = block_on(async { Mesh::join().await })?;
    ///     println!("joined {}", mesh.name());
    ///     Ok(())
    /// }
    /// ```
    pub fn join() -> Join {
        Join::default()
    }
}

impl Join {
    /// Sets the mesh to join. Programs in meshes of different names never find each other.
    pub fn mesh(mut self, name: impl AsRef<str>) -> Self {
        self.mesh = Some(name.as_ref().to_owned());
        self
    }

    /// Sets the network interfaces to use: names, addresses, networks or patterns, separated by commas, such as `eth0`, `eth*`,
    /// `192.168.1.5`, `192.168.1.0/24` or `192.168.*`; `lo` keeps everything on this machine. Text that names none is an error.
    ///
    /// Nothing is announced or queried on other interfaces, and services listen only at the addresses of these, as those come and go.
    /// An interface or address that this machine does not have yet, such as an adapter that is plugged in later or the address of a
    /// VPN, is used once it appears; a warning and [`Mesh::pending_interfaces`] report it, because it may be a typo.
    pub fn interfaces(mut self, interfaces: impl AsRef<str>) -> Self {
        self.interfaces = Some(interfaces.as_ref().to_owned());
        self
    }

    /// Sets endpoints of the mesh to connect to, each `host:port`, for networks that do not forward multicast. One is enough: it passes
    /// on what it knows.
    pub fn peers<S: Into<String>>(mut self, peers: impl IntoIterator<Item = S>) -> Self {
        self.peers = Some(peers.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the ports that services listen at, one for each service, for the sake of firewalls. A service that requests a port with
    /// [`Advertise::at`](crate::Advertise::at) gets that one.
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = Some(ports);
        self
    }

    /// Sets the ports to use if neither the program nor the environment chooses any.
    pub(crate) fn ports_otherwise(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports_otherwise = Some(ports);
        self
    }

    /// Sets the limits of this program. [`Limits::message_bytes`] is 64 MiB at most, [`Limits::nesting`] 1,024,
    /// [`Limits::keep_alive`] a second at least, and [`Limits::handshake`] a millisecond. A time may be [`Duration::MAX`], for never.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets whether messages between programs of the same user on one computer go over Unix sockets, which on Linux and macOS take less
    /// time than TCP. Default: true. It concerns the services of this program as well as its calls and subscriptions, and changes no
    /// address: where a Unix socket cannot be used, the connection uses TCP.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), meshzero::JoinError> {
    /// // Every message can be seen by a tool that captures packets.
    /// let mesh = meshzero::Mesh::join().unix_sockets(false).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unix_sockets(mut self, used: bool) -> Self {
        self.unix_sockets = Some(if used { UnixSockets::Used } else { UnixSockets::Off });
        self
    }

    /// Sets the time for which each connection polls for bytes after the last ones, before its thread sleeps. As long as it polls, the
    /// system does not have to wake it. That shortens a round trip several times where each side has a free core, which it keeps busy,
    /// and slows everything down otherwise. Default: zero; 50 µs is a good value.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run() -> Result<(), meshzero::JoinError> {
    /// let mesh = meshzero::Mesh::join().spin(Duration::from_micros(50)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = time;
        self
    }

    /// Opens a gateway to programs that use Python's NetworkZero as well, until this program leaves the mesh. See
    /// [`networkzero`](crate::networkzero).
    pub fn networkzero(mut self) -> Self {
        self.networkzero = true;
        self
    }

    /// Joins on a thread of its own, even inside an actix System.
    pub(crate) async fn apart(self) -> Result<Mesh, JoinError> {
        let opens_gateway = self.networkzero;
        let node = Node::start_on_own_thread(self.config()?).await?;
        joined(Mesh { node }, opens_gateway).await
    }

    fn config(self) -> Result<Config, JoinError> {
        let mesh = match self.mesh.or(variable("MESHZERO_MESH")?) {
            Some(name) => MeshName::new(name)?,
            None => MeshName::default(),
        };
        let interfaces = match self.interfaces.or(variable("MESHZERO_INTERFACES")?) {
            Some(text) => text.parse()?,
            None => Interfaces::default(),
        };
        let peers = match self.peers {
            Some(peers) => peers,
            None => variable("MESHZERO_PEERS")?.map(|text| listed(&text)).unwrap_or_default(),
        };
        for peer in &peers {
            check_peer(peer)?;
        }
        let ports = match self.ports {
            Some(ports) => Some(ports),
            None => variable("MESHZERO_PORTS")?.map(|text| port_range(&text)).transpose()?,
        };
        let ports = ports.or(self.ports_otherwise);
        if ports.as_ref().is_some_and(|ports| ports.is_empty() || *ports.start() == 0) {
            let problem = "a range of ports begins at 1 or above and ends no lower".to_owned();
            return Err(JoinError::Setting { setting: "MESHZERO_PORTS", problem });
        }
        let limits = match self.limits {
            Some(limits) => limits,
            None => {
                variable("MESHZERO_LIMITS")?.map(|text| limits::read(&text)).transpose()?.unwrap_or_default()
            }
        };
        limits::check(&limits)?;
        let limits = limits.into();
        let unix_sockets = match self.unix_sockets {
            Some(unix_sockets) => unix_sockets,
            None => variable("MESHZERO_UNIX_SOCKETS")?
                .map(|text| on_or_off(&text))
                .transpose()?
                .unwrap_or_default(),
        };
        let network = Network::System(unix_sockets);
        Ok(Config { mesh, interfaces, peers, ports, limits, spin: self.spin, network })
    }
}

impl IntoFuture for Join {
    type Output = Result<Mesh, JoinError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let opens_gateway = self.networkzero;
            // Any value that arrives decodes as itself.
            type_info::<Value>().declare_exact();
            let node = Node::start(self.config()?).await?;
            joined(Mesh { node }, opens_gateway).await
        })
    }
}

async fn joined(mesh: Mesh, opens_gateway: bool) -> Result<Mesh, JoinError> {
    if opens_gateway {
        mesh.networkzero().await?.detach();
    }
    Ok(mesh)
}

/// Reads a variable of the environment; an empty one counts as not set.
fn variable(name: &'static str) -> Result<Option<String>, JoinError> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(JoinError::Setting { setting: name, problem: "it is not UTF-8".to_owned() })
        }
    }
}

fn listed(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn check_peer(peer: &str) -> Result<(), JoinError> {
    let valid = peer
        .rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0));
    let problem = match zone::parse(peer) {
        Ok(_) if valid => return Ok(()),
        Ok(_) => format!("{peer:?} is not a peer; write host:port, such as 10.0.0.5:9000"),
        Err(error) => error.to_string(),
    };
    Err(JoinError::Setting { setting: "MESHZERO_PEERS", problem })
}

/// Returns true for text that can be a host; a URL of any scheme is not one.
fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, JoinError> {
    let read = || {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    read().ok_or_else(|| JoinError::Setting {
        setting: "MESHZERO_PORTS",
        problem: format!(
            "{text:?} is not a range of ports; write two numbers up to 65535, such as 9000-9100"
        ),
    })
}

fn on_or_off(text: &str) -> Result<UnixSockets, JoinError> {
    match text.trim() {
        "on" => Ok(UnixSockets::Used),
        "off" => Ok(UnixSockets::Off),
        _ => Err(JoinError::Setting {
            setting: "MESHZERO_UNIX_SOCKETS",
            problem: format!("{text:?} is neither \"on\" nor \"off\""),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read() {
        assert_eq!(port_range("9000-9100").expect("a range"), 9000..=9100);
        assert_eq!(port_range("9000").expect("a port"), 9000..=9000);
        assert_eq!(listed("a:1, b:2,,"), ["a:1", "b:2"]);
        assert_eq!(on_or_off(" off").expect("a switch"), UnixSockets::Off);
        assert_eq!(on_or_off("on").expect("a switch"), UnixSockets::Used);
    }

    #[test]
    fn texts_that_cannot_be_read_say_what_to_write() {
        assert!(port_range("9000-99999").expect_err("too large").to_string().contains("9000-9100"));
        assert!(on_or_off("no").expect_err("not a switch").to_string().contains("\"off\""));
        for peer in ["10.0.0.5", "10.0.0.5:0", ":9000", "host:port", "tcp://10.0.0.5:9000", "ros://robot:7"] {
            assert!(check_peer(peer).expect_err(peer).to_string().contains("host:port"), "{peer}");
        }
    }
}
