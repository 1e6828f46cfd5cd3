//! The session of one command: the mesh, joined on first use and left at the end, and the output.

use std::cell::Cell;

use meshzero::{DrainReport, Join, Mesh};
use tokio::sync::OnceCell;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::child_programs::ChildPrograms;
use crate::failure::Failure;
use crate::global_args::GlobalArgs;
use crate::output::Output;

/// The session of one command.
pub(crate) struct Session {
    /// The output of the command.
    pub(crate) out: Output,
    join: Join,
    mesh: OnceCell<Mesh>,
    endless: Cell<bool>,
    /// The running programs of `--exec`.
    pub(crate) programs: ChildPrograms,
}

impl Session {
    pub(crate) fn new(global: &GlobalArgs, out: Output) -> Self {
        let mut join = Mesh::join();
        if let Some(mesh) = &global.mesh {
            join = join.mesh(mesh);
        }
        if let Some(interfaces) = &global.interfaces {
            join = join.interfaces(interfaces);
        }
        if let Some(peers) = &global.peers {
            join = join.peers(peers.iter().map(String::as_str));
        }
        Self { out, join, mesh: OnceCell::new(), endless: Cell::new(false), programs: ChildPrograms::new() }
    }

    /// Returns the mesh, joined on first use.
    pub(crate) async fn mesh(&self) -> Result<&Mesh, Failure> {
        self.mesh_as(|join| join).await
    }

    /// Returns the mesh, joined with settings changed by `change` unless it has been joined before.
    pub(crate) async fn mesh_as(&self, change: impl FnOnce(Join) -> Join) -> Result<&Mesh, Failure> {
        self.mesh.get_or_try_init(async || self.join_as(change).await).await
    }

    /// Joins the mesh again as a separate node, with settings changed by `change`.
    pub(crate) async fn join_as(&self, change: impl FnOnce(Join) -> Join) -> Result<Mesh, Failure> {
        let mesh = change(self.join.clone()).await?;
        tracing::info!(mesh = %mesh.name(), node = %mesh.node(), "joined");
        for interface in mesh.pending_interfaces() {
            self.out.errors.pending_interface(interface);
        }
        Ok(mesh)
    }

    /// Marks the command as endless: stopping it is not a failure from here on.
    pub(crate) fn set_endless(&self) {
        self.endless.set(true);
    }

    /// Returns whether the command runs until it is stopped.
    pub(crate) fn is_endless(&self) -> bool {
        self.endless.get()
    }

    /// Leaves the mesh: withdraws services, finishes accepted messages, and reports unfinished ones.
    ///
    /// # Errors
    /// [`Failure::Unfinished`], which has been reported.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        let mut result = Ok(());
        if let Some(mesh) = self.mesh.get() {
            self.programs.begin_drain(mesh.limits().drain);
            for abandoned in mesh.close().await {
                result = Err(self.report_unfinished(&abandoned));
            }
        }
        self.programs.shut_down().await;
        result
    }

    /// Reports a service of this program that did not finish everything.
    pub(crate) fn report_unfinished(&self, abandoned: &DrainReport) -> Failure {
        self.out.errors.report_unfinished(abandoned);
        Failure::Unfinished
    }
}

/// Sets up logging to standard error: problems of discovery only, or more by verbosity.
pub(crate) fn log_to_stderr(verbose: u8, out: &Output) {
    let level = match verbose {
        0 => return warn_of_the_network(out),
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let lines = out.errors.log();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .init();
}

/// Logs problems that keep this program from being found. Otherwise it would wait silently for something impossible.
fn warn_of_the_network(out: &Output) {
    let network = Targets::new()
        .with_target("meshzero_actors::discovery", Level::WARN)
        .with_target("meshzero_actors::net::listeners", Level::WARN)
        .with_target("meshzero_actors::discovery::mdns", Level::WARN);
    let lines = out.errors.log();
    let lines =
        fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(move || lines.clone());
    tracing_subscriber::registry().with(lines.with_filter(network)).init();
}
