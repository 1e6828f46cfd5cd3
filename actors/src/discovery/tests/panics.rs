//! A panic in the discovery actor.

use super::*;

/// A message whose handler panics.
#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Discovery {
    type Result = ();

    fn handle(&mut self, Panic: Panic, _: &mut Self::Context) {
        panic!("a bug");
    }
}

#[actix::test]
async fn discovery_loses_only_the_message_whose_handler_panics() {
    let mesh = own_mesh();
    let (watching, offering) = (Node::start(&mesh), Node::start(&mesh));
    let mut watcher = watching.watch(Filter::everything()).await;
    let _before = offering.offer("before").await;
    assert_eq!(up(&mut watcher).await.service, name("before"));
    for node in [&watching, &offering] {
        node.discovery.send(Panic).await.expect_err("it panics");
    }
    let after = offering.offer("after").await;
    assert_eq!(up(&mut watcher).await.service, name("after"));
    assert_eq!(watching.list().await.len(), 2, "its state is kept");
    let instance = after.instance;
    drop(after);
    offering.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut watcher).await.0, name("after"));
    watching.leave().await;
    offering.leave().await;
}
