//! One run of the program: the mesh, joined when it is first needed and left at the end, and the output.

use std::cell::Cell;

use meshzero::{Abandoned, Join, Mesh};
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

/// One run of the program.
pub(crate) struct Session {
    /// Where everything is printed.
    pub(crate) out: Output,
    join: Join,
    mesh: OnceCell<Mesh>,
    endless: Cell<bool>,
    /// The programs that run for messages of this one.
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

    /// The mesh.
    pub(crate) async fn mesh(&self) -> Result<&Mesh, Failure> {
        self.mesh_as(|join| join).await
    }

    /// The mesh, joined with what `change` makes of the settings. Before anything else has joined it.
    pub(crate) async fn mesh_as(&self, change: impl FnOnce(Join) -> Join) -> Result<&Mesh, Failure> {
        self.mesh.get_or_try_init(async || self.join_as(change).await).await
    }

    /// Joins once more, as a node of its own, with what `change` makes of the settings.
    pub(crate) async fn join_as(&self, change: impl FnOnce(Join) -> Join) -> Result<Mesh, Failure> {
        let mesh = change(self.join.clone()).await?;
        tracing::info!(mesh = %mesh.name(), node = %mesh.node(), "joined");
        for interface in mesh.awaited_interfaces() {
            self.out.errors.awaits(interface);
        }
        Ok(mesh)
    }

    /// From here on the command has no end of its own, so that stopping it is no failure.
    pub(crate) fn begin_endless(&self) {
        self.endless.set(true);
    }

    /// Returns whether the command has done what it was asked to, and goes on until it is stopped.
    pub(crate) fn is_endless(&self) -> bool {
        self.endless.get()
    }

    /// Says goodbye, finishes what services of this program have accepted, and tells what they did not.
    ///
    /// # Errors
    /// [`Failure::Unfinished`], which has been told.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        let mut result = Ok(());
        if let Some(mesh) = self.mesh.get() {
            self.programs.leave(mesh.limits().drain);
            for abandoned in mesh.close().await {
                result = Err(self.abandon(&abandoned));
            }
        }
        self.programs.end().await;
        result
    }

    /// Tells what a service of this program did not finish.
    pub(crate) fn abandon(&self, abandoned: &Abandoned) -> Failure {
        self.out.errors.abandon(abandoned);
        Failure::Unfinished
    }
}

/// Tells on standard error what goes on: what keeps others from being found, what is worth knowing, or everything.
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

/// Logs what keeps this program from being found. Without this it would wait silently for what cannot come.
fn warn_of_the_network(out: &Output) {
    let network = Targets::new()
        .with_target("meshzero_actors::discovery", Level::WARN)
        .with_target("meshzero_actors::listeners", Level::WARN)
        .with_target("meshzero_actors::mdns", Level::WARN);
    let lines = out.errors.log();
    let lines =
        fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(move || lines.clone());
    tracing_subscriber::registry().with(lines.with_filter(network)).init();
}
