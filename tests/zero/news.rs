//! News: no item is lost at the beginning or between two waits, and items lost later are counted.

use std::sync::mpsc;

use meshzero::zero::{self, ZeroError};
use meshzero::{NewsError, Value};

use super::{PATIENCE, done, in_background, join, unique};

fn advertised(name: &str) -> zero::Address {
    zero::advertise(unique(name)).expect("advertised")
}

/// Each round runs in a thread of its own, which is a subscriber of its own.
#[test]
fn the_first_news_after_a_subscription_are_never_lost() {
    let address = advertised("news");
    for round in 0..50 {
        let (tell, told) = mpsc::channel();
        let listener = in_background(move || {
            assert_eq!(zero::wait_for_news_from::<i32>(address, "", 0).expect("subscribed"), None);
            tell.send(()).expect("the publisher waits");
            zero::wait_for_news_from::<i32>(address, "", PATIENCE)
        });
        told.recv().expect("subscribed");
        zero::send_news_to(address, "round", round).expect("sent");
        assert_eq!(done(listener).expect("it listens"), Some(("round".to_owned(), round)));
    }
}

#[test]
fn nothing_is_lost_between_two_waits_and_nothing_comes_twice() {
    let address = advertised("news");
    let listen = |wait: zero::Wait| {
        zero::wait_for_news_from::<i32>(address, ["a", "ab", "b"], wait).expect("it listens")
    };
    assert_eq!(listen(0.into()), None);
    for number in 0..1000 {
        let topic = ["ab", "a", "b", "c"][number as usize % 4];
        zero::send_news_to(address, topic, number).expect("sent");
    }
    for number in (0..1000).filter(|number| number % 4 != 3) {
        assert_eq!(listen(PATIENCE.into()).map(|(_, data)| data), Some(number));
    }
    assert_eq!(listen(0.into()), None);
}

