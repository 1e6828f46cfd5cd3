//! The waits as futures: an item that arrived for a dropped future is delivered again.

use std::sync::Arc;
use std::thread;

use meshzero::block_on;
use meshzero::value::Packed;
use meshzero::zero::future::{self, Item, Listener};
use meshzero::zero::{self, Address, FOREVER, ZeroError};

use super::{PATIENCE, done, in_background, unique};

/// A number as MessagePack.
fn number(number: u8) -> Packed {
    Packed::from(vec![number])
}

fn listening() -> (Address, Listener) {
    let address = zero::advertise(unique("futures")).expect("advertised");
    let listener = Listener::new(vec![address], vec![String::new()]).expect("joined");
    block_on(listener.confirmed()).expect("the publisher is there");
    (address, listener)
}

fn next(listener: &Listener) -> Item {
    block_on(listener.next(PATIENCE)).expect("it is open").expect("something comes")
}

fn taken(item: Item) -> Packed {
    item.take().expect("an item").item
}

#[test]
fn items_published_after_the_confirmation_of_a_subscription_arrive() {
    for n in 0..20 {
        let (address, listener) = listening();
        future::send_news_to(address, "n", &number(n)).expect("published");
        assert_eq!(taken(next(&listener)), number(n));
    }
}

#[test]
fn items_that_nobody_took_come_again_in_order() {
    let (address, listener) = listening();
    for n in 0..4 {
        future::send_news_to(address, "n", &number(n)).expect("published");
    }
    let (first, second, third) = (next(&listener), next(&listener), next(&listener));
    drop(second);
    drop(third);
    drop(first);
    for n in 0..4 {
        assert_eq!(taken(next(&listener)), number(n));
    }
    assert!(listener.next_now().expect("it is open").is_none());
}

#[test]
fn items_that_came_before_another_are_taken_before_it() {
    let (address, listener) = listening();
    for n in 0..3 {
        future::send_news_to(address, "n", &number(n)).expect("published");
    }
    let (first, second) = (next(&listener), next(&listener));
    drop(first);
    assert_eq!(taken(second), number(0));
    for n in 1..3 {
        assert_eq!(taken(next(&listener)), number(n));
    }
}

#[test]
fn an_item_that_is_put_back_goes_to_a_waiter() {
    let (address, listener) = listening();
    let listener = Arc::new(listener);
    future::send_news_to(address, "n", &number(1)).expect("published");
    let item = next(&listener);
    let waiting = Arc::clone(&listener);
    let waiter = in_background(move || taken(next(&waiting)));
    drop(item);
    assert_eq!(done(waiter), number(1));
}

#[test]
fn closing_ends_every_wait() {
    let (address, listener) = listening();
    let listener = Arc::new(listener);
    let waits = || {
        let listener = Arc::clone(&listener);
        thread::spawn(move || block_on(listener.next(FOREVER)).map(|_| ()))
    };
    let waiters = [waits(), waits()];
    // No waiter blocks another.
    assert!(block_on(listener.next(0)).expect("it is open").is_none());
    listener.close();
    for waiter in waiters {
        assert!(matches!(done(waiter), Err(ZeroError::Closed)));
    }
    future::send_news_to(address, "n", &number(1)).expect("published");
    assert!(matches!(listener.next_now(), Err(ZeroError::Closed)));
    assert!(matches!(block_on(listener.confirmed()), Err(ZeroError::Closed)));
}

#[test]
fn a_message_that_was_not_taken_waits_again_before_later_ones() {
    let name = unique("arrivals");
    let address = zero::advertise(&name).expect("advertised");
    let send = |n| in_background(move || zero::send_message_to::<u8>(address, n, PATIENCE));
    let arrival = || {
        let arrival = block_on(future::wait_for_message_from(address, PATIENCE));
        arrival.expect("it is open").expect("a message comes")
    };
    let first = send(1);
    let untaken = arrival();
    let second = send(2);
    drop(untaken);
    for (n, sender) in [(1, first), (2, second)] {
        let request = arrival().take();
        assert_eq!(request.message(), &number(n));
        request.reply(&number(n + 10));
        assert_eq!(done(sender).expect("a reply"), n + 10);
    }
    let sender = send(3);
    let untaken = arrival();
    assert!(zero::unadvertise(name).expect("joined"));
    // The waiter is gone, and so is the address: the sender may try elsewhere.
    drop(untaken);
    assert!(matches!(done(sender), Err(ZeroError::Call(error)) if error.is_safe_to_repeat()));
}
