//! A connection that is cut after any number of bytes: nothing is lost, duplicated or out of order.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use meshzero::Blob;
use meshzero_testing::{Cut, Direction, Event, Fault, FaultProxy, Faults, Links};
use tokio::sync::Semaphore;

use super::rig::{Item, Rig, Sender, news_records};
use crate::pair::{PATIENCE, until};

/// The number of cuts at the same time.
const SIDE_BY_SIDE: usize = 16;

/// The bytes of a stream at which it is cut, each of them: the greeting, the catalogue and the first messages.
const FIRST: Range<u64> = 0..400;

fn cut(way: Direction, bytes: u64) -> Faults {
    // Every other connection ends as if the peer had closed it.
    let how = if bytes.is_multiple_of(2) { Cut::Reset } else { Cut::Close };
    let fault = Fault::after(bytes, Event::Cut(how));
    match way {
        Direction::Up => Faults { up: fault, ..Faults::default() },
        Direction::Down => Faults { down: fault, ..Faults::default() },
    }
}

/// Calls and tells, mixed, so many that more than [`FIRST`] bytes go in either direction.
async fn talk(sender: &mut Sender) {
    for number in 0..24_u8 {
        if number % 3 == 1 {
            sender.tell(Blob::from(vec![number; 8])).await;
        } else {
            sender.call(Blob::from(vec![number; 8])).await;
        }
        if number % 8 == 7 {
            sender.finish().await;
        }
    }
    sender.finish().await;
}

/// Runs a test at each byte and in both directions, many at a time, each behind a proxy of its own.
async fn at_each<F>(
    rig: &Arc<Rig>,
    bytes: impl Iterator<Item = u64> + Clone,
    mut experiment: impl FnMut(u64, Direction, u64, FaultProxy) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut experiments = Vec::new();
    for way in [Direction::Up, Direction::Down] {
        for byte in bytes.clone() {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            let experiment = experiment(experiments.len() as u64, way, byte, rig.proxy());
            experiments.push(actix::spawn(async move {
                actix::clock::timeout(PATIENCE, experiment)
                    .await
                    .unwrap_or_else(|_| panic!("{way:?} {byte}: it hangs"));
                drop(place);
            }));
        }
    }
    for experiment in experiments {
        experiment.await.expect("it succeeds");
    }
}

#[actix::test]
async fn a_link_that_is_cut_at_any_byte_of_its_first_connection_loses_doubles_and_reorders_nothing() {
    let rig = Arc::new(Rig::new().await);
    at_each(&rig.clone(), FIRST, |name, way, byte, proxy| {
        let rig = Arc::clone(&rig);
        async move {
            proxy.next(cut(way, byte));
            let mut sender = rig.sender(name, &proxy).await;
            talk(&mut sender).await;
            assert!(proxy.connections() > 1, "{way:?} {byte}: it was cut");
        }
    })
    .await;
    until("all are handled", || rig.service.unfinished() == 0).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.begun, tally.executed), (24 * 2 * 400, 24 * 2 * 400), "{tally:?}");
}

#[actix::test]
async fn a_link_that_is_cut_again_at_any_byte_while_it_goes_on_loses_nothing_either() {
    let rig = Arc::new(Rig::new().await);
    at_each(&rig.clone(), FIRST, |name, way, byte, proxy| {
        let rig = Arc::clone(&rig);
        async move {
            let mut sender = rig.sender(name, &proxy).await;
            sender.call(Blob::from(vec![1; 100])).await;
            sender.finish().await;
            proxy.next(cut(way, byte));
            for _ in 0..4 {
                sender.call(Blob::from(vec![1; 300])).await;
                sender.tell(Blob::from(vec![1; 30])).await;
            }
            proxy.cut(Cut::Reset);
            talk(&mut sender).await;
            assert!(proxy.connections() > 2, "{way:?} {byte}: it was cut twice");
        }
    })
    .await;
    until("all are handled", || rig.service.unfinished() == 0).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.begun, tally.executed), (33 * 2 * 400, 33 * 2 * 400), "{tally:?}");
}

#[actix::test]
async fn a_subscription_that_is_cut_at_any_byte_misses_and_repeats_nothing() {
    const ITEMS: u64 = 40;
    let rig = Arc::new(Rig::new().await);
    let bytes = (0..400).step_by(3);
    let all = bytes.clone().count() as u64 * 2;
    at_each(&rig.clone(), bytes, |stream, way, byte, proxy| {
        let rig = Arc::clone(&rig);
        async move {
            let worker = rig.sender(stream, &proxy).await.worker;
            // The link for requests is connected already, so that this one is for news.
            proxy.next(cut(way, byte));
            let topic = format!("{stream}/");
            let mut news = worker.subscribe::<Item>(&topic).await.expect("it is not cut again");
            for number in 0..ITEMS {
                let item = Item { number, padding: vec![7; 20].into() };
                rig.service.publish_all(&topic, &item).await.expect("published");
            }
            for _ in 0..ITEMS {
                let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
                rig.account.note(news_records(stream, 1, &next.expect("it continues")));
            }
            assert_eq!(rig.account.promises(|promises| promises.next_item(stream)), Some(ITEMS));
        }
    })
    .await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.items, tally.missed, tally.lost), (all * ITEMS, 0, 0), "{tally:?}");
}

#[actix::test]
async fn a_flipped_bit_costs_its_own_link_at_most() {
    let rig = Arc::new(Rig::new().await);
    let clean = rig.proxy();
    let mut other = rig.sender(u64::MAX, &clean).await;
    at_each(&rig.clone(), (0..300).step_by(2), |_, way, byte, proxy| {
        let rig = Arc::clone(&rig);
        async move {
            let damage = Fault::after(byte, Event::Corrupt);
            proxy.next(match way {
                Direction::Up => Faults { up: damage, ..Faults::default() },
                Direction::Down => Faults { down: damage, ..Faults::default() },
            });
            // The account of such a link would be corrupted as well: only that messages end counts.
            let found =
                rig.pair.there.discover(proxy.address().to_string()).within(Duration::from_secs(1)).await;
            let Ok(worker) = found else { return };
            for number in 0..10 {
                let message =
                    super::rig::Numbered { sender: u64::MAX - 1, number, padding: vec![1; 9].into() };
                let allowed = Duration::from_millis(300);
                // Any outcome is right.
                drop(worker.send(message).timeout(allowed).await);
            }
        }
    })
    .await;
    talk(&mut other).await;
    until("all are handled", || rig.service.unfinished() == 0).await;
    assert!(
        other
            .worker
            .send(super::rig::Numbered { sender: 0, number: 0, padding: Blob::default() })
            .await
            .is_ok()
    );
}
