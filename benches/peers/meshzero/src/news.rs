//! News: one publisher, and subscribers that are supervised actors.

use actix::prelude::*;
use meshzero::{News, NewsError, Subscription};
use peers_common::{Control, Numbers, Payload, Plan, Result, Sink, Tally, shared_body};

use crate::messages::Echoes;
use crate::server::name;
use crate::{found, join};

const TOPIC: &str = "item";

pub(crate) async fn publish<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = found(plan).await?;
    let service = mesh.advertise(name(0), || Echoes).publishes::<P>(TOPIC).await?;
    control.ready(mesh.name());
    control.go().await;
    let body = shared_body(plan.size);
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        service.publish_all(TOPIC, &P::new(number, &body)).await?;
    }
    numbers.tell();
    control.over().await;
    mesh.close().await;
    Ok(())
}

pub(crate) async fn subscribe<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = join(plan, &plan.at).await?;
    let publisher = mesh.discover(name(0)).await?;
    let mut services = Vec::new();
    for (index, tally) in Sink::start(plan, control, plan.subscribers)?.into_iter().enumerate() {
        let (mut tally, mut news) = (Some(tally), Some(publisher.subscribe::<P>(TOPIC).await?));
        let make = move || Subscriber { tally: tally.take().unwrap_or_default(), news: news.take() };
        services.push(mesh.advertise(format!("subscriber-{index}"), make).await?);
    }
    control.ready("");
    control.over().await;
    mesh.close().await;
    Ok(())
}

/// Checks the numbers of its news.
struct Subscriber<P> {
    tally: Tally,
    news: Option<Subscription<P>>,
}

impl<P: Payload> Actor for Subscriber<P> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        if let Some(news) = self.news.take() {
            news.add_to(context);
        }
    }
}

impl<P: Payload> StreamHandler<std::result::Result<News<P>, NewsError>> for Subscriber<P> {
    fn handle(&mut self, news: std::result::Result<News<P>, NewsError>, _: &mut Context<Self>) {
        // Missed items are detected by their missing numbers.
        if let Ok(news) = news {
            self.tally.take(news.item.number());
        }
    }
}
