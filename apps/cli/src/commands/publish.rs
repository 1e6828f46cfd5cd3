//! `mz publish`: news from a shell, once, again and again, or line by line.

use std::time::Duration;

use actix::{Actor, Context};
use clap::Args;
use meshzero::{PublishError, Publisher, ServiceName, Topic, Value};
use serde::Serialize;
use tokio::time::{self, MissedTickBehavior};

use super::advertise::{Advertised, follow};
use crate::failure::Failure;
use crate::output::{FAINT, Format, abandon};
use crate::parse;
use crate::session::Session;
use crate::stdin;

/// How often is looked whether enough subscribe.
const LOOK: Duration = Duration::from_millis(5);

/// Publishes news under a name that it advertises while it runs
///
/// DATA alone is published once and kept for those who listen later, until Ctrl-C. With --rate or --count it is
/// published again and again. Without DATA, or when it is -, each line of standard input is published.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  mz publish weather temperature 21.5
  mz publish clock tick '{\"beat\": true}' --rate 50
  mz publish weather temperature 21.5 --count 3 --subscribers 1
  tail -f log.txt | mz publish logs line"
)]
pub(crate) struct Publish {
    /// The name that others find it by
    name: ServiceName,
    /// What the news are about; subscribers name its beginning
    topic: Topic,
    /// JSON if it is JSON, else text; - or nothing reads lines from standard input
    data: Option<String>,
    /// Takes DATA, or each line, as text, whatever it looks like
    #[arg(long)]
    text: bool,
    /// How often a second [default with --count: 1]
    #[arg(long, value_name = "N", value_parser = parse::rate)]
    rate: Option<Duration>,
    /// Ends after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Begins only when so many subscribe
    #[arg(long, value_name = "N", default_value_t = 0)]
    subscribers: usize,
    /// Keeps the last item for those who listen later
    #[arg(long)]
    retain: bool,
    /// Where it listens: a port, an address, both, or a pattern such as 192.168.*:9000 [default: a free port everywhere]
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
}

/// The actor behind the name: it handles nothing.
struct Silent;

impl Actor for Silent {
    type Context = Context<Self>;
}

impl Publish {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mut advertise =
            session.mesh().await?.advertise(&self.name, || Silent).publishes::<Value>(&self.topic);
        if self.retain || self.is_endless() {
            advertise = advertise.retains(&self.topic);
        }
        if let Some(place) = &self.at {
            advertise = advertise.at(place);
        }
        let service = advertise.await?;
        if self.is_endless() {
            session.begin_endless();
        }
        session.out.show(&Advertised::new(&self.name, service.address())).await?;
        let publisher = service.publisher();
        let publishing = async {
            while publisher.subscribers() < self.subscribers {
                time::sleep(LOOK).await;
            }
            match self.data() {
                None => self.lines(&publisher).await,
                Some(data) => self.repeatedly(&publisher, &self.value(data)).await,
            }
        };
        let published = tokio::select! {
            published = publishing => published?,
            failed = follow(&self.name, &service, session) => match failed? {},
        };
        // Closing waits until subscribers have what was published.
        if let Some(abandoned) = service.close().await {
            abandon(&abandoned, session.out.format());
        }
        match session.out.format() {
            Format::Json => session.out.object(&Published { event: "published", published }).await,
            Format::People => session.out.line(format!("{FAINT}published {published}{FAINT:#}")).await,
        }
    }

    /// Whether it keeps a single item until it is stopped, or repeats it without an end.
    fn is_endless(&self) -> bool {
        self.data().is_some() && self.count.is_none()
    }

    fn data(&self) -> Option<&str> {
        self.data.as_deref().filter(|data| *data != "-")
    }

    fn value(&self, text: &str) -> Value {
        if self.text { Value::from(text) } else { Value::from_text_or_json(text) }
    }

    async fn repeatedly(&self, publisher: &Publisher, item: &Value) -> Result<u64, Failure> {
        let pause = match (self.rate, self.count) {
            (Some(pause), _) => pause,
            (None, Some(_)) => Duration::from_secs(1),
            (None, None) => {
                publisher.publish(&self.topic, item)?;
                return std::future::pending().await;
            }
        };
        let mut ticks = ticks(pause);
        let mut published = 0;
        while self.count.is_none_or(|count| published < count) {
            ticks.tick().await;
            self.publish(publisher, item).await?;
            published += 1;
        }
        Ok(published)
    }

    /// Publishes an item. Nobody is waited for but a listener that insists on every item.
    async fn publish(&self, publisher: &Publisher, item: &Value) -> Result<(), PublishError> {
        match publisher.publish(&self.topic, item) {
            Err(PublishError::Full) => publisher.publish_all(&self.topic, item).await,
            published => published,
        }
    }

    async fn lines(&self, publisher: &Publisher) -> Result<u64, Failure> {
        let mut lines = stdin::lines();
        let mut ticks = self.rate.map(ticks);
        let mut published = 0;
        while self.count.is_none_or(|count| published < count)
            && let Some(line) = lines.recv().await
        {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            self.publish(publisher, &self.value(&line?)).await?;
            published += 1;
        }
        Ok(published)
    }
}

fn ticks(pause: Duration) -> time::Interval {
    let mut ticks = time::interval(pause);
    // A late tick does not shorten the next pause: a rate is a limit.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How many items were published.
#[derive(Debug, Serialize)]
struct Published {
    event: &'static str,
    published: u64,
}
