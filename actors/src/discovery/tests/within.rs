//! Discovery actors that receive only the messages of a test, without multicast and links.

use meshzero_proto::discovery::directory::AdvertSource;
use tokio::sync::oneshot;

use super::*;
use crate::discovery::peers::dial::DialFailed;
use crate::runtime::clock;

type Run = dyn FnOnce(&mut Discovery, &mut Context<Discovery>) + Send;

/// A function that runs in the actor.
#[derive(Message)]
#[rtype(result = "()")]
struct RunInActor(Box<Run>);

impl Handler<RunInActor> for Discovery {
    type Result = ();

    fn handle(&mut self, RunInActor(run): RunInActor, ctx: &mut Self::Context) {
        run(self, ctx);
    }
}

impl Node {
    fn without_multicast(mesh: &MeshName) -> Self {
        Self::start_with(mesh, unused_interface(), Vec::new())
    }

    async fn run_in_actor<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Discovery, &mut Context<Discovery>) -> T + Send + 'static,
    ) -> T {
        let (result, receiver) = oneshot::channel();
        let run = RunInActor(Box::new(move |this, ctx| drop(result.send(run(this, ctx)))));
        self.discovery.send(run).await.expect("the actor lives");
        receiver.await.expect("it has run")
    }

    /// Receives announcements of services as by multicast.
    async fn receive(&self, adverts: Vec<Advert>) {
        self.run_in_actor(|this, ctx| {
            for advert in adverts {
                let changes = this.directory.add_advert(advert, AdvertSource::Mdns, clock::now());
                this.apply(changes, None, ctx);
            }
        })
        .await;
    }

    async fn shows(&self, instance: InstanceId) -> bool {
        self.run_in_actor(move |this, _| this.directory.is_shown(instance)).await
    }
}

/// Returns the identities of a new instance and a new node.
fn identity() -> (InstanceId, NodeId) {
    (InstanceId::from_random(random()), NodeId::from_random(random()))
}

/// An address without a listener.
const NO_LISTENER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

#[actix::test]
async fn a_refusal_does_not_remove_an_instance_that_has_answered_since() {
    let mesh = own_mesh();
    let local = Node::without_multicast(&mesh);
    let ((proved, node), (dead, _)) = (identity(), identity());
    local
        .receive(vec![
            advert(&mesh, node, "proved", proved, NO_LISTENER),
            advert(&mesh, node, "dead", dead, NO_LISTENER),
        ])
        .await;
    local
        .run_in_actor(move |this, ctx| {
            for instance in [proved, dead] {
                Handler::<InstanceUnreachable>::handle(
                    this,
                    InstanceUnreachable { instance, verdict: Verdict::Dead },
                    ctx,
                );
            }
        })
        .await;
    local
        .discovery
        .send(InstanceVerified { instance: proved, address: NO_LISTENER })
        .await
        .expect("the actor lives");
    // It was judged later, so the decision about the first one is final.
    until("the dead one is gone", async || !local.shows(dead).await).await;
    assert!(local.shows(proved).await);
    local.leave().await;
}

#[actix::test]
async fn a_node_that_could_not_be_dialled_is_kept_if_an_instance_of_it_has_answered_since() {
    let mesh = own_mesh();
    let local = Node::without_multicast(&mesh);
    let ((proved, alive), (dead, dead_node)) = (identity(), identity());
    local
        .receive(vec![
            advert(&mesh, alive, "proved", proved, NO_LISTENER),
            advert(&mesh, dead_node, "dead", dead, NO_LISTENER),
        ])
        .await;
    local
        .run_in_actor(move |this, ctx| {
            for node in [alive, dead_node] {
                Handler::<DialFailed>::handle(this, DialFailed { node, verdict: Some(Verdict::Dead) }, ctx);
            }
        })
        .await;
    local
        .discovery
        .send(InstanceVerified { instance: proved, address: NO_LISTENER })
        .await
        .expect("the actor lives");
    until("the dead node is given up", async || !local.shows(dead).await).await;
    assert!(local.shows(proved).await);
    local.leave().await;
}

/// Returns adverts of `count` services of a node at one address.
fn adverts(mesh: &MeshName, node: NodeId, count: usize, address: SocketAddr) -> Vec<Advert> {
    (0..count).map(|n| advert(mesh, node, &format!("service/{n}"), identity().0, address)).collect()
}

async fn verify(local: &Node, previous: VerifyProgress, further: bool) -> VerifyProgress {
    let verify = VerifyInstances { filter: Filter::everything(), previous, further };
    local.discovery.send(verify).await.expect("the actor lives")
}

#[actix::test]
async fn services_of_a_node_whose_first_endpoint_answers_are_probed_before_those_of_a_silent_node() {
    const PER_NODE: usize = 40;
    let mesh = own_mesh();
    let local = Node::without_multicast(&mesh);
    let ((_, healthy), (_, silent)) = (identity(), identity());
    let (mut endpoints, mut announced) = (Vec::new(), Vec::new());
    for n in 0..PER_NODE {
        let endpoint = endpoint(&mesh, healthy, None).await;
        announced.push(advert(&mesh, healthy, &format!("healthy/{n}"), endpoint.instance, endpoint.address));
        endpoints.push(endpoint);
    }
    // It accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    announced.extend(adverts(&mesh, silent, PER_NODE, listener.local_addr().expect("bound")));
    local.receive(announced).await;
    let mut progress = verify(&local, VerifyProgress::default(), false).await;
    assert_eq!(progress.asked.len(), 2, "one of each node");
    while progress.answered.len() < PER_NODE {
        time::sleep(Duration::from_millis(5)).await;
        progress = verify(&local, progress, false).await;
        assert!(progress.asked.len() <= PER_NODE + 1, "the others of the silent node wait");
    }
    let answered = |endpoint: &Endpoint| progress.answered.contains(&endpoint.instance);
    assert!(endpoints.iter().all(answered));
    let progress = verify(&local, progress, true).await;
    assert_eq!((progress.asked.len(), progress.open.len()), (2 * PER_NODE, PER_NODE));
    local.leave().await;
}

#[actix::test]
async fn every_silent_endpoint_is_recorded_up_to_the_limit() {
    let mesh = own_mesh();
    let local = Node::without_multicast(&mesh);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    for _ in 0..10 {
        local.receive(adverts(&mesh, identity().1, 30, address)).await;
    }
    let progress = verify(&local, VerifyProgress::default(), true).await;
    assert_eq!((progress.asked.len(), progress.answered.len()), (256, 0), "the others are not probed");
    until("all of them are known not to answer", async || {
        let report = local.discovery.send(GetReport).await.expect("the actor lives");
        let unanswered = report.unanswered.iter().map(|unanswered| unanswered.instance);
        progress.asked == unanswered.collect()
    })
    .await;
    local.leave().await;
}
