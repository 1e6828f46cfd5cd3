//! The command socket of the beacon for programs on this machine: a service on loopback, which they reach as a ZeroMQ
//! REP socket.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use actix::{Actor, Context, Handler, ResponseFuture};
use meshzero_proto::codec::Json;
use meshzero_proto::name::TypeName;
use meshzero_proto::networkzero::{COMMAND_PORT, Command};
use tokio::sync::{mpsc, oneshot};

use crate::net::bind::{BindAddress, BindError};
use crate::net::interfaces::Interfaces;
use crate::node::Node;
use crate::node::advertise::{
    ActorSource, AdvertiseError, AdvertisedService, ServiceSpec, Uniqueness, advertise,
};
use crate::server::actor::handler::Registration;
use crate::server::actor::restart_policy::RestartPolicy;
use crate::server::zmtp::{JsonMessage, VALUE};

/// The port range from which NetworkZero chooses (`DYNAMIC_PORTS`).
const PORTS: std::ops::RangeInclusive<u16> = 0xc000..=0xffff;

/// The number of commands that may wait for the beacon.
const MAX_COMMANDS: usize = 64;

/// A command, and the channel for its answer.
pub(super) struct PendingCommand {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<serde_json::Value>,
}

/// The actor that receives commands.
pub(super) struct CommandService {
    commands: mpsc::Sender<PendingCommand>,
    interfaces: Interfaces,
}

/// Starts the command service, whose commands arrive at the receiver as long as the service lives.
///
/// # Errors
/// [`AdvertiseError`], for instance that another program has the port.
pub(super) async fn start(
    node: &Arc<Node>,
) -> Result<(AdvertisedService<CommandService>, mpsc::Receiver<PendingCommand>), AdvertiseError> {
    let (sender, commands) = mpsc::channel(MAX_COMMANDS);
    let interfaces = node.config().interfaces.clone();
    let make = move || CommandService { commands: sender.clone(), interfaces: interfaces.clone() };
    let service = ServiceSpec {
        name: None,
        source: ActorSource::Factory(Box::new(|_| Box::new(make))),
        handlers: vec![Registration::new::<JsonMessage>(TypeName::new(VALUE).expect("it is a name"))],
        bind: format!("127.0.0.1:{COMMAND_PORT}").parse()?,
        arbiter: None,
        uniqueness: Uniqueness::OneOfMany,
        topics: Vec::new(),
        restart: RestartPolicy::default(),
    };
    Ok((advertise(node, service).await?, commands))
}

impl Actor for CommandService {
    type Context = Context<Self>;
}

impl Handler<JsonMessage> for CommandService {
    type Result = ResponseFuture<JsonMessage>;

    /// A message that is not a command, or a command that fails, is answered with null, as by NetworkZero's own beacon.
    fn handle(&mut self, JsonMessage(message): JsonMessage, _: &mut Context<Self>) -> Self::Result {
        let (commands, interfaces) = (self.commands.clone(), self.interfaces.clone());
        Box::pin(async move {
            let answer = execute(&message, &commands, &interfaces).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a command of NetworkZero failed");
                serde_json::Value::Null
            });
            JsonMessage(Json::new(answer.to_string(), &Default::default()))
        })
    }
}

/// Sends a command to the beacon, and waits for the answer.
async fn execute(
    message: &Json,
    commands: &mpsc::Sender<PendingCommand>,
    interfaces: &Interfaces,
) -> Result<serde_json::Value, String> {
    let message = serde_json::from_slice(message.text()).map_err(|error| error.to_string())?;
    let mut command = Command::from_json(&message).map_err(|error| error.to_string())?;
    if let Command::Advertise { address, .. } = &mut command {
        let complete_address =
            complete(address.as_deref(), interfaces).await.map_err(|error| error.to_string())?;
        *address = Some(complete_address.to_string());
    }
    let (answer, answer_receiver) = oneshot::channel();
    let ended = || "the beacon has ended".to_owned();
    commands.send(PendingCommand { command, answer }).await.map_err(|_| ended())?;
    answer_receiver.await.map_err(|_| ended())
}

/// Completes a partial address, as NetworkZero's `address` does.
async fn complete(address: Option<&str>, interfaces: &Interfaces) -> Result<SocketAddrV4, BindError> {
    let text = address.unwrap_or_default().trim();
    let unreadable = || BindError::Unreadable { text: text.to_owned() };
    if let Ok(complete_address) = text.parse() {
        return Ok(complete_address);
    }
    let bind = if text.is_empty() { BindAddress::default() } else { text.parse()? };
    match bind.name(interfaces, &PORTS, |_| false).await? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(unreadable()),
    }
}
