//! A panic in the discovery actor.

use super::*;

/// A message whose handler panics.
#[derive(Message)]
#[rtype(result = "()")]
struct Stumble;

impl Handler<Stumble> for Discovery {
    type Result = ();

    fn handle(&mut self, Stumble: Stumble, _: &mut Self::Context) {
        panic!("a fault of its own");
    }
}

#[actix::test]
async fn a_panic_costs_discovery_one_message_and_nothing_else() {
    let mesh = own_mesh();
    let (here, there) = (Node::start(&mesh), Node::start(&mesh));
    let mut watcher = here.watch(Filter::everything()).await;
    let _before = there.offer("before").await;
    assert_eq!(up(&mut watcher).await.service, name("before"));
    for node in [&here, &there] {
        node.discovery.send(Stumble).await.expect_err("it panics");
    }
    let after = there.offer("after").await;
    assert_eq!(up(&mut watcher).await.service, name("after"));
    assert_eq!(here.list().await.len(), 2, "what was known is known still");
    let instance = after.instance;
    drop(after);
    there.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut watcher).await.0, name("after"));
    here.leave().await;
    there.leave().await;
}
