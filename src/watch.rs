//! A stream of services that come, move and go.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use meshzero_actors::discovery::{self, AddressChanges, Watcher};
use meshzero_actors::node::Node;
use meshzero_proto::discovery::directory::{DirectoryEvent, Filter};

type Starting = Pin<Box<dyn Future<Output = Option<Watcher>> + Send>>;

/// A stream of services that come, move and go. It ends when the mesh is left.
///
/// A slow reader misses only changes that cancelled each other out, because one event is kept for each instance. At most
/// [`Limits::instances_per_node`](crate::Limits::instances_per_node) services of each other program are watched;
/// [`Mesh::hidden`](crate::Mesh::hidden) returns the number of the rest.
///
/// ```no_run
/// # async fn run(mesh: meshzero::Mesh) {
/// use meshzero::WatchEvent;
///
/// let mut robots = mesh.watch("robot/");
/// while let Some(event) = robots.next().await {
///     match event {
///         WatchEvent::Up(robot) => println!("{} is there", robot.service),
///         WatchEvent::Moved(robot) => println!("{} is now at {:?}", robot.service, robot.address()),
///         WatchEvent::Down { instance, reason } => println!("{} is gone: {reason}", instance.service),
///     }
/// }
/// # }
/// ```
pub struct Watch {
    state: WatchState,
    _node: Arc<Node>,
}

enum WatchState {
    Starting(Starting),
    Running(Watcher),
    Ended,
}

impl Watch {
    pub(crate) fn new(node: Arc<Node>, filter: Filter) -> Self {
        let here = Arc::clone(&node);
        let starting = async move {
            here.ask_discovery(discovery::Watch { filter, addresses: AddressChanges::Moves }).await.ok()
        };
        Self { state: WatchState::Starting(Box::pin(starting)), _node: node }
    }

    /// Waits for the next event; `None` when the mesh has been left.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn next(&mut self) -> Option<DirectoryEvent> {
        std::future::poll_fn(|task| Pin::new(&mut *self).poll_next(task)).await
    }
}

impl Stream for Watch {
    type Item = DirectoryEvent;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<DirectoryEvent>> {
        loop {
            self.state = match &mut self.state {
                WatchState::Starting(starting) => match ready!(starting.as_mut().poll(task)) {
                    Some(events) => WatchState::Running(events),
                    None => WatchState::Ended,
                },
                WatchState::Running(events) => return events.poll_recv(task),
                WatchState::Ended => return Poll::Ready(None),
            };
        }
    }
}
