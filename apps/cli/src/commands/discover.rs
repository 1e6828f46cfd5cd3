//! `mz discover`: where a service is.

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

/// How long other instances of the name are given to answer, once the first has: a hundred times what they need.
const OTHERS: Duration = Duration::from_millis(30);
/// How long other addresses of an instance on this computer are given to answer.
const OTHER_ADDRESSES: Duration = Duration::from_millis(300);

/// Prints the addresses of a service
///
/// Every address printed has answered just now. If nobody is found in time, the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz discover robot/arm
  mz discover robot/arm --wait 30s && echo it is there
  mz discover 192.168.1.7:9000")]
pub(crate) struct Discover {
    /// The service's name, its ip:port or its host:port
    name: Target,
    /// How long to wait for it
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

/// The instances of a service, one at least, by their addresses, and how long it took to find the first.
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
        return Err(Failure::Unavailable(format!("{name} was there, and is gone again")));
    }
    Ok((instances, took))
}

/// Leaves an instance the address at which it was reached. Where it is on this computer, that may be of use here only, and the
/// others are asked, because people pass on what they are shown.
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

/// An instance of a service, for programs.
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

/// An instance that was looked for.
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
