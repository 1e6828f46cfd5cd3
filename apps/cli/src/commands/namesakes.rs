//! Other programs that offer a service of the same name.
//!
//! A mesh lets several programs offer one name, and a call reaches one of them: that is intended for fleets of robots,
//! and a trap for a user who has forgotten a program in another window.

use std::convert::Infallible;
use std::time::Duration;

use meshzero::{DiscoverError, Instance, Mesh, ServiceName};
use serde_json::json;
use tokio::time;

use super::discover::InstanceRecord;
use crate::failure::Failure;
use crate::session::Session;

/// The time in which others are searched for. Reachable ones answer within milliseconds.
const LOOK: Duration = Duration::from_secs(1);

/// The pause between two looks at the answers.
const AGAIN: Duration = Duration::from_millis(20);

/// A search for other programs that offer a name.
pub(super) struct NameCheck<'a> {
    mesh: &'a Mesh,
    name: &'a ServiceName,
}

impl<'a> NameCheck<'a> {
    /// Creates a search for a name that this program offers itself.
    pub(super) fn new(mesh: &'a Mesh, name: &'a ServiceName) -> Self {
        Self { mesh, name }
    }

    /// Reports the others once; then it waits forever.
    pub(super) async fn tell(self, session: &Session) -> Infallible {
        let name = self.name;
        let others = self.others(|_| false).await;
        if let Some(first) = others.first() {
            let listed: Vec<InstanceRecord> = others.iter().map(InstanceRecord::new).collect();
            let count = match others.len() {
                1 => "another program offers".to_owned(),
                count => format!("{count} other programs offer"),
            };
            session.out.errors.note(
                &format!(
                    "{count} {name:?} as well, at {}: callers reach either (--fail-if-exists prevents that)",
                    address(first)
                ),
                &json!({ "also": name, "instances": listed }),
            );
        }
        std::future::pending().await
    }

    /// Gives way to a service advertised at the same time: of two, the one with the smaller instance id stays.
    ///
    /// # Errors
    /// [`Failure::NameTaken`].
    pub(super) async fn give_way(self, own: &Instance) -> Result<(), Failure> {
        let name = self.name;
        let goes_first = |other: &Instance| other.id < own.id;
        match self.others(goes_first).await.into_iter().find(goes_first) {
            Some(other) => Err(taken(name, &other)),
            None => Ok(()),
        }
    }

    /// Returns the instances of other programs that answer within a second, or once one is `enough`.
    async fn others(self, enough: impl Fn(&Instance) -> bool) -> Vec<Instance> {
        // This program's own is found at once, and all that appear are connected from here on.
        let Ok(service) = self.mesh.discover(self.name).within(LOOK).await else { return Vec::new() };
        // The network is asked, whatever is known.
        let asked = self.mesh.discover_all().named(self.name.clone()).within(LOOK).await;
        let end = time::Instant::now() + LOOK;
        loop {
            let mut others = asked.clone();
            others.extend(service.instances());
            others.retain(|instance| instance.node != self.mesh.node());
            others.sort_by_key(|instance| instance.id);
            others.dedup_by_key(|instance| instance.id);
            if time::Instant::now() >= end || others.iter().any(&enough) {
                others.sort_by_key(Instance::address);
                return others;
            }
            time::sleep(AGAIN).await;
        }
    }
}

/// Checks that no other program offers the name yet, as far as that shows within a second.
///
/// # Errors
/// [`Failure::NameTaken`].
pub(super) async fn ensure_unused(mesh: &Mesh, name: &ServiceName) -> Result<(), Failure> {
    match mesh.discover(name).within(LOOK).await {
        Ok(service) => match service.instances().first() {
            Some(other) => Err(taken(name, other)),
            // It was there, and is gone.
            None => Ok(()),
        },
        Err(DiscoverError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn taken(name: &ServiceName, other: &Instance) -> Failure {
    Failure::NameTaken(format!(
        "another program offers {name:?} already, at {}; stop it, choose another name, or omit --fail-if-exists",
        address(other)
    ))
}

fn address(instance: &Instance) -> String {
    InstanceRecord::new(instance).address.unwrap_or_else(|| "an unknown address".to_owned())
}
