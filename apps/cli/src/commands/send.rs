//! `mz send`: one message, and its reply.

use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use meshzero::trace::{self, TraceContext};
use meshzero::{CallError, Instance, Refusal, ServiceRef, TypeName, UnknownReason, Value};
use serde::Serialize;
use tokio::time::timeout_at;

use super::advertise::as_json;
use crate::failure::Failure;
use crate::message::{self, MessageFormat};
use crate::output::text;
use crate::parse;
use crate::render::{self, millis};
use crate::schema;
use crate::session::Session;
use crate::stdin;
use crate::target::Target;

/// Sends a message to a service and prints its reply
///
/// Without TYPE the message goes to the service's handler of plain values or, if it has none and one message type
/// only, to that. A type without fields needs no MESSAGE.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    override_usage = "mz send [OPTIONS] <NAME> [TYPE] <MESSAGE>",
    after_help = "\
Examples:
  mz send greeter world
  mz send robot/arm Move '{\"joint\": \"Elbow\", \"degrees\": 30}'
  mz send robot/arm Stop
  mz send 192.168.1.7:9000 '[1, 2, 3]' --wait 500ms --json
  mz send printer - < letter.txt
  mz send -- printer --help
  mz send robot/arm Move '{\"joint\": \"Elbow\", \"degrees\": 30}' --trace"
)]
pub(crate) struct Send {
    /// Name, ip:port or host:port of the service. A word with a dot before the colon is looked up as a host first, and
    /// any other, such as room:7, as a name first; localhost is always this host
    name: Target,
    /// Optional message type, as listed by `mz describe NAME`, and the message: JSON if it is JSON, else text; - reads
    /// it from standard input, in UTF-8, or in UTF-16 with a byte order mark. After -- it may begin with a dash
    #[arg(value_name = "[TYPE] MESSAGE", required = true, num_args = 1..=2)]
    words: Vec<String>,
    /// Takes MESSAGE as text, even if it looks like JSON
    #[arg(long)]
    text: bool,
    /// Time to wait for the service and its reply together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
    /// Sends the message as part of a trace, printed to standard error: a new one, or that of a W3C traceparent
    #[arg(long, value_name = "TRACEPARENT", num_args = 0..=1, require_equals = true)]
    trace: Option<Option<TraceContext>>,
}

/// The message to send.
struct OutgoingMessage {
    message_type: Option<TypeName>,
    message: Value,
}

