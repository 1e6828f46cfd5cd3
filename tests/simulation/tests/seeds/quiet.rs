//! A network without faults: nobody dials beside a connection that works, and an idle connection costs a ping now and then.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Limits, Mesh, Traffic};
use meshzero_actors::config::Config;
use meshzero_actors::net::interfaces::Interfaces;
use meshzero_actors::net::network::Network;
use meshzero_actors::node::Node;
use meshzero_simulation::Wires;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use crate::scenario::ip;

const BUSY: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(60);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Add(u32);

#[derive(Default)]
struct Sum(u32);

impl Actor for Sum {
    type Context = Context<Self>;
}

impl Handler<Add> for Sum {
    type Result = u32;

    fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> u32 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

async fn join(network: Network) -> Mesh {
    let config = Config { interfaces: Interfaces::loopback(), network, ..Config::default() };
    Mesh::from(Node::start_local(config).await.expect("it joins"))
}

/// Offers a sum, and publishes sixty times a second for a while.
async fn serve(network: Network) {
    let mesh = join(network).await;
    let sum = mesh.advertise("sum", Sum::default).handles::<Add>().at("9000");
    let sum = sum.await.expect("advertised");
    let begun = Instant::now();
    while begun.elapsed() < BUSY {
        sum.publish("number", &7u32).expect("published");
        sleep(Duration::from_millis(16)).await;
    }
    std::future::pending::<()>().await;
}

/// Calls and subscribes for a while, then does nothing, and reports the traffic of both.
async fn call(network: Network, cost: Rc<Cell<Option<(Traffic, Traffic)>>>) {
    let mesh = join(network).await;
    let sum = mesh.discover(format!("{}:9000", ip(0))).await.expect("it is there");
    let mut news = sum.subscribe::<u32>("number").latest().await.expect("confirmed");
    spawn_local(async move { while news.next().await.is_some() {} });
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < BUSY {
        number += 1;
        match number % 8 {
            0 => sleep(Duration::from_millis(number % 400)).await,
            1..6 => sum.tell(Add(1)).await.expect("told"),
            _ => drop(sum.send(Add(1)).await.expect("a reply")),
        }
    }
    // All bytes are acknowledged, and the time between two pings has grown.
    sleep(Duration::from_secs(10)).await;
    let busy = mesh.traffic();
    sleep(IDLE).await;
    cost.set(Some((busy, mesh.traffic())));
    std::future::pending::<()>().await;
}

#[test]
fn working_links_dial_nothing_and_idle_ones_cost_a_ping_every_keep_alive() {
    fastrand::seed(1);
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .tick_duration(Duration::from_millis(2))
        .simulation_duration(Duration::from_secs(200))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .build();
    let wires = Wires::new(1, 4_096);
    let cost = Rc::new(Cell::new(None));
    let network = wires.network(ip(0));
    sim.host(ip(0), move || {
        let network = network.clone();
        async move {
            serve(network).await;
            Ok(())
        }
    });
    let (network, told) = (wires.network(ip(1)), Rc::clone(&cost));
    sim.host(ip(1), move || {
        let (network, told) = (network.clone(), Rc::clone(&told));
        async move {
            call(network, told).await;
            Ok(())
        }
    });
    let (busy, idle) = loop {
        sim.step().expect("it continues");
        wires.tend_connections(sim.elapsed(), |_, _| None);
        if let Some(cost) = cost.get() {
            break cost;
        }
        assert!(sim.elapsed() < BUSY + IDLE * 2, "it takes too long");
    };
    assert_eq!((idle.races, idle.races_won), (0, 0));
    assert!(busy.reads > 1_000, "{busy:?}");
    let pings = (IDLE.as_millis() / Limits::default().keep_alive.as_millis()) as u64;
    let writes = idle.writes - busy.writes;
    // The subscription grants credit; a link for requests has nothing to send.
    assert!(writes <= pings + 2, "{writes} writes in an idle minute");
}
