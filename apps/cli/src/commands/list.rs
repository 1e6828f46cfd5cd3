//! `mz list`: the services of a mesh, once or continuously.

use std::fmt;
use std::time::Duration;

use clap::Args;
use meshzero::diagnosis::UnreachableEndpoint;
use meshzero::{Instance, Mesh, ServiceName, WatchEvent};
use serde::Serialize;
use tokio::time::{self, MissedTickBehavior};

use super::discover::InstanceRecord;
use crate::failure::Failure;
use crate::not_found::NotFound;
use crate::output::{BAD, FAINT, Format, GOOD, Table, line};
use crate::parse;
use crate::session::Session;

/// The interval between two checks for hidden services.
const LOOK: Duration = Duration::from_secs(1);

/// The limit of unreachable services that are named.
const SHOWN: usize = 4;

/// Lists the services of the mesh
///
/// With --watch, goes on to report services that appear, move and disappear, until Ctrl-C. Otherwise the exit code is
/// 1 if the list is empty.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz list
  mz list --group robot
  mz list --watch --json")]
pub(crate) struct List {
    /// Goes on to report services that appear, move and disappear
    #[arg(long)]
    watch: bool,
    /// Lists only the members of a group: robot lists robot/arm and robot/leg
    #[arg(long, value_name = "G")]
    group: Option<String>,
    /// Separator between group and member
    #[arg(long, value_name = "TEXT", default_value = "/")]
    separator: String,
    /// Time to wait for the first service
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse::duration)]
    wait: Duration,
}

impl List {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let prefix = self.prefix();
        if !prefix.is_empty() {
            ServiceName::new(prefix).map_err(|error| Failure::Usage(format!("--group: {error}")))?;
        }
        let mesh = session.mesh().await?;
        if self.watch { self.follow(mesh, session).await } else { self.once(mesh, session).await }
    }

    async fn once(&self, mesh: &Mesh, session: &Session) -> Result<(), Failure> {
        let mut instances = match &self.group {
            Some(group) => mesh.discover_group(group).separator(&self.separator).within(self.wait).await,
            None => mesh.discover_all().within(self.wait).await,
        };
        let prefix = self.prefix();
        if instances.is_empty() {
            let absence = NotFound::of_list(mesh.diagnose(&prefix).await, self.wait);
            return Err(Failure::NotFound(Box::new(absence)));
        }
        let answering = mesh.reachability(&prefix).await;
        tell(&answering.unreachable, session);
        if let Some(hidden) = &answering.hidden {
            session.out.errors.hidden(hidden);
        }
        instances.sort_by(|a, b| (&a.service, a.address()).cmp(&(&b.service, b.address())));
        let entry = |instance: &Instance| {
            let answers = answering.answers(instance.id);
            ListRecord { listed: InstanceRecord::new(instance), answers }
        };
        let listed: Vec<ListRecord> = instances.iter().map(entry).collect();
        match session.out.format() {
            Format::Json => {
                for instance in &listed {
                    session.out.object(instance).await?;
                }
                Ok(())
            }
            Format::Human => session.out.line(table(&listed).to_string()).await,
        }
    }

    /// Returns the prefix of the names that are listed.
    fn prefix(&self) -> String {
        self.group.as_ref().map(|group| format!("{group}{}", self.separator)).unwrap_or_default()
    }

    async fn follow(&self, mesh: &Mesh, session: &Session) -> Result<(), Failure> {
        let prefix = self.prefix();
        let mut watch = mesh.watch(&prefix);
        session.set_endless();
        let (mut looks, mut unlisted) = (time::interval(LOOK), HiddenCount::default());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                _ = looks.tick() => {
                    let hidden = mesh.hidden(&prefix).await;
                    let services = hidden.as_ref().map_or(0, |hidden| hidden.services);
                    if unlisted.is_news(services) {
                        session.out.errors.hidden_now(hidden.as_ref());
                    }
                    continue;
                }
                event = watch.next() => event,
            };
            let Some(event) = event else { break };
            let change = match event {
                WatchEvent::Up(instance) => ChangeRecord::new("up", &instance, None),
                WatchEvent::Moved(instance) => ChangeRecord::new("moved", &instance, None),
                WatchEvent::Down { instance, reason } => {
                    ChangeRecord::new("down", &instance, Some(reason.to_string()))
                }
            };
            session.out.show(&change).await?;
        }
        Ok(())
    }
}

/// The number of services that a limit hides from a watch. It is reported once it has settled, and when it changes.
#[derive(Debug, Default)]
struct HiddenCount {
    before: usize,
    said: usize,
}

impl HiddenCount {
    /// Returns whether the number of hidden `services` is to be reported now.
    fn is_news(&mut self, services: usize) -> bool {
        let has_settled = std::mem::replace(&mut self.before, services) == services;
        has_settled && std::mem::replace(&mut self.said, services) != services
    }
}

/// Reports services that are announced and do not answer: without them they would seem not to exist.
fn tell(unreachable: &[UnreachableEndpoint], session: &Session) {
    for silent in unreachable.iter().take(SHOWN) {
        session.out.errors.unreachable(silent);
    }
    let more = unreachable.len().saturating_sub(SHOWN);
    if more > 0 && session.out.format() == Format::Human {
        session.out.errors.remark(&format!("and {more} more that do not answer"));
    }
}

/// The record of a listed service.
#[derive(Debug, Serialize)]
struct ListRecord {
    #[serde(flatten)]
    listed: InstanceRecord,
    /// True if it has answered at one of its addresses, or has a link; null if it was not asked.
    answers: Option<bool>,
}

fn table(listed: &[ListRecord]) -> Table<3> {
    let mut table = Table::new(["SERVICE", "ADDRESS", "NODE"]);
    for ListRecord { listed: InstanceRecord { service, address, node, .. }, answers } in listed {
        let node = node.get(..8).unwrap_or(node);
        let node = match answers {
            Some(true) => node.to_owned(),
            Some(false) => format!("{node}  does not answer"),
            None => format!("{node}  was not asked"),
        };
        table.row([service, address.as_deref().unwrap_or("?"), &node]);
    }
    table
}

/// The record of a service that appeared, moved or disappeared.
#[derive(Debug, Serialize)]
struct ChangeRecord {
    event: &'static str,
    #[serde(flatten)]
    instance: InstanceRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ChangeRecord {
    fn new(event: &'static str, instance: &Instance, reason: Option<String>) -> Self {
        Self { event, instance: InstanceRecord::new(instance), reason }
    }
}

impl fmt::Display for ChangeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = match self.event {
            "up" => GOOD,
            "down" => BAD,
            _ => FAINT,
        };
        let address = self.instance.address.as_deref().unwrap_or("?");
        write!(f, "{style}{:<5}{style:#}  {:<21}  {}", self.event, address, line(&self.instance.service))?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, "  {FAINT}{}{FAINT:#}", line(reason)))
    }
}
