//! `mz stats`: what the programs behind a service have counted.

use std::time::Duration;

use clap::Args;
use meshzero::Instance;

use super::discover::find;
use crate::failure::Failure;
use crate::output::{Format, text};
use crate::parse;
use crate::session::Session;
use crate::target::Target;

/// Tells what the programs behind a service have counted
///
/// Everything that was refused, dropped, tried again, made anew or resumed, and how each link is now, of every program that
/// offers the service. As text for Prometheus (OpenMetrics 1.0); with --json one object for each program.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz stats robot/arm
  mz stats robot/arm --json | jq '.services[] | {service, messages, restarts}'")]
pub(crate) struct Stats {
    /// The service's name, or its ip:port
    name: Target,
    /// How long to wait for it
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    wait: Duration,
}

impl Stats {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh().await?;
        let (instances, _) = find(mesh, &self.name, self.wait).await?;
        let mut nodes: Vec<meshzero::Stats> = Vec::new();
        for address in instances.iter().filter_map(Instance::address) {
            let stats = mesh.discover(address.to_string()).within(self.wait).await?.ask_stats().await?;
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
            Format::People => {
                session.out.line(text(meshzero::prometheus::text(nodes).trim_end()).to_string()).await
            }
        }
    }
}
