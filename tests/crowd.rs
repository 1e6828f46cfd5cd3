//! A program with more services than other nodes track of one program.

use actix::prelude::*;
use meshzero::{Limits, Mesh, WatchEvent};

use crate::pair::{PATIENCE, until};

const SERVICES: usize = 100;

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[actix::test]
async fn services_beyond_the_limit_of_one_program_are_found_by_their_names() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let mut limits = Limits::default();
    limits.instances_per_node = 2 * SERVICES;
    let here = Mesh::join().mesh(&name).interfaces("lo").limits(limits).await.expect("it joins");
    let there = Mesh::join().mesh(&name).interfaces("lo").await.expect("it joins");
    let mut services = Vec::new();
    for number in 0..SERVICES {
        let service = here.advertise(format!("crowd/{number}"), || Quiet).await;
        services.push(service.expect("advertised"));
    }
    // A listing receives all of them, and stores as many as its limit.
    let kept = async { while there.discover_all().await.len() < Limits::default().instances_per_node {} };
    tokio::time::timeout(PATIENCE, kept).await.expect("in time");
    for number in 0..SERVICES {
        let found = there.discover(format!("crowd/{number}")).within(PATIENCE).await;
        let found = found.unwrap_or_else(|error| panic!("crowd/{number}: {error}"));
        until("it is connected", || found.instances().len() == 1).await;
    }
    let nobody = there.discover("crowd/none").within(std::time::Duration::from_millis(300)).await;
    let nobody = nobody.expect_err("there is no such service");
    let said = format!("{nobody}");
    drop(services);
    assert!(said.contains("crowd/none"), "{said}");
}

/// A watch reports the services that are stored, and no event that has not happened.
#[actix::test]
async fn services_beyond_the_limit_of_one_program_do_not_replace_others() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let mut limits = Limits::default();
    limits.instances_per_node = 2 * SERVICES;
    let here = Mesh::join().mesh(&name).interfaces("lo").limits(limits).await.expect("it joins");
    let mut services = Vec::new();
    for number in 0..SERVICES {
        let service = here.advertise(format!("crowd/{number}"), || Quiet).await;
        services.push(service.expect("advertised"));
    }
    let there = Mesh::join().mesh(&name).interfaces("lo").await.expect("it joins");
    let mut watch = there.watch("crowd/");
    let kept = Limits::default().instances_per_node;
    let mut up = std::collections::BTreeSet::new();
    // Until a listing, a link and announcements have covered all of them.
    let settled = async {
        while up.len() < kept
            || there.hidden("crowd/").await.is_none_or(|hidden| hidden.services < SERVICES - kept)
        {
            let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(50), watch.next()).await
            else {
                continue;
            };
            match event.expect("the mesh is there") {
                WatchEvent::Up(instance) => assert!(up.insert(instance.id), "{instance:?}"),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("in time");
    assert_eq!((up.len(), there.discover_all().await.len()), (kept, kept));
    // A service that is asked for by name is there in addition.
    let mut hidden = (0..SERVICES).map(|number| format!("crowd/{number}"));
    let listed: Vec<_> =
        there.discover_all().await.into_iter().map(|instance| instance.service.to_string()).collect();
    let hidden = hidden.find(|name| !listed.contains(name)).expect("one is hidden");
    there.discover(&hidden).within(PATIENCE).await.expect("it is there");
    // As one goes, another is stored in its place.
    let gone = services
        .iter()
        .position(|service| listed.contains(&service.name().to_string()))
        .expect("it is there");
    let gone = services.remove(gone);
    let name = gone.name().to_string();
    gone.close().await;
    let (mut down, mut replaced) = (false, false);
    let changed = async {
        while !(down && replaced) {
            match watch.next().await.expect("the mesh is there") {
                WatchEvent::Up(instance) if instance.service.as_str() == hidden => {}
                WatchEvent::Up(_) => replaced = true,
                WatchEvent::Down { instance, .. } => {
                    assert_eq!(instance.service.as_str(), name);
                    down = true;
                }
                WatchEvent::Moved(instance) => panic!("{instance:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("in time");
    assert_eq!(there.hidden("crowd/").await.map(|hidden| hidden.services), Some(SERVICES - kept - 2));
    assert!(there.hidden("elsewhere").await.is_none());
}

#[actix::test]
async fn an_error_says_which_limit_hides_services() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let mut limits = Limits::default();
    limits.instances_per_node = 2 * SERVICES;
    let here = Mesh::join().mesh(&name).interfaces("lo").limits(limits).await.expect("it joins");
    let mut few = Limits::default();
    few.instances_per_node = 4;
    let there = Mesh::join().mesh(&name).interfaces("lo").limits(few).await.expect("it joins");
    let mut services = Vec::new();
    for number in 0..10 {
        let service = here.advertise(format!("crowd/{number}"), || Quiet).await;
        services.push(service.expect("advertised"));
    }
    let said = async {
        loop {
            there.discover_all().await;
            let within = std::time::Duration::from_millis(300);
            let nobody =
                there.discover("crowd/none").within(within).await.expect_err("there is no such service");
            let said = format!("{nobody}");
            if said.contains("6 more services") {
                return said;
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, said).await.expect("in time");
    assert!(said.contains("MESHZERO_LIMITS=instances_per_node="), "{said}");
    let hidden = there.reachability("crowd/").await.hidden.expect("some are not listed");
    assert_eq!((hidden.services, there.discover_all().await.len()), (6, 4));
    assert!(hidden.finding.to_string().contains("instances_per_node=16"), "{}", hidden.finding);
    assert!(there.reachability("elsewhere").await.hidden.is_none());
    drop(services);
}
