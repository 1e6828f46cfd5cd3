//! The choice of the instance for the next message, among those that are connected over loopback.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use meshzero_actors::client::route::Route;
use meshzero_actors::client::route::target::Target;
use meshzero_actors::config::Config;
use meshzero_actors::node::Node;
use meshzero_actors::node::router::GetRoute;
use meshzero_proto::name::{MeshName, ServiceName};

use crate::message::Echoes;
use crate::rig::Rig;

const NAME: &str = "echoes";

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route_look_up");
    for members in [1, 8] {
        let mut connected = None;
        group.bench_with_input(BenchmarkId::from_parameter(members), &members, |bencher, members| {
            let Connected { route, .. } = connected.get_or_insert_with(|| Connected::to(*members));
            bencher.iter(|| route.with_pick(|member| member.is_some()));
            assert!(route.pick().is_some(), "there is somebody to call");
        });
    }
    group.finish();
}

/// A route, and its target.
struct Connected {
    route: Arc<Route>,
    _services: Vec<meshzero::Service<Echoes>>,
    _caller: Caller,
}

/// A node of `meshzero_actors`, whose routes are available without a service in front of them.
struct Caller {
    node: Arc<Node>,
    rig: Rig,
}

impl Connected {
    fn to(members: usize) -> Self {
        let rig = Rig::join();
        let services = (0..members).map(|_| rig.offer(NAME)).collect();
        let config = Config {
            mesh: MeshName::new(&rig.name).expect("a name"),
            interfaces: "lo".parse().expect("an interface"),
            ..Config::default()
        };
        let node = rig.run(Node::start(config)).expect("joined");
        let follow = GetRoute(Target::Name(ServiceName::new(NAME).expect("a name")));
        let route = rig.run(node.router().send(follow)).expect("the router lives");
        let following = Arc::clone(&route);
        rig.run(async move {
            while following.members().len() < members {
                actix::clock::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { route, _services: services, _caller: Caller { node, rig } }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let node = Arc::clone(&self.node);
        self.rig.run(async move { node.leave(std::time::Duration::ZERO).await });
    }
}
