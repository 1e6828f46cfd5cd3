//! A program with more services than others keep of one.

use actix::prelude::*;
use meshzero::{Limits, Mesh};

use crate::pair::{PATIENCE, until};

const SERVICES: usize = 100;

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[actix::test]
async fn services_beyond_those_that_are_kept_of_one_program_are_found_by_their_names() {
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
    // Whoever lists hears of all, and keeps as many as it may.
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
    let hidden = there.answering("crowd/").await.hidden.expect("some are not listed");
    assert_eq!((hidden.services, there.discover_all().await.len()), (6, 4));
    assert!(hidden.finding.to_string().contains("instances_per_node=16"), "{}", hidden.finding);
    assert!(there.answering("elsewhere").await.hidden.is_none());
    drop(services);
}
