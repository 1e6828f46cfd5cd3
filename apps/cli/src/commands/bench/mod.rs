//! `mz bench`: measurements of the mesh, compared with baselines without it.

mod options;

use std::time::Duration;

use clap::{Args, Subcommand};
use meshzero::ServiceName;

use self::options::{RateArgs, RunArgs, SizeArgs, TimedArgs};
use super::advertise::AdvertisedRecord;
use crate::bench::{
    self, Benchmark, MAX_SUBSCRIBERS, MessageKind, NAME, Peer, Plan, TIMED_THROUGHPUT, Transport,
};
use crate::failure::Failure;
use crate::parse;
use crate::session::Session;
use crate::stdin;

/// Measures messages through the mesh, compared with bare TCP and actix in the same run
///
/// One side sends numbered packets, the other counts them: the number and length of each are checked, and the bytes of
/// one in 61, or of each from 4 KiB on. Each result is compared with its baselines: bare TCP over the same transport,
/// and actix in this process, with the same packets and checks.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  mz bench latency
  mz bench throughput --size 1KiB --html report.html
  mz bench latency --find-max 'p99<5ms'
  mz bench fanout --subscribers 8
  mz bench serve                             (on one host)
  mz bench latency --transport bench         (on another)
  mz bench latency --json > before.json      (change something)
  mz bench latency --compare before.json"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Latency(Latency),
    Throughput(Throughput),
    Fanout(Fanout),
    Sweep(Sweep),
    Discovery(Discovery),
    Serve(Serve),
}

/// Measures round trips: one at a time, several at once, or on a schedule
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench latency
  mz bench latency --in-flight 64 --size 1KiB
  mz bench latency --rate 10k --duration 10s
  mz bench latency --find-max 'p99<5ms'")]
struct Latency {
    #[command(flatten)]
    common: TimedArgs,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    schedule: RateArgs,
    /// Concurrent calls [default: 1; with a schedule 1024, and calls beyond that are late]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: Option<u32>,
}

/// Measures messages per second, none of them lost
///
/// Sends tells, messages without a reply, unless --calls or --news is given. The round trip is that of occasional
/// calls beside them; with --calls, one call in 16 is timed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench throughput
  mz bench throughput --calls --in-flight 256
  mz bench throughput --news --size 64KiB
  mz bench throughput --rate 500k
  mz bench throughput --transport inproc")]
struct Throughput {
    #[command(flatten)]
    common: TimedArgs,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    schedule: RateArgs,
    /// Sends calls and awaits their replies
    #[arg(long, conflicts_with = "news")]
    calls: bool,
    /// Publishes news to one subscriber
    #[arg(long)]
    news: bool,
    /// Concurrent calls [default: 64; with a schedule 1024]
    #[arg(long, value_name = "N", requires = "calls", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: Option<u32>,
}

/// Measures one publisher with several subscribers in the other process, without any loss
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench fanout
  mz bench fanout --subscribers 32 --size 1KiB
  mz bench fanout --rate 10k")]
struct Fanout {
    #[command(flatten)]
    common: TimedArgs,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    schedule: RateArgs,
    /// Number of subscribers
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=MAX_SUBSCRIBERS as i64))]
    subscribers: u16,
}

/// Measures throughput from 8 bytes to 1 MiB, and latency from 10 to 90 % of the highest load
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench sweep --html report.html
  mz bench sweep --duration 5s --json > report.json")]
struct Sweep {
    #[command(flatten)]
    common: TimedArgs,
}

/// Measures the time until a service is found: by a watcher, and by a new node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench discovery
  mz bench discovery --transport bench --rounds 100")]
struct Discovery {
    #[command(flatten)]
    run_args: RunArgs,
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

/// Serves measurements from other hosts, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mz bench serve
  mz bench serve lab/bench --at 9000")]
struct Serve {
    /// Name for --transport on the other host
    #[arg(default_value = NAME)]
    name: ServiceName,
    /// Address to listen at: a port, an address, both, or a pattern such as 192.168.*:9000 [default: a free port
    /// everywhere]
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
    /// Lets connections spin for this time before they sleep, such as 50us
    #[arg(long, value_name = "TIME", value_parser = parse::spin)]
    spin: Option<Duration>,
    /// Exits at the end of standard input
    #[arg(long, hide = true)]
    attached: bool,
}

impl Bench {
    pub(crate) async fn run(&self, session: &Session) -> Result<(), Failure> {
        match &self.what {
            BenchCommand::Latency(latency) => latency.run(session).await,
            BenchCommand::Throughput(throughput) => throughput.run(session).await,
            BenchCommand::Fanout(fanout) => fanout.run(session).await,
            BenchCommand::Sweep(Sweep { common }) => {
                let TimedArgs { run_args, duration, warm_up } = common;
                run_args
                    .report(session, Benchmark::Sweep, async |peer| {
                        bench::sweep(peer, &run_args.transport, *duration, *warm_up).await
                    })
                    .await
            }
            BenchCommand::Discovery(Discovery { run_args, rounds }) => {
                if run_args.transport == Transport::Inproc {
                    return Err(Failure::Usage(
                        "discovery needs two processes: --transport loopback, or the name of a service"
                            .to_owned(),
                    ));
                }
                let run =
                    async |peer: &Peer| bench::discovery(session, peer, &run_args.transport, *rounds).await;
                run_args.report(session, Benchmark::Discovery, run).await
            }
            BenchCommand::Serve(serve) => serve.run(session).await,
        }
    }
}

impl Latency {
    async fn run(&self, session: &Session) -> Result<(), Failure> {
        let plan = self.schedule.plan(&self.common, &self.size, MessageKind::Calls, self.in_flight, 1)?;
        self.schedule.report(session, &self.common, Benchmark::Latency, plan).await
    }
}

impl Throughput {
    async fn run(&self, session: &Session) -> Result<(), Failure> {
        let kind = match self {
            Self { calls: true, .. } => MessageKind::Calls,
            Self { news: true, .. } => MessageKind::News,
            _ => MessageKind::Tells,
        };
        let plan = self.schedule.plan(&self.common, &self.size, kind, self.in_flight, 64)?;
        let plan = Plan { timed_every: TIMED_THROUGHPUT, ..plan };
        self.schedule.report(session, &self.common, Benchmark::Throughput, plan).await
    }
}

impl Fanout {
    async fn run(&self, session: &Session) -> Result<(), Failure> {
        let plan = self.schedule.plan(&self.common, &self.size, MessageKind::News, None, 1)?;
        let plan = Plan { subscribers: self.subscribers, ..plan };
        self.schedule.report(session, &self.common, Benchmark::Fanout, plan).await
    }
}

/// The limit of a line of standard input, which is only waited for.
const LINE: usize = 1 << 10;

impl Serve {
    async fn run(&self, session: &Session) -> Result<(), Failure> {
        let mesh = session.mesh_as(|join| bench::with_room(join, self.spin)).await?;
        let (service, _peer) = bench::serve(mesh, &self.name, self.at.as_deref()).await?;
        session.set_endless();
        session.out.show(&AdvertisedRecord::new(&self.name, service.address())).await?;
        if self.attached {
            let mut lines = stdin::lines(LINE);
            while lines.next().await.is_some() {}
            return Ok(());
        }
        std::future::pending().await
    }
}