impl Send {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let typed = self.typed().await?;
        let context = self.trace.map(|given| given.unwrap_or_else(trace::begin));
        if let Some(context) = &context {
            session.out.errors.trace(context);
        }
        let mesh = session.mesh().await?;
        let deadline = Instant::now() + self.wait;
        let service = self.name.discover(mesh, self.wait).await?;
        let call = CallSettings { service: &service, context, wait: self.wait, deadline };
        let started = Instant::now();
        let (reply, by) = self.call(&call, typed).await?;
        let ms = millis(started.elapsed());
        let by = by.as_ref().map(Replier::new);
        session.out.show(&ReplyRecord { service: self.name.to_string(), by, reply, ms }).await
    }

    async fn typed(&self) -> Result<OutgoingMessage, Failure> {
        let (message_type, message) = match self.words.as_slice() {
            [message] => (None, message.as_str()),
            [message_type, message] => {
                let name = TypeName::new(message_type);
                (Some(name.map_err(|error| Failure::Usage(format!("TYPE: {error}")))?), message.as_str())
            }
            _ => return Err(Failure::Usage("write one MESSAGE, or TYPE and MESSAGE".to_owned())),
        };
        let is_stdin = message == "-";
        let unreadable = |problem: String| Failure::Usage(format!("MESSAGE: {problem}"));
        let message = if is_stdin {
            stdin::whole().await.map_err(|failure| match failure {
                Failure::Usage(problem) => unreadable(problem),
                other => other,
            })?
        } else {
            message.to_owned()
        };
        let message = message::parse(&message, MessageFormat::chosen(self.text));
        let message = message.map_err(|error| unreadable(error.to_string()))?;
        Ok(OutgoingMessage { message_type, message })
    }

    async fn call(
        &self,
        call: &CallSettings<'_>,
        OutgoingMessage { message_type, message }: OutgoingMessage,
    ) -> Result<(Value, Option<Instance>), Failure> {
        if message_type.is_some() {
            return Ok(call.send(message, message_type).await?);
        }
        let handles = match call.send(message.clone(), None).await {
            Err(CallError::Refused { reason: Refusal::NoHandler { handles, .. }, .. }) => handles,
            result => return Ok(result?),
        };
        // One word that is the name of a type is hardly a message of another one.
        if let Some(message_type) =
            message.as_str().filter(|text| !self.text && handles.iter().any(|name| name == text))
        {
            let message_type =
                TypeName::new(message_type).map_err(|error| Failure::Refused(error.to_string()))?;
            let message = self.nothing(call, &message_type).await?;
            return Ok(call.send(message, Some(message_type)).await?);
        }
        match handles.as_slice() {
            [only] => {
                let only = TypeName::new(only).map_err(|error| Failure::Refused(error.to_string()))?;
                Ok(call.send(message, Some(only)).await?)
            }
            several => Err(self.which(several, &message)),
        }
    }

    /// Returns the message of a type without fields.
    ///
    /// # Errors
    /// [`Failure::Refused`]: the type has fields. The error shows the command with a place for them.
    async fn nothing(&self, call: &CallSettings<'_>, message_type: &TypeName) -> Result<Value, Failure> {
        let described = timeout_at(call.deadline.into(), call.service.describe()).await;
        let description = described.map_err(|_| Failure::no_answer(&self.name, self.wait))??;
        let described = description.messages.iter().find(|message| message.name == message_type.as_str());
        let schema = described.map_or(&serde_json::Value::Null, |described| &described.message);
        schema::nothing(schema).ok_or_else(|| {
            let (name, takes) = (shell_word(self.name.as_ref()), schema::short(schema));
            // A method of a service in Python takes anything, also where it has no parameters.
            let such_as = if schema::takes_anything(schema) { ", such as null for no parameters" } else { "" };
            Failure::Refused(format!(
                "{message_type} is a type of {}, and its message is missing: mz send {name} {} MESSAGE, where MESSAGE is \
                 {takes}{such_as}",
                self.name,
                shell_word(message_type)
            ))
        })
    }

    /// Returns the failure that `message` is for none of these types.
    fn which(&self, types: &[String], message: &Value) -> Failure {
        let name = &self.name;
        // A word may have been meant as a type, with a wrong name.
        let word = message.as_str().filter(|word| !self.text && TypeName::new(word).is_ok());
        let no_type = word.map(|word| format!(", and {word} is not one of its types")).unwrap_or_default();
        Failure::Refused(match types {
            [] => format!("{name} handles no messages; it may publish news: mz listen {name}"),
            types => format!(
                "{name} handles no plain values{no_type}; say which type: mz send {name} TYPE MESSAGE, where TYPE is one of {}",
                types.join(", ")
            ),
        })
    }
}

/// Quotes a word for a shell.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The service, and the settings of its calls.
struct CallSettings<'a> {
    service: &'a ServiceRef,
    context: Option<TraceContext>,
    /// The requested time to wait, and its end.
    wait: Duration,
    deadline: Instant,
}

impl CallSettings<'_> {
    async fn send(
        &self,
        message: Value,
        message_type: Option<TypeName>,
    ) -> Result<(Value, Option<Instance>), CallError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut request = self.service.send(message).timeout(left);
        if let Some(context) = self.context {
            request = request.trace(context);
        }
        if let Some(message_type) = message_type {
            request = request.named(message_type);
        }
        match (&mut request).await {
            Ok(reply) => Ok((reply, request.replied_by())),
            // The requested time, not the rest of it.
            Err(CallError::Unknown { service, reason: UnknownReason::TimedOut { .. }, attempts }) => {
                let reason = UnknownReason::TimedOut { after: self.wait };
                Err(CallError::Unknown { service, reason, attempts })
            }
            Err(error) => Err(error),
        }
    }
}

/// The record of a reply.
#[derive(Debug, Serialize)]
struct ReplyRecord {
    service: String,
    #[serde(flatten)]
    by: Option<Replier>,
    #[serde(serialize_with = "as_json")]
    reply: Value,
    ms: f64,
}

/// The instance that replied.
#[derive(Debug, Serialize)]
struct Replier {
    address: Option<String>,
    node: String,
    instance: String,
}

impl Replier {
    fn new(instance: &Instance) -> Self {
        Self {
            address: instance.address().map(render::address),
            node: instance.node.to_string(),
            instance: instance.id.to_string(),
        }
    }
}

impl fmt::Display for ReplyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reply.as_str() {
            Some(reply) => text(reply).fmt(f),
            None => text(&self.reply.to_string()).fmt(f),
        }
    }
}
