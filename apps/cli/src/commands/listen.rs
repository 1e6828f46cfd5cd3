//! `mz listen`: subscribes to the news of a service.

use std::fmt;
use std::time::Duration;

use clap::Args;
use meshzero::{GapReason, News, NewsError, ServiceRef, Subscribe, Topic, Value};
use serde::Serialize;

use super::advertise::as_json;
use crate::failure::Failure;
use crate::output::{FAINT, Format, Output, line, message};
use crate::parse;
use crate::session::Session;
use crate::target::Target;

/// Prints the news of a service
///
/// Follows the name from one instance to the next, until Ctrl-C or --count. Missed items are reported on standard
/// error with the reason; with --json as separate objects, and in the fields `skipped` and `thinned`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz listen weather
  mz listen weather temperature --count 1
  mz listen robot/arm pose --latest --json
  mz listen robot/arm pose --rate 5
  mz listen chat room/ --last 10
  mz listen shop order --lossless")]
pub(crate) struct Listen {
    /// Name, ip:port or host:port of the service
    name: Target,
    /// Prefix of the topics to print
    #[arg(default_value = "", hide_default_value = true)]
    prefix: Topic,
    /// Exits after N items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Prints the newest item of each topic; older ones may be left out
    #[arg(long, conflicts_with_all = ["last", "lossless"])]
    latest: bool,
    /// Prints the newest N items of each topic; older ones may be left out
    #[arg(long, value_name = "N", conflicts_with = "lossless", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Misses nothing: the publisher waits when its backlog for this listener is full
    #[arg(long)]
    lossless: bool,
    /// Prints at most N items of each topic per second, the newest of each period
    #[arg(long, value_name = "N", value_parser = parse::rate)]
    rate: Option<Duration>,
    /// Items that the publisher keeps while this listener is busy [default: 1024, with --latest and --last the limit
    /// of the publisher]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Time to wait for the service to appear
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
}

impl Listen {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let service = self.name.discover(session.mesh().await?, self.wait).await?;
        let mut news = self.subscribe(&service).await?;
        if self.count.is_none() {
            session.set_endless();
        }
        let (mut heard, mut left_out) = (0, OmittedCounts::new(&session.out));
        while self.count.is_none_or(|count| heard < count)
            && let Some(item) = news.next().await
        {
            match item {
                Ok(item) => {
                    left_out.add(&item);
                    session.out.show(&ItemRecord::new(item)).await?;
                    heard += 1;
                }
                Err(trouble) => match session.out.format() {
                    Format::Json => session.out.object(&ErrorRecord::new(&trouble)).await?,
                    Format::Human => session.out.errors.remark(&trouble.to_string()),
                },
            }
        }
        Ok(())
    }

    fn subscribe(&self, service: &ServiceRef) -> Subscribe<Value> {
        let mut subscribe = service.subscribe::<Value>(&self.prefix);
        if self.lossless {
            subscribe = subscribe.wait();
        } else if let Some(items) = self.last.or(self.latest.then_some(1)) {
            subscribe = subscribe.last(items);
        }
        if let Some(every) = self.rate {
            subscribe = subscribe.at_most(1.0 / every.as_secs_f64());
        }
        if let Some(items) = self.keep {
            subscribe = subscribe.keep(items);
        }
        subscribe
    }
}

/// The counts of items left out on request. They are printed for people when this is dropped, which covers a stopped
/// command too; programs get them with each item.
struct OmittedCounts<'a> {
    out: &'a Output,
    skipped: u64,
    thinned: u64,
}

impl<'a> OmittedCounts<'a> {
    fn new(out: &'a Output) -> Self {
        Self { out, skipped: 0, thinned: 0 }
    }

    /// Adds the items left out before `item`.
    fn add(&mut self, item: &News<Value>) {
        self.skipped += item.skipped;
        self.thinned += item.thinned;
    }
}

impl Drop for OmittedCounts<'_> {
    fn drop(&mut self) {
        let counts = [(self.skipped, GapReason::Superseded), (self.thinned, GapReason::Rate)];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, reason)| format!("{count} left out: {reason}")).collect();
        if self.out.format() == Format::Human && !counts.is_empty() {
            self.out.errors.remark(&counts.join(", "));
        }
    }
}

/// The record of an item.
#[derive(Debug, Serialize)]
struct ItemRecord {
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
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ItemRecord {
    fn new(news: News<Value>) -> Self {
        let News { topic, item, from, skipped, thinned } = news;
        Self { event: "news", topic: topic.to_string(), item, from: from.to_string(), skipped, thinned }
    }
}

impl fmt::Display for ItemRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FAINT}{}{FAINT:#}  {}", line(&self.topic), message(&self.item))
    }
}

/// The record of an error in place of an item.
#[derive(Debug, Serialize)]
struct ErrorRecord {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    problem: String,
}

impl ErrorRecord {
    fn new(error: &NewsError) -> Self {
        let (event, missed) = match error {
            NewsError::Missed { count, reason, .. } => ("missed", Some((*count, reason.as_str()))),
            NewsError::Undecodable { .. } => ("undecodable", None),
            NewsError::Lost { .. } => ("lost", None),
            _ => ("trouble", None),
        };
        let (count, reason) = missed.unzip();
        Self { event, count, reason, problem: error.to_string() }
    }
}
