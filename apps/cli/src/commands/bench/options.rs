//! The options that several benchmarks share, and the common course of a run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::bench::{
    self, Benchmark, HtmlPage, LONGEST, LatencyBound, MessageKind, Peer, Plan, Report, SCHEDULED_CALLS,
    SHORTEST, Transport,
};
use crate::failure::Failure;
use crate::output::Format;
use crate::parse;
use crate::session::Session;

/// The smallest number of packets of a schedule for meaningful results.
const FEWEST: f64 = 10.0;

/// The transport, and the outputs of a run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Receiving side: inproc is an actor in this process, loopback a second process on this machine, and anything
    /// else the name (or ip:port) of a service started with `mz bench serve NAME`
    #[arg(long, value_name = "WHERE", default_value = "loopback")]
    pub(super) transport: Transport,
    /// Lets connections spin for this time before they sleep, on both sides of inproc and loopback, and on this side
    /// of others: lower latency at the cost of processor time; 50us is a good value
    #[arg(long, value_name = "TIME", value_parser = parse::spin)]
    pub(super) spin: Option<Duration>,
    /// Compares with a run saved by --json: ratios with their confidence intervals
    #[arg(long, value_name = "FILE")]
    pub(super) compare: Option<PathBuf>,
    /// Writes the report as a self-contained HTML page with charts
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TimedArgs {
    #[command(flatten)]
    pub(super) run_args: RunArgs,
    /// Duration of each measurement
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse::run_time)]
    pub(super) duration: Duration,
    /// Warm-up before each measurement
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse::duration)]
    pub(super) warm_up: Duration,
}

#[derive(Debug, Args)]
pub(super) struct SizeArgs {
    /// Size of a message, such as 64, 4KiB or 1MiB, from 8 up to 16MiB; 8 of its bytes are its number
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(super) size: usize,
}

#[derive(Debug, Args)]
pub(super) struct RateArgs {
    /// Messages per second on a fixed schedule, such as 500, 20k or 1.5M; times count from when a message was due
    #[arg(long, value_name = "N", value_parser = parse::per_second)]
    pub(super) rate: Option<f64>,
    /// Searches for the highest scheduled rate that keeps a bound on the round trip, such as 'p99<5ms'
    #[arg(long, value_name = "BOUND", conflicts_with = "rate")]
    pub(super) find_max: Option<LatencyBound>,
}

impl RateArgs {
    pub(super) fn plan(
        &self,
        common: &TimedArgs,
        SizeArgs { size }: &SizeArgs,
        kind: MessageKind,
        in_flight: Option<u32>,
        unpaced: usize,
    ) -> Result<Plan, Failure> {
        let TimedArgs { duration, warm_up, .. } = *common;
        if let Some(rate) = self.rate
            && rate * duration.as_secs_f64() < FEWEST
        {
            return Err(Failure::Usage(format!(
                "--rate {rate} sends fewer than {FEWEST} messages in {duration:?}: raise it, or --duration"
            )));
        }
        let is_paced = self.rate.is_some() || self.find_max.is_some();
        let at_once = if is_paced { SCHEDULED_CALLS } else { unpaced };
        let in_flight = in_flight.map_or(at_once, |calls| calls as usize);
        let subscribers = u16::from(kind == MessageKind::News);
        Ok(Plan {
            kind,
            size: *size,
            rate: self.rate,
            in_flight,
            subscribers,
            timed_every: 1,
            duration,
            warm_up,
        })
    }

    pub(super) async fn report(
        &self,
        session: &Session,
        common: &TimedArgs,
        subject: Benchmark,
        plan: Plan,
    ) -> Result<(), Failure> {
        let RunArgs { transport, .. } = &common.run_args;
        let run = async |peer: &Peer| bench::single(peer, transport, subject, plan, self.find_max).await;
        common.run_args.report(session, subject, run).await
    }
}

impl RunArgs {
    /// Reaches the receiving side, measures with `run`, and prints the report. Problems of the files are reported
    /// before that.
    pub(super) async fn report(
        &self,
        session: &Session,
        subject: Benchmark,
        run: impl AsyncFnOnce(&Peer) -> Result<Report, Failure>,
    ) -> Result<(), Failure> {
        let saved = self.compare.as_deref().map(|path| Report::read(path, subject)).transpose()?;
        let page = self.html.as_deref().map(HtmlPage::open).transpose()?;
        bench::reduce_timer_slack();
        let peer = Peer::reach(session, &self.transport, self.spin).await?;
        let report = run(&peer).await;
        peer.end().await;
        let mut report = report?;
        report.comparison = saved.map(|saved| bench::compare(&report, &saved));
        session.out.show(&report).await?;
        if let (Some(page), Some(path)) = (page, &self.html) {
            page.write(&report)?;
            if session.out.format() == Format::Human {
                session.out.errors.remark(&format!("the page is {}", path.display()));
            }
        }
        Ok(())
    }
}

fn size(text: &str) -> Result<usize, String> {
    let size = parse::bytes(text)?;
    match usize::try_from(size).ok().filter(|size| (SHORTEST..=LONGEST).contains(size)) {
        Some(size) => Ok(size),
        None => Err(format!(
            "a message of {size} bytes cannot be measured: the size is {SHORTEST} bytes at least, for its number, and {} MiB \
             at most",
            LONGEST >> 20
        )),
    }
}
