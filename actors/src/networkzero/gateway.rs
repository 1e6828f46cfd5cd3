//! The gateway as its owner holds it, and how it ends.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use meshzero_proto::directory::Filter;
use tokio::sync::mpsc;
use tokio::time;

use super::crossing::{self, Crossing, Crossings};
use super::sides::Sides;
use super::working::{self, CLOSING, Working};
use crate::discovery::{Addresses, Watch};
use crate::ending::Ending;
use crate::home::{Gone, Home};
use crate::node::Node;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port of NetworkZero's beacons cannot be had.
    #[error("cannot hear the beacons of NetworkZero at UDP port 9999: {0}")]
    Air(#[from] io::Error),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// A gateway that works until it is dropped, or its node leaves.
pub struct Gateway {
    crossings: Crossings,
    course: Arc<Course>,
    home: Home,
    is_dropped_with: bool,
}

/// When a gateway is to end, and when it has.
#[derive(Default)]
pub(crate) struct Course {
    closing: Ending,
    ended: Ending,
}

impl Course {
    /// Has the gateway take everything back, and waits until that is done, for half a second at most.
    pub(crate) async fn close(&self) {
        self.closing.tell();
        // What has not been taken back then is forgotten by others in time.
        let _ = time::timeout(CLOSING, self.ended.come()).await;
    }
}

impl Gateway {
    /// Opens a gateway between the mesh of `node` and NetworkZero.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn open(node: &Arc<Node>) -> Result<Self, GatewayError> {
        let (tell, crossings) = crossing::queue();
        let course = Arc::<Course>::default();
        let (here, own) = (Arc::downgrade(node), node.id());
        let interfaces = node.config().interfaces.clone();
        let watch =
            node.ask_discovery(Watch { filter: Filter::Prefix(String::new()), addresses: Addresses::All });
        let watcher = watch.await?;
        node.context().gateways.add(&course);
        let until = Arc::clone(&course);
        node.home()
            .ask(move || async move {
                let air = working::open(&interfaces)?;
                let (tell_brought, brought) = mpsc::channel(working::NAMES);
                let sides = Sides::new(here, own, tell_brought, tell);
                let working = Working { sides, watcher, brought };
                actix::spawn(async move {
                    let ended = Told(&until.ended);
                    working.work(air, &until.closing).await;
                    drop(ended);
                });
                Ok(())
            })
            .await?
            .map_err(GatewayError::Air)?;
        Ok(Self { crossings, course, home: node.home().clone(), is_dropped_with: true })
    }

    /// Waits for the next thing that has crossed; `None` when the gateway has ended. What is not taken waits, up to 256 of it; what
    /// is dropped beyond that is told as [`Crossing::Missed`].
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn next(&mut self) -> Option<Crossing> {
        self.crossings.next().await
    }

    /// Takes everything back, and waits until that is done: half a second at most.
    pub async fn close(self) {
        let course = Arc::clone(&self.course);
        // Over there, where there is a clock whatever runs this. With the thread the gateway has ended.
        let _ = self.home.ask(move || async move { course.close().await }).await;
    }

    /// Lets it work as long as its node does.
    pub fn detach(mut self) {
        self.is_dropped_with = false;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.is_dropped_with {
            self.course.closing.tell();
        }
    }
}

/// Tells that it has ended, also where its thread did.
struct Told<'a>(&'a Ending);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// The gateways of a node, which end before it leaves.
#[derive(Default)]
pub struct Gateways(Mutex<Vec<Arc<Course>>>);

impl Gateways {
    fn add(&self, course: &Arc<Course>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|course| !course.ended.has_come());
        open.push(Arc::clone(course));
    }

    /// Closes them all.
    pub(crate) async fn close(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        open.iter().for_each(|course| course.closing.tell());
        for course in open {
            course.close().await;
        }
    }
}
