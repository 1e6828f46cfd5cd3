//! `mz advertise`: a service that replies to any message.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use clap::Args;
use meshzero::{Call, Service, ServiceName, Value, trace};
use serde::{Serialize, Serializer};
use tokio::time;

use super::exec::{Exec, ExecError, Program};
use super::namesakes::{self, NameCheck};
use crate::failure::Failure;
use crate::message::MessageFormat;
use crate::output::{BAD, FAINT, GOOD, Output, line, message};
use crate::parse;
use crate::render;
use crate::session::Session;
use crate::target;
use crate::template::Template;

/// The interval between two checks of the service's address.
const LOOK: Duration = Duration::from_secs(1);

/// Advertises a service, prints incoming messages, and replies
///
/// Without --reply, --echo or --exec the reply is null. Runs until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz advertise printer
  mz advertise greeter --reply 'Hello, {}!'
  mz advertise sensor --reply '{\"you said\": {}, \"celsius\": 21.5}'
  mz advertise counter --exec 'wc -w' --at 9000")]
pub(crate) struct Advertise {
    /// Name of the service, such as robot/arm
    #[arg(value_parser = target::advertised)]
    name: ServiceName,
    #[command(flatten)]
    answer: ReplyArgs,
    /// Takes TEMPLATE, and the output of CMD, as text, even if it looks like JSON
    #[arg(long)]
    text: bool,
    /// Limit of concurrent programs of --exec; further messages wait, and are not run if their callers give up
    /// meanwhile
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    jobs: u16,
    /// Time limit of a program of --exec
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::limit)]
    limit: Duration,
    /// Exits with code 6 if another program offers a service of this name: if one is found within a second, or is
    /// started at the same time and has the smaller instance id
    #[arg(long)]
    fail_if_exists: bool,
    /// Address to listen at: a port, an address, both, or a pattern such as 192.168.*:9000 [default: a free port
    /// everywhere]
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct ReplyArgs {
    /// Replies with TEMPLATE, as JSON if it is JSON, else as text; {} is the message
    #[arg(long, value_name = "TEMPLATE")]
    reply: Option<String>,
    /// Replies with the message itself
    #[arg(long)]
    echo: bool,
    /// Runs CMD for each message and replies with its output; if it fails, the caller gets an error. The message is on
    /// its standard input, and in place of {} among its arguments (there is no shell, so a message is never a
    /// command). If the caller gives up, by Ctrl-C or by its timeout, the program is ended as after --limit:
    /// terminated, and killed half a second later
    #[arg(long, value_name = "CMD", value_parser = crate::template::split_words)]
    // clap takes a plain `Vec` for an option that may be repeated; this is one command of several words.
    exec: Option<std::vec::Vec<String>>,
}

/// The way to answer a message.
enum Reply {
    Null,
    Echo,
    Template(Template),
    Exec(Exec),
}

/// The actor behind the service.
struct Responder {
    reply: Arc<Reply>,
    out: Output,
}

impl Actor for Responder {
    type Context = Context<Self>;
}

impl Handler<Call<Value>> for Responder {
    type Result = ();

    fn handle(&mut self, call: Call<Value>, _: &mut Context<Self>) {
        let (reply, out) = (Arc::clone(&self.reply), self.out.clone());
        let trace = call.trace();
        let work = async move {
            let outcome = reply.to(&call).await;
            let was_not_run = matches!(outcome, Err(ExecError::NotRun));
            let outcome = match outcome {
                // It has been reported, with all other unfinished messages.
                Err(ExecError::Closing) => return,
                Err(ExecError::NotRun) => Err("the caller gave up before the program was run".to_owned()),
                Err(ExecError::Ended) => Err("the caller gave up, and the program was ended".to_owned()),
                _ if call.is_abandoned() => Err("the caller gave up".to_owned()),
                Ok(reply) => Ok(reply),
                Err(ExecError::Failed(failure)) => Err(failure),
            };
            // A paused terminal delays no reply.
            out.offer(&MessageRecord::new(call.message(), &outcome));
            match outcome {
                Ok(reply) => call.reply(&reply),
                Err(_) if was_not_run => call.expire(),
                Err(problem) => call.fail(problem),
            }
        };
        match trace {
            Some(context) => actix::spawn(trace::instrument(context, work)),
            None => actix::spawn(work),
        };
    }
}

impl Reply {
    async fn to(&self, call: &Call<Value>) -> Result<Value, ExecError> {
        let message = call.message();
        Ok(match self {
            Self::Null => Value::Null,
            Self::Echo => message.clone(),
            Self::Template(template) => template.fill(message),
            Self::Exec(exec) => return exec.run(call).await,
        })
    }
}

