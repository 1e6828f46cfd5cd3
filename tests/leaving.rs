//! Leaving a mesh, and dropping operations half-way: nothing is left behind, and nothing waits forever.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{AdvertiseError, CallError, DiscoverError, Limits, Mesh};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Ping;

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

impl Handler<Ping> for Quiet {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

#[actix::test]
async fn a_closed_mesh_calls_discovers_and_receives_nothing() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("quiet", || Quiet).handles::<Ping>().await.expect("advertised");
    let by_name = pair.there.discover("quiet").within(PATIENCE).await.expect("found");
    let by_address = pair.reach(&service).await;
    let mut news = by_name.subscribe::<u32>("").await.expect("confirmed");
    let mut other = by_address.subscribe::<u32>("").await.expect("confirmed");
    let mut watch = pair.there.watch("");
    watch.next().await.expect("it is there");
    pair.there.close().await;
    for quiet in [&by_name, &by_address] {
        let error = quiet.send(Ping).await.expect_err("the mesh has been left");
        assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    }
    let error = pair.there.discover("quiet").await.expect_err("the mesh has been left");
    assert!(matches!(error, DiscoverError::Gone(_)), "{error:?}");
    let ends = async {
        assert_eq!(news.next().await, None);
        assert_eq!(other.next().await, None);
        while watch.next().await.is_some() {}
    };
    actix::clock::timeout(PATIENCE, ends).await.expect("subscriptions and watches end");
    until("the publisher has lost its subscribers", || service.publisher().subscribers() == 0).await;
}

#[test]
fn a_call_on_a_mesh_that_was_left_does_not_hang_where_the_mesh_had_its_own_thread() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    meshzero::block_on(async {
        let mesh = Mesh::join().mesh(&name).interfaces("lo").await.expect("joined");
        let service = mesh.advertise("quiet", || Quiet).handles::<Ping>().await.expect("advertised");
        let quiet = mesh.discover("quiet").within(PATIENCE).await.expect("found");
        mesh.close().await;
        let error = quiet.send(Ping).timeout(PATIENCE).await.expect_err("the mesh has been left");
        assert!(error.is_safe_to_repeat(), "{error}");
        mesh.discover("quiet").within(PATIENCE).await.expect_err("the mesh has been left");
        drop(service);
    });
}

#[actix::test]
async fn an_advertisement_that_is_given_up_half_way_is_withdrawn() {
    let pair = Pair::join().await;
    let mut watch = pair.here.watch("quiet");
    {
        let mut advertising = pin!(pair.here.advertise("quiet", || Quiet).into_future());
        let begun = poll_fn(|task| Poll::Ready(advertising.as_mut().poll(task).is_pending())).await;
        assert!(begun, "it takes more than one step");
    }
    // Whether it was advertised or not, in the end there is no service.
    let marker = pair.here.advertise("quiet/marker", || Quiet).await.expect("advertised");
    let mut there = std::collections::BTreeSet::new();
    let settled = async {
        while !there.contains("quiet/marker") || there.contains("quiet") {
            match watch.next().await.expect("goes on") {
                meshzero::WatchEvent::Up(up) => there.insert(up.service.to_string()),
                meshzero::WatchEvent::Down { instance, .. } => there.remove(instance.service.as_str()),
                meshzero::WatchEvent::Moved(_) => false,
            };
        }
    };
    actix::clock::timeout(PATIENCE, settled).await.expect("it is withdrawn");
    drop(marker);
}

#[actix::test]
async fn a_service_more_than_others_keep_of_a_node_is_refused() {
    let limits = {
        let mut limits = Limits::default();
        limits.instances_per_node = 2;
        limits
    };
    let pair = Pair::join_with(limits).await;
    let _first = pair.here.advertise("a", || Quiet).await.expect("advertised");
    let second = pair.here.advertise("b", || Quiet).await.expect("advertised");
    let error = pair.here.advertise("c", || Quiet).await.expect_err("too many");
    assert!(matches!(error, AdvertiseError::TooManyServices(2)), "{error:?}");
    let said = error.to_string();
    for part in ["MESHZERO_LIMITS=instances_per_node=4", "Limits::instances_per_node", "which is 64 unless"] {
        assert!(said.contains(part), "{said}");
    }
    let _unlisted = pair.here.advertise("d", || Quiet).unlisted().await.expect("others do not keep it");
    second.close().await;
    pair.here.advertise("c", || Quiet).await.expect("there is room again").close().await;
}

#[test]
fn joining_that_is_given_up_half_way_leaves_no_thread_behind() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells of threads");
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("meshzero")).count()
    };
    if !cfg!(target_os = "linux") {
        return;
    }
    let before = threads();
    let given_up_half_way = || {
        meshzero::block_on(async {
            let mut joining = pin!(Mesh::join().mesh(&name).interfaces("lo").into_future());
            poll_fn(|task| Poll::Ready(joining.as_mut().poll(task).is_pending())).await
        })
    };
    // If the new thread is faster than this one, joining completes in one poll, and its result is dropped as well.
    assert!((0..100).any(|_| given_up_half_way()), "it takes more than one step");
    let patience = std::time::Instant::now() + PATIENCE;
    while threads() > before {
        assert!(std::time::Instant::now() < patience, "{} threads are left", threads() - before);
        std::thread::sleep(Duration::from_millis(5));
    }
}
