//! `mz stats`: the statistics of the programs behind a service.

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

/// Prints the statistics of the programs behind a service
///
/// Counts of everything refused, dropped, retried, restarted or resumed, and the state of each link, for every program
/// that offers the service. Prints tables for people; with --json everything, one object per program; with
/// --prometheus everything as text for Prometheus (OpenMetrics 1.0).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz stats robot/arm
  mz stats robot/arm --prometheus
  mz stats robot/arm --json | jq '.services[] | {service, messages, restarts}'")]
pub(crate) struct Stats {
    /// Name, ip:port or host:port of the service
    name: Target,
    /// Time to wait for the service and its answer together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
    /// Prints text for Prometheus
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
