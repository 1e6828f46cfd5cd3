//! `mz publish`: news from a shell, once, repeatedly, or line by line.

mod lines;

use std::fmt;
use std::time::Duration;

use actix::{Actor, Context};
use clap::Args;
use meshzero::{PublishError, Publisher, ServiceName, Topic, Value};
use serde::Serialize;
use tokio::time::{self, MissedTickBehavior};

use self::lines::{LineCounts, LineError};
use super::advertise::{AdvertisedRecord, report_moves};
use super::listen::is_zero;
use super::namesakes::{self, NameCheck};
use crate::failure::Failure;
use crate::message::{self, InvalidMessage, MessageFormat};
use crate::output::FAINT;
use crate::parse;
use crate::session::Session;
use crate::target;

/// The pause between two counts of the subscribers.
const LOOK: Duration = Duration::from_millis(5);

/// Publishes news under a name that it advertises while it runs
///
/// DATA alone is published once and retained for later subscribers, until Ctrl-C. With --rate or --count it is
/// published repeatedly. Without DATA, or when it is -, each line of standard input is published. A line that cannot
/// be sent, because it is too long for a message or broken JSON, is left out, with the reason on standard error, and
/// the exit code is 1 in the end; invalid UTF-8 in a line is replaced.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  mz publish weather temperature 21.5
  mz publish clock tick '{\"beat\": true}' --rate 50
  mz publish weather temperature 21.5 --count 3 --subscribers 1
  tail -f log.txt | mz publish logs line --text"
)]
pub(crate) struct Publish {
    /// Name of the service
    #[arg(value_parser = target::advertised)]
    name: ServiceName,
    /// Topic of the news; subscribers select topics by prefix
    topic: Topic,
    /// JSON if it is JSON, else text; - or nothing reads lines from standard input
    data: Option<String>,
    /// Takes DATA, or each line, as text, even if it looks like JSON
    #[arg(long)]
    text: bool,
    /// Items per second [default with --count: 1]
    #[arg(long, value_name = "N", value_parser = parse::rate)]
    rate: Option<Duration>,
    /// Exits after N items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Waits for N subscribers before the first item
    #[arg(long, value_name = "N", default_value_t = 0)]
    subscribers: usize,
    /// Retains the last item for later subscribers
    #[arg(long)]
    retain: bool,
    /// Exits with code 6 if another program offers a service of this name, as with `mz advertise`
    #[arg(long)]
    fail_if_exists: bool,
    /// Address to listen at: a port, an address, both, or a pattern such as 192.168.*:9000 [default: a free port
    /// everywhere]
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
}

/// The actor behind the name: it handles nothing.
struct PublisherActor;

impl Actor for PublisherActor {
    type Context = Context<Self>;
}

impl Publish {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        // Invalid data is reported before the name is advertised.
        let item = self.data().map(|data| self.value(data)).transpose();
        let item = item.map_err(|error| Failure::Usage(format!("DATA: {error}")))?.unwrap_or_default();
        let mesh = session.mesh().await?;
        if self.fail_if_exists {
            namesakes::ensure_unused(mesh, &self.name).await?;
        }
        let mut advertise = mesh.advertise(&self.name, || PublisherActor).publishes::<Value>(&self.topic);
        if self.retain || self.is_endless() {
            advertise = advertise.retains(&self.topic);
        }
        if let Some(place) = &self.at {
            advertise = advertise.at(place);
        }
        let service = advertise.await?;
        if self.fail_if_exists {
            NameCheck::new(mesh, &self.name).give_way(service.instance()).await?;
        }
        if self.is_endless() {
            session.set_endless();
        }
        session.out.show(&AdvertisedRecord::new(&self.name, service.address())).await?;
        let publisher = service.publisher();
        let publishing = async {
            while publisher.subscribers() < self.subscribers {
                time::sleep(LOOK).await;
            }
            match self.data() {
                None => self.lines(&publisher, session).await,
                Some(_) => self.repeatedly(&publisher, &item).await,
            }
        };
        let told = tokio::select! {
            told = publishing => told?,
            failed = report_moves(&self.name, &service, session) => match failed? {},
            never = NameCheck::new(mesh, &self.name).tell(session) => match never {},
        };
        // Closing waits until subscribers have the published items.
        if let Some(abandoned) = service.close().await {
            return Err(session.report_unfinished(&abandoned));
        }
        session.out.show(&told).await?;
        match told.left_out {
            0 => Ok(()),
            // Each has been reported, and so has their number.
            _ => Err(Failure::LinesLeftOut),
        }
    }

    /// Returns whether it retains or repeats a single item until it is stopped.
    fn is_endless(&self) -> bool {
        self.data().is_some() && self.count.is_none()
    }

    fn data(&self) -> Option<&str> {
        self.data.as_deref().filter(|data| *data != "-")
    }

    fn value(&self, text: &str) -> Result<Value, InvalidMessage> {
        message::parse(text, MessageFormat::chosen(self.text))
    }

    async fn repeatedly(&self, publisher: &Publisher, item: &Value) -> Result<PublishedRecord, Failure> {
        let pause = match (self.rate, self.count) {
            (Some(pause), _) => pause,
            (None, Some(_)) => Duration::from_secs(1),
            (None, None) => {
                publisher.publish(&self.topic, item)?;
                return std::future::pending().await;
            }
        };
        let mut ticks = ticks(pause);
        let mut counts = LineCounts::default();
        while self.count.is_none_or(|count| counts.published < count) {
            ticks.tick().await;
            self.publish(publisher, item).await?;
            counts.published += 1;
        }
        Ok(PublishedRecord::new(counts))
    }

    async fn lines(&self, publisher: &Publisher, session: &Session) -> Result<PublishedRecord, Failure> {
        let mut ticks = self.rate.map(ticks);
        let publish = async |line: &str| {
            let item = self.value(line).map_err(|error| LineError::Line(error.to_string()))?;
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            self.publish(publisher, &item).await.map_err(|error| match error {
                PublishError::Item(error) => LineError::Line(error.to_string()),
                error => LineError::Everything(error.into()),
            })
        };
        let message_bytes = session.mesh().await?.limits().message_bytes;
        let counts = lines::publish(self.count, message_bytes, &session.out.errors, publish).await?;
        Ok(PublishedRecord::new(counts))
    }

    /// Publishes an item. Only lossless subscribers are waited for.
    async fn publish(&self, publisher: &Publisher, item: &Value) -> Result<(), PublishError> {
        match publisher.publish(&self.topic, item) {
            Err(PublishError::Full) => publisher.publish_all(&self.topic, item).await,
            published => published,
        }
    }
}

fn ticks(pause: Duration) -> time::Interval {
    let mut ticks = time::interval(pause);
    // A late tick does not shorten the next pause: a rate is a limit.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The record of the published items.
#[derive(Debug, Serialize)]
struct PublishedRecord {
    event: &'static str,
    published: u64,
    /// Lines of standard input in which characters were replaced.
    #[serde(skip_serializing_if = "is_zero")]
    replaced: u64,
    /// Lines of standard input that were left out.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

impl PublishedRecord {
    fn new(LineCounts { published, replaced, left_out }: LineCounts) -> Self {
        Self { event: "published", published, replaced, left_out }
    }
}

impl fmt::Display for PublishedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, replaced, left_out, .. } = *self;
        write!(f, "{FAINT}published {published}")?;
        if replaced > 0 {
            write!(f, ", {replaced} of them with characters replaced")?;
        }
        if left_out > 0 {
            write!(f, ", left out {left_out}")?;
        }
        write!(f, "{FAINT:#}")
    }
}
