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
struct Within(Box<Run>);

impl Handler<Within> for Discovery {
    type Result = ();

    fn handle(&mut self, Within(run): Within, ctx: &mut Self::Context) {
        run(self, ctx);
    }
}

impl Node {
    fn deaf(mesh: &MeshName) -> Self {
        Self::start_with(mesh, deaf(), Vec::new())
    }

    async fn within<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Discovery, &mut Context<Discovery>) -> T + Send + 'static,
    ) -> T {
        let (result, returned) = oneshot::channel();
        let run = Within(Box::new(move |this, ctx| drop(result.send(run(this, ctx)))));
        self.discovery.send(run).await.expect("the actor lives");
        returned.await.expect("it has run")
    }

    /// Receives announcements of services as by multicast.
    async fn hear(&self, adverts: Vec<Advert>) {
        self.within(|this, ctx| {
            for advert in adverts {
                let changes = this.directory.add_advert(advert, AdvertSource::Mdns, clock::now());
                this.apply(changes, None, ctx);
            }
        })
        .await;
    }

    async fn shows(&self, instance: InstanceId) -> bool {
        self.within(move |this, _| this.directory.is_shown(instance)).await
    }
}

/// Returns the identities of a new instance and a new node.
fn identity() -> (InstanceId, NodeId) {
    (InstanceId::from_random(random()), NodeId::from_random(random()))
}

/// An address without a listener.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

#[actix::test]
async fn a_refusal_takes_down_no_instance_that_has_answered_since() {
    let mesh = own_mesh();
    let here = Node::deaf(&mesh);
    let ((proved, node), (dead, _)) = (identity(), identity());
    here.hear(vec![advert(&mesh, node, "proved", proved, NOBODY), advert(&mesh, node, "dead", dead, NOBODY)])
        .await;
    here.within(move |this, ctx| {
        for instance in [proved, dead] {
            Handler::<InstanceUnreachable>::handle(
                this,
                InstanceUnreachable { instance, verdict: Verdict::Dead },
                ctx,
            );
        }
    })
    .await;
    here.discovery
        .send(InstanceVerified { instance: proved, address: NOBODY })
        .await
        .expect("the actor lives");
    // It was judged later, so the decision about the other one is final.
    until("the one that is dead is gone", async || !here.shows(dead).await).await;
    assert!(here.shows(proved).await);
    here.leave().await;
}

#[actix::test]
async fn a_node_that_could_not_be_dialled_is_not_given_up_once_an_instance_of_it_has_answered() {
    let mesh = own_mesh();
    let here = Node::deaf(&mesh);
    let ((proved, living), (dead, died)) = (identity(), identity());
    here.hear(vec![
        advert(&mesh, living, "proved", proved, NOBODY),
        advert(&mesh, died, "dead", dead, NOBODY),
    ])
    .await;
    here.within(move |this, ctx| {
        for node in [living, died] {
            Handler::<DialFailed>::handle(this, DialFailed { node, verdict: Some(Verdict::Dead) }, ctx);
        }
    })
    .await;
    here.discovery
        .send(InstanceVerified { instance: proved, address: NOBODY })
        .await
        .expect("the actor lives");
    until("the node that is dead is given up", async || !here.shows(dead).await).await;
    assert!(here.shows(proved).await);
    here.leave().await;
}

/// Returns adverts of `count` services of a node at one address.
fn adverts(mesh: &MeshName, node: NodeId, count: usize, address: SocketAddr) -> Vec<Advert> {
    (0..count).map(|n| advert(mesh, node, &format!("service/{n}"), identity().0, address)).collect()
}

async fn prove(here: &Node, previous: VerifyProgress, further: bool) -> VerifyProgress {
    let prove = VerifyInstances { filter: Filter::everything(), previous, further };
    here.discovery.send(prove).await.expect("the actor lives")
}

#[actix::test]
async fn of_many_services_those_of_a_node_whose_first_answers_are_asked_at_once_and_others_later() {
    const EACH: usize = 40;
    let mesh = own_mesh();
    let here = Node::deaf(&mesh);
    let ((_, healthy), (_, silent)) = (identity(), identity());
    let (mut endpoints, mut announced) = (Vec::new(), Vec::new());
    for n in 0..EACH {
        let endpoint = endpoint(&mesh, healthy, None).await;
        announced.push(advert(&mesh, healthy, &format!("healthy/{n}"), endpoint.instance, endpoint.address));
        endpoints.push(endpoint);
    }
    // It accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    announced.extend(adverts(&mesh, silent, EACH, listener.local_addr().expect("bound")));
    here.hear(announced).await;
    let mut proving = prove(&here, VerifyProgress::default(), false).await;
    assert_eq!(proving.asked.len(), 2, "one of each node");
    while proving.answered.len() < EACH {
        time::sleep(Duration::from_millis(5)).await;
        proving = prove(&here, proving, false).await;
        assert!(proving.asked.len() <= EACH + 1, "the others of the silent node wait");
    }
    let answered = |endpoint: &Endpoint| proving.answered.contains(&endpoint.instance);
    assert!(endpoints.iter().all(answered));
    let proving = prove(&here, proving, true).await;
    assert_eq!((proving.asked.len(), proving.open.len()), (2 * EACH, EACH));
    here.leave().await;
}

#[actix::test]
async fn of_the_most_services_that_are_probed_every_silent_one_is_remembered() {
    let mesh = own_mesh();
    let here = Node::deaf(&mesh);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    for _ in 0..10 {
        here.hear(adverts(&mesh, identity().1, 30, address)).await;
    }
    let proving = prove(&here, VerifyProgress::default(), true).await;
    assert_eq!((proving.asked.len(), proving.answered.len()), (256, 0), "the others are not asked");
    until("all of them are known not to answer", async || {
        let report = here.discovery.send(GetReport).await.expect("the actor lives");
        let unanswered = report.unanswered.iter().map(|unanswered| unanswered.instance);
        proving.asked == unanswered.collect()
    })
    .await;
    here.leave().await;
}