impl Advertise {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let message_format = MessageFormat::chosen(self.text);
        let reply = Arc::new(match &self.answer {
            ReplyArgs { reply: Some(template), .. } => {
                let template = Template::new(template, message_format);
                Reply::Template(template.map_err(|error| Failure::Usage(format!("--reply: {error}")))?)
            }
            ReplyArgs { exec: Some(words), .. } => {
                let program =
                    Program { words: words.clone(), jobs: self.jobs, limit: self.limit, message_format };
                let exec = Exec::new(program, session.programs.clone(), session.out.errors.clone());
                exec.warn();
                Reply::Exec(exec)
            }
            ReplyArgs { echo: true, .. } => Reply::Echo,
            _ => Reply::Null,
        });
        let out = session.out.clone();
        let responder = move || Responder { reply: Arc::clone(&reply), out: out.clone() };
        let mesh = session.mesh().await?;
        if self.fail_if_exists {
            namesakes::ensure_unused(mesh, &self.name).await?;
        }
        let mut advertise = mesh.advertise(&self.name, responder).handles_calls::<Value>();
        if let Some(place) = &self.at {
            advertise = advertise.at(place);
        }
        let service = advertise.await?;
        if self.fail_if_exists {
            NameCheck::new(mesh, &self.name).give_way(service.instance()).await?;
        }
        session.set_endless();
        session.out.show(&AdvertisedRecord::new(&self.name, service.address())).await?;
        tokio::select! {
            failed = report_moves(&self.name, &service, session) => match failed? {},
            never = NameCheck::new(mesh, &self.name).tell(session) => match never {},
        }
    }
}

/// Prints the address of a service whenever it changes.
pub(crate) async fn report_moves<A>(
    name: &ServiceName,
    service: &Service<A>,
    session: &Session,
) -> Result<Infallible, Failure>
where
    A: Actor<Context = Context<A>>,
{
    let mut shown = service.address();
    loop {
        time::sleep(LOOK).await;
        // A disconnected cable is not a move.
        if let Some(now) = service.address_now()
            && now != shown
        {
            shown = now;
            session
                .out
                .show(&AdvertisedRecord { event: "moved", ..AdvertisedRecord::new(name, now) })
                .await?;
        }
    }
}

/// The record of an advertised service.
#[derive(Debug, Serialize)]
pub(crate) struct AdvertisedRecord {
    event: &'static str,
    service: ServiceName,
    address: String,
}

impl AdvertisedRecord {
    pub(crate) fn new(name: &ServiceName, address: std::net::SocketAddr) -> Self {
        let address = match address.ip().is_unspecified() {
            // A pattern, as --at takes it.
            true => format!("*:{}", address.port()),
            false => render::address(address),
        };
        Self { event: "advertised", service: name.clone(), address }
    }
}

impl fmt::Display for AdvertisedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, address, .. } = self;
        match self.event {
            "moved" => write!(f, "{GOOD}{}{GOOD:#} is now at {address}", line(service)),
            _ => {
                write!(f, "{GOOD}{}{GOOD:#} is at {address}  {FAINT}(Ctrl-C to stop){FAINT:#}", line(service))
            }
        }
    }
}

/// The record of a message with its reply or error.
#[derive(Debug, Serialize)]
struct MessageRecord<'a> {
    event: &'static str,
    #[serde(serialize_with = "as_json")]
    message: &'a Value,
    #[serde(serialize_with = "as_json_if_any", skip_serializing_if = "Option::is_none")]
    reply: Option<&'a Value>,
    /// The reason for the missing reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> MessageRecord<'a> {
    fn new(message: &'a Value, outcome: &'a Result<Value, String>) -> Self {
        let (reply, error) = (outcome.as_ref().ok(), outcome.as_ref().err().map(String::as_str));
        Self { event: "message", message, reply, error }
    }
}

impl fmt::Display for MessageRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&message(self.message))?;
        match (self.reply, self.error) {
            (_, Some(error)) => write!(f, "  {FAINT}->{FAINT:#}  {BAD}no reply:{BAD:#} {}", line(error)),
            (Some(reply), _) if !reply.is_null() => write!(f, "  {FAINT}->{FAINT:#}  {}", message(reply)),
            _ => Ok(()),
        }
    }
}

fn as_json_if_any<S: Serializer>(value: &Option<&Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Value::to_json).serialize(serializer)
}

/// Serialises a value as JSON, where keys are texts.
pub(crate) fn as_json<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_json().serialize(serializer)
}
