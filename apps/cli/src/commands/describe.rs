//! `mz describe`: the messages and topics of a service.

use std::fmt;
use std::time::Duration;

use clap::Args;
use meshzero::Description;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::output::{FAINT, STRONG, line};
use crate::parse;
use crate::schema::short;
use crate::session::Session;
use crate::target::Target;

/// The longest message and reply shown on one line.
const ON_ONE_LINE: usize = 70;

/// Describes the messages and topics of a service
///
/// Prints a short form for people; with --json the JSON schemas of messages, replies and topics.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz describe robot/arm
  mz describe 192.168.1.7:9000 --json | jq .messages")]
pub(crate) struct Describe {
    /// Name, ip:port or host:port of the service
    name: Target,
    /// Time to wait for the service and its answer together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
}

impl Describe {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh().await?;
        let deadline = Instant::now() + self.wait;
        let service = self.name.discover(mesh, self.wait).await?;
        let described = timeout_at(deadline, service.describe()).await;
        let described = described.map_err(|_| Failure::no_answer(&self.name, self.wait))??;
        session.out.show(&DescriptionRecord(described)).await
    }
}

#[derive(Debug, Serialize)]
struct DescriptionRecord(Description);

impl fmt::Display for DescriptionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { service, messages, topics } = &self.0;
        let name = if service.is_empty() { "a service without a name" } else { service };
        write!(f, "{STRONG}{}{STRONG:#}", line(name))?;
        let names =
            messages.iter().map(|message| &message.name).chain(topics.iter().map(|topic| &topic.topic));
        let width = names.map(|name| line(name).to_string().chars().count()).max().unwrap_or(0);
        for message in messages {
            let (takes, replies) = (short(&message.message), short(&message.reply));
            let name = line(&message.name).to_string();
            let arrow = format!("{FAINT}->{FAINT:#}");
            write!(f, "\n  message  {name:<width$}  {}", line(&takes))?;
            if takes.len() + replies.len() > ON_ONE_LINE {
                write!(f, "\n           {:width$}  {arrow} {}", "", line(&replies))?;
            } else {
                write!(f, " {arrow} {}", line(&replies))?;
            }
        }
        for topic in topics {
            let name = line(&topic.topic).to_string();
            let retained = if topic.retained { "  (the last one is kept)" } else { "" };
            write!(
                f,
                "\n  topic    {name:<width$}  {}{FAINT}{retained}{FAINT:#}",
                line(&short(&topic.item))
            )?;
        }
        if messages.is_empty() && topics.is_empty() {
            write!(f, "\n  {FAINT}handles and publishes nothing{FAINT:#}")?;
        }
        Ok(())
    }
}
