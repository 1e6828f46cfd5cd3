//! `mz discover`: the addresses of a service.

use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use meshzero::{Instance, Mesh};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time;

use crate::failure::Failure;
use crate::output::line;
use crate::parse;
use crate::render::{self, millis};
use crate::session::Session;
use crate::target::Target;

/// The time for other instances of the name to answer after the first: a hundred times the usual.
const OTHERS: Duration = Duration::from_millis(30);
/// The timeout of the other addresses of an instance on this host.
const OTHER_ADDRESSES: Duration = Duration::from_millis(300);

/// Prints the addresses of a service
///
/// Every printed address has just answered. If no instance is found in time, the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz discover robot/arm
  mz discover robot/arm --wait 30s && echo it is there
  mz discover 192.168.1.7:9000")]
pub(crate) struct Discover {
    /// Name, ip:port or host:port of the service
    name: Target,
    /// Time to wait for the service
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
}

impl Discover {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh().await?;
        let (instances, took) = find(mesh, &self.name, self.wait).await?;
        let ms = millis(took);
        for mut instance in instances {
            keep_those_that_answer(mesh, &mut instance).await;
            session.out.show(&DiscoverRecord { listed: InstanceRecord::new(&instance), ms }).await?;
        }
        Ok(())
    }
}

/// Finds the instances of a service, at least one, sorted by address. Returns the time until the first as well.
pub(crate) async fn find(
    mesh: &Mesh,
    name: &Target,
    wait: Duration,
) -> Result<(Vec<Instance>, Duration), Failure> {
    let started = Instant::now();
    let service = name.discover(mesh, wait).await?;
    let took = started.elapsed();
    if name.is_name_of(&service) {
        time::sleep(OTHERS).await;
    }
    let mut instances = service.instances();
    instances.sort_by_key(Instance::address);
    if instances.is_empty() {
        return Err(Failure::Unavailable(format!("{name} was found, and has disappeared")));
    }
    Ok((instances, took))
}

/// Keeps the address at which an instance was reached, and those that answer. An instance on this host may have been
/// reached at an address of use here only, but people pass on what they see.
async fn keep_those_that_answer(mesh: &Mesh, instance: &mut Instance) {
    let is_here = instance.addresses.iter().any(|address| address.ip().is_loopback());
    let others = instance.addresses.split_off(instance.addresses.len().min(1));
    if !is_here {
        return;
    }
    let mut asking = JoinSet::new();
    for (place, address) in others.into_iter().filter(|address| !address.ip().is_loopback()).enumerate() {
        let mesh = mesh.clone();
        asking.spawn(async move {
            let found = mesh.discover(address.to_string()).within(OTHER_ADDRESSES).await.ok()?;
            found.instances().first().map(|instance| (place, address, instance.id))
        });
    }
    let mut answered: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    answered.retain(|(_, _, id)| *id == instance.id);
    answered.sort_unstable();
    instance.addresses.splice(0..0, answered.into_iter().map(|(_, address, _)| address));
}

/// The record of an instance, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct InstanceRecord {
    pub(crate) service: String,
    pub(crate) address: Option<String>,
    addresses: Vec<String>,
    pub(crate) node: String,
    instance: String,
}

impl InstanceRecord {
    pub(crate) fn new(instance: &Instance) -> Self {
        Self {
            service: instance.service.to_string(),
            address: instance.address().map(render::address),
            addresses: instance.addresses.iter().copied().map(render::address).collect(),
            node: instance.node.to_string(),
            instance: instance.id.to_string(),
        }
    }
}

/// The record of a discovered instance.
#[derive(Debug, Serialize)]
struct DiscoverRecord {
    #[serde(flatten)]
    listed: InstanceRecord,
    ms: f64,
}

impl fmt::Display for DiscoverRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(self.listed.address.as_deref().unwrap_or("?")).fmt(f)
    }
}
