//! Keeps a route connected to all instances of a name, following discovery's events.

use std::sync::Arc;

use meshzero_proto::discovery::directory::{DirectoryEvent, DownReason, Filter, Instance};
use meshzero_proto::name::ServiceName;
use meshzero_proto::wire::hello::Purpose;

use super::{DialTarget, LinkUptime, RouteConnector};
use crate::client::follow::{FollowedInstances, Next, follow, watch_listings};
use crate::client::route::Member;
use crate::link::dial::InstanceUpdates;

impl RouteConnector {
    /// Keeps the route connected to all instances of a name, following discovery's events.
    pub(crate) async fn connect_name(self, name: ServiceName) {
        let Some(mut events) = watch_listings(&self.context.discovery, Filter::Name(name)).await else {
            return;
        };
        let mut followed = FollowedInstances::default();
        while let Some(event) = self.while_referenced(events.recv()).await.flatten() {
            match event {
                DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                    followed.update(instance, |updates| {
                        actix::spawn(self.clone().run_until_shutdown(self.clone().connect_instance(updates)));
                    });
                }
                DirectoryEvent::Down { instance, reason } => {
                    // Withdrawn by its node, or refused by its endpoint: it drains, and new calls go to others.
                    let drains =
                        instance.local || matches!(reason, DownReason::Withdrawn | DownReason::Refused);
                    match drains {
                        true => followed.remove(instance.id),
                        // An existing connection stays open and delivers its replies; the instance is not dialled
                        // again.
                        false => followed.unlist(instance.id),
                    }
                    if let Some(route) = self.route.upgrade() {
                        if drains {
                            route.remove(instance.id);
                        }
                        route.record_error(format!("the last known instance is gone: {reason}"));
                    }
                }
            }
        }
    }

    async fn connect_instance(self, updates: InstanceUpdates) {
        let mut last_answered = None;
        let round = async |instance: Instance, updates: &InstanceUpdates| {
            if instance.local {
                self.add_local(instance);
                return Next::Stop;
            }
            let hello = self.context.hello_for(Some(instance.id), Purpose::Requests);
            let target =
                DialTarget { addresses: &instance.addresses, last_answered, updates: Some(updates.clone()) };
            if let Ok(link) = self.connect(target, &hello).await {
                last_answered = Some(link.address());
                match self.use_link(link, instance).await {
                    None => return Next::Stop,
                    Some(LinkUptime::Long) => return Next::AtOnce,
                    Some(LinkUptime::Short) => {}
                }
            }
            if self.route.strong_count() == 0 { Next::Stop } else { Next::Later }
        };
        follow(updates, round).await;
    }

    fn add_local(&self, instance: Instance) {
        if let Some(service) = self.context.services.get(instance.id) {
            self.add(Member::Local(service, Arc::new(instance)));
        }
    }
}
