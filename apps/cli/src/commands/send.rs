//! `mz send`: one message, and its reply.

use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use meshzero::trace::{self, TraceContext};
use meshzero::{CallError, Refusal, Request, ServiceRef, TypeName, Value};
use serde::Serialize;

use super::advertise::as_json;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::parse;
use crate::session::Session;
use crate::stdin;
use crate::target::Target;

/// Sends a message to a service and prints its reply
///
/// Without TYPE the message goes to the service's handler of plain values or, if it has none and one message type only,
/// to that.
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    allow_negative_numbers = true,
    after_help = "\
Examples:
  mz send greeter world
  mz send robot/arm Move '{\"joint\": \"Elbow\", \"degrees\": 30}'
  mz send 192.168.1.7:9000 '[1, 2, 3]' --wait 500ms --json
  mz send printer - < letter.txt
  mz send robot/arm Move '{\"joint\": \"Elbow\", \"degrees\": 30}' --trace"
)]
pub(crate) struct Send {
    /// The service's name, or its ip:port
    name: Target,
    /// The message type; `mz describe NAME` lists them
    #[arg(value_name = "TYPE")]
    message_type: Option<TypeName>,
    /// JSON if it is JSON, else text; - reads it from standard input, in UTF-8 or as Windows writes it
    #[arg(value_name = "MESSAGE")]
    message: String,
    /// Takes MESSAGE as text, whatever it looks like
    #[arg(long)]
    text: bool,
    /// How long to wait for the service and its reply together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
    /// Sends the message as part of a trace, which standard error names: a new one, or that of a W3C traceparent
    #[arg(long, value_name = "TRACEPARENT", num_args = 0..=1, require_equals = true)]
    trace: Option<Option<TraceContext>>,
}

impl Send {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let message = self.message()?;
        let context = self.trace.map(|given| given.unwrap_or_else(trace::begin));
        if let Some(context) = &context {
            output::trace(context, session.out.format());
        }
        let mesh = session.mesh().await?;
        let deadline = Instant::now() + self.wait;
        let service = mesh.discover(&self.name).within(self.wait).await?;
        let started = Instant::now();
        let reply = self.call(&service, message, context, deadline).await?;
        let ms = started.elapsed().as_secs_f64() * 1_000.0;
        session.out.show(&Replied { service: self.name.to_string(), reply, ms }).await
    }

    fn message(&self) -> Result<Value, Failure> {
        let message = if self.message == "-" { stdin::whole()? } else { self.message.clone() };
        Ok(if self.text { Value::from(message) } else { Value::from_text_or_json(&message) })
    }

    async fn call(
        &self,
        service: &ServiceRef,
        message: Value,
        context: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let request = |message| -> Request<Value> {
            let request = service.send(message).timeout(deadline.saturating_duration_since(Instant::now()));
            match context {
                Some(context) => request.trace(context),
                None => request,
            }
        };
        if let Some(message_type) = &self.message_type {
            return Ok(request(message).named(message_type).await?);
        }
        match request(message.clone()).await {
            Err(CallError::Refused { why: Refusal::NoHandler { handles, .. }, .. }) => {
                match handles.as_slice() {
                    [only] => Ok(request(message).named(only).await?),
                    several => Err(self.which(several)),
                }
            }
            result => Ok(result?),
        }
    }

    fn which(&self, types: &[String]) -> Failure {
        let name = &self.name;
        Failure::Refused(match types {
            [] => format!("{name} handles no messages; it may publish news: mz listen {name}"),
            types => format!(
                "{name} handles no plain values; say which type: mz send {name} TYPE MESSAGE, where TYPE is one of {}",
                types.join(", ")
            ),
        })
    }
}

/// The reply.
#[derive(Debug, Serialize)]
struct Replied {
    service: String,
    #[serde(serialize_with = "as_json")]
    reply: Value,
    ms: f64,
}

impl fmt::Display for Replied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reply.as_str() {
            Some(reply) => text(reply).fmt(f),
            None => text(&self.reply.to_string()).fmt(f),
        }
    }
}