#[test]
fn dropped_messages_are_counted_and_the_others_arrive() {
    const SENT: u64 = 3_000;
    let address = advertised("news");
    let listen = |wait: zero::Wait| zero::wait_for_news_from::<u64>(address, "", wait);
    assert_eq!(listen(0.into()).expect("subscribed"), None);
    for number in 0..SENT {
        zero::send_news_to(address, "number", number).expect("sent");
    }
    let (mut next, mut missed) = (0, 0);
    while next < SENT {
        match listen(PATIENCE.into()) {
            Ok(news) => {
                assert_eq!(news.expect("more").1, next);
                next += 1;
            }
            Err(ZeroError::News(NewsError::Missed { count, .. })) => {
                next += count;
                missed += count;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(missed > 0, "the backlog is shorter than what was sent");
}

#[test]
fn data_of_another_type_is_an_error_and_the_next_item_arrives() {
    let address = advertised("news");
    let listen = |wait: zero::Wait| zero::wait_for_news_from::<i32>(address, "", wait);
    assert_eq!(listen(0.into()).expect("subscribed"), None);
    zero::send_news_to(address, "height", "tall").expect("sent");
    zero::send_news_to(address, "height", 180).expect("sent");
    match listen(PATIENCE.into()) {
        Err(ZeroError::Unexpected { problem, .. }) => {
            assert!(problem.contains("height") && problem.contains("tall"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(listen(PATIENCE.into()).expect("it continues"), Some(("height".to_owned(), 180)));
}

#[test]
fn impossible_topics_and_empty_lists_say_why() {
    let address = advertised("news");
    for topic in ["x".repeat(129), "a\nb".to_owned()] {
        assert!(matches!(zero::send_news_to(address, &topic, 1), Err(ZeroError::Publish(_))));
        let error = zero::wait_for_news_from::<Value>(address, &topic, PATIENCE).expect_err("no prefix");
        assert!(matches!(error, ZeroError::Subscribe(_)), "{error}");
    }
    let nobody: [zero::Address; 0] = [];
    let error = zero::wait_for_news_from::<Value>(nobody, "", PATIENCE).expect_err("nobody to listen to");
    assert!(error.to_string().contains("addresses"), "{error}");
    let nothing: [&str; 0] = [];
    let error =
        zero::wait_for_news_from::<Value>(address, nothing, PATIENCE).expect_err("nothing to listen to");
    assert!(error.to_string().contains("prefixes"), "{error}");
    assert_eq!(zero::wait_for_news_from::<Value>(address, "", 0).expect("subscribed"), None);
    let long = "x".repeat(2 << 20);
    assert!(matches!(zero::send_news_to(address, "long", long), Err(ZeroError::Publish(_))));
}

/// One publisher that runs and one that is not there: items of the first arrive at once, and of the other when it starts.
#[test]
fn publishers_may_come_later_and_start_again() {
    let here = advertised("news");
    let later = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let later = zero::Address::from(later.expect("a free port"));
    let name = unique("later");
    let listen = |wait: zero::Wait| zero::wait_for_news_from::<String>([here, later], "", wait);
    assert_eq!(listen(0.into()).expect("subscribed"), None);
    zero::send_news_to(here, "here", "now").expect("sent");
    assert_eq!(listen(PATIENCE.into()).expect("it listens"), Some(("here".to_owned(), "now".to_owned())));
    for start in ["first", "second"] {
        zero::advertise_at(&name, later).expect("advertised");
        let (stop, stopped) = mpsc::channel::<()>();
        // It repeats its news, as sensors do, because nobody confirms a subscription to it.
        let publisher = in_background(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                zero::send_news_to(later, "later", start).expect("sent");
                std::thread::yield_now();
            }
        });
        while listen(PATIENCE.into()).ok().flatten().map(|(_, data)| data).as_deref() != Some(start) {}
        drop(stop);
        done(publisher);
        assert!(zero::unadvertise(&name).expect("joined"));
    }
}

/// Sent by another node, so that the news goes over the network, and received in order.
#[actix::test]
async fn news_of_an_actor_arrive_in_order() {
    struct Quiet;
    impl actix::Actor for Quiet {
        type Context = actix::Context<Self>;
    }
    let other = join().await.expect("another node");
    let service = other.advertise(unique("typed"), || Quiet).await.expect("advertised");
    let address = service.address();
    let (tell, told) = tokio::sync::oneshot::channel();
    let listener = in_background(move || {
        assert_eq!(zero::wait_for_news_from::<(u32, String)>(address, "", 0).expect("subscribed"), None);
        tell.send(()).expect("the publisher waits");
        for number in 0..500 {
            let news = zero::wait_for_news_from::<(u32, String)>(address, "", PATIENCE).expect("it listens");
            assert_eq!(news.expect("news").1, (number, format!("number {number}")));
        }
    });
    told.await.expect("subscribed");
    for number in 0..500u32 {
        service.publish("number", &(number, format!("number {number}"))).expect("published");
    }
    while !listener.is_finished() {
        actix::clock::sleep(std::time::Duration::from_millis(5)).await;
    }
    done(listener);
}

#[test]
fn every_thread_receives_all_news_and_one_address_takes_messages_and_news() {
    let address = advertised("both");
    let (tell, told) = mpsc::channel();
    let listeners: Vec<_> = (0..3)
        .map(|_| {
            let tell = tell.clone();
            in_background(move || {
                assert_eq!(zero::wait_for_news_from::<i32>(address, "", 0).expect("subscribed"), None);
                tell.send(()).expect("the publisher waits");
                (0..20).for_each(|number| {
                    let news = zero::wait_for_news_from::<i32>(address, "", PATIENCE).expect("it listens");
                    assert_eq!(news.map(|(_, data)| data), Some(number));
                });
                zero::send_message_to::<i32>(address, 1, PATIENCE)
            })
        })
        .collect();
    (0..3).for_each(|_| told.recv().expect("subscribed"));
    (0..20).for_each(|number| zero::send_news_to(address, "number", number).expect("sent"));
    for _ in 0..3 {
        let message: Option<i32> = zero::wait_for_message_from(address, PATIENCE).expect("it waits");
        zero::send_reply_to(address, message).expect("replied");
    }
    for listener in listeners {
        assert_eq!(done(listener).expect("a reply"), 1);
    }
}
