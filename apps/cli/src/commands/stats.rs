//! `mz stats`: the counts of the programs behind a service.

mod tables;

use std::time::Duration;

use clap::Args;
use meshzero::Instance;
use tokio::time::{Instant as Time, timeout_at};

use super::discover::find;
use crate::failure::Failure;
use crate::output::{Format, text};
use crate::parse;
use crate::render;
use crate::session::Session;
use crate::target::Target;

/// Tells what the programs behind a service have counted
///
/// Everything that was refused, dropped, tried again, restarted or resumed, and how each link is now, of every program that
/// offers the service. For people in short, as tables; with --json all of it, one object for each program; with --prometheus
/// all of it as text for Prometheus (OpenMetrics 1.0).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz stats robot/arm
  mz stats robot/arm --prometheus
  mz stats robot/arm --json | jq '.services[] | {service, messages, restarts}'")]
pub(crate) struct Stats {
    /// The service's name, its ip:port or its host:port
    name: Target,
    /// How long to wait for it and its answer together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
    /// Prints it as text for Prometheus
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
}

impl Stats {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh().await?;
        let deadline = Time::now() + self.wait;
        let (instances, _) = find(mesh, &self.name, self.wait).await?;
        let mut nodes: Vec<meshzero::Stats> = Vec::new();
        for address in instances.iter().filter_map(Instance::address) {
            let left = deadline.saturating_duration_since(Time::now());
            let service = mesh.discover(render::address(address)).within(left).await?;
            let asked = timeout_at(deadline, service.ask_stats()).await;
            let stats = asked.map_err(|_| Failure::no_answer(&self.name, self.wait))??;
            // A program may offer the service more than once.
            if nodes.iter().all(|node| node.node != stats.node) {
                nodes.push(stats);
            }
        }
        match session.out.format() {
            Format::Json => {
                for node in &nodes {
                    session.out.object(node).await?;
                }
                Ok(())
            }
            Format::Human if self.prometheus => {
                session.out.line(text(meshzero::prometheus::text(nodes).trim_end()).to_string()).await
            }
            Format::Human => session.out.line(tables::of(&nodes).to_string()).await,
        }
    }
}
