//! `mz listen`: the news of a service.

use std::fmt;
use std::time::Duration;

use clap::Args;
use meshzero::{News, NewsError, Topic, Value};
use serde::Serialize;

use super::advertise::as_json;
use crate::failure::Failure;
use crate::output::{FAINT, Format, line, message, remark};
use crate::parse;
use crate::session::Session;
use crate::target::Target;

/// Prints the news of a service
///
/// It goes on with whoever advertises the name, until Ctrl-C or so many items. Items that were missed are counted on
/// standard error, or as objects of their own with --json.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz listen weather
  mz listen weather temperature --count 1
  mz listen robot/arm pose --latest --json")]
pub(crate) struct Listen {
    /// The service's name, or its ip:port
    name: Target,
    /// Only topics that begin like this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: Topic,
    /// Ends after so many items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Only the newest item of each topic matters; older ones may be left out
    #[arg(long)]
    latest: bool,
    /// How long to wait for the service to appear
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
}

impl Listen {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let service = session.mesh().await?.discover(&self.name).within(self.wait).await?;
        let mut subscribe = service.subscribe::<Value>(&self.prefix);
        if self.latest {
            subscribe = subscribe.latest();
        }
        let mut news = subscribe.await?;
        if self.count.is_none() {
            session.begin_endless();
        }
        let mut heard = 0;
        while self.count.is_none_or(|count| heard < count)
            && let Some(item) = news.next().await
        {
            match item {
                Ok(item) => {
                    session.out.show(&Heard::new(item)).await?;
                    heard += 1;
                }
                Err(trouble) => match session.out.format() {
                    Format::Json => session.out.object(&Trouble::new(&trouble)).await?,
                    Format::People => remark(&trouble.to_string()),
                },
            }
        }
        Ok(())
    }
}

/// One item.
#[derive(Debug, Serialize)]
struct Heard {
    event: &'static str,
    topic: String,
    #[serde(serialize_with = "as_json")]
    item: Value,
    from: String,
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thinned: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Heard {
    fn new(news: News<Value>) -> Self {
        let News { topic, item, from, skipped, thinned } = news;
        Self { event: "news", topic: topic.to_string(), item, from: from.to_string(), skipped, thinned }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FAINT}{}{FAINT:#}  {}", line(&self.topic), message(&self.item))
    }
}

/// Something that came in place of an item.
#[derive(Debug, Serialize)]
struct Trouble {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    problem: String,
}

impl Trouble {
    fn new(error: &NewsError) -> Self {
        let (event, count) = match error {
            NewsError::Missed { count, .. } => ("missed", Some(*count)),
            NewsError::Undecodable { .. } => ("undecodable", None),
            NewsError::Lost { .. } => ("lost", None),
            _ => ("trouble", None),
        };
        Self { event, count, problem: error.to_string() }
    }
}
