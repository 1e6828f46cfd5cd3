//! Names and addresses: the valid ones, the network that they are advertised on, and finding them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use meshzero::zero::{self, Advert, FOREVER, IfExists, ZeroError};
use meshzero::{AdvertiseError, DiscoverError, Mesh, Value};

use super::{PATIENCE, done, in_background, joined, unique};

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.expect("a port").port()
}

#[test]
fn impossible_names_say_why() {
    joined();
    for (name, reason) in [("", "at least one"), ("a\nb", "control"), (&*"x".repeat(129), "129 bytes")] {
        let error = zero::advertise(name).expect_err("no name");
        assert!(
            matches!(error, ZeroError::Advertise(AdvertiseError::Name(_)))
                && error.to_string().contains(reason)
        );
        let error = zero::discover(name, 0).expect_err("no name");
        assert!(
            matches!(error, ZeroError::Discover(DiscoverError::Name(_)))
                && error.to_string().contains(reason)
        );
        assert!(!zero::unadvertise(name).expect("nobody has it"));
    }
    // There will be none, so nobody waits for it.
    for name in ["", "a\nb", &"x".repeat(129)] {
        zero::discover(name, zero::FOREVER).expect_err("no name");
    }
    for group in ["a\nb", &"x".repeat(128)] {
        assert_eq!(zero::discover_group(group, zero::FOREVER).expect("listed"), []);
    }
    let longest = format!("{}{}", unique(""), "x".repeat(111));
    assert_eq!(longest.len(), 128);
    zero::advertise(longest).expect("the longest name");
}

#[test]
fn a_name_that_is_not_found_lists_the_names_that_are() {
    let heard = unique("somebody");
    zero::advertise(&heard).expect("advertised");
    let started = Instant::now();
    let error = zero::discover("nobody at all", 0.1).expect_err("nobody has this name");
    assert!(started.elapsed() >= Duration::from_millis(100));
    let text = error.to_string();
    assert!(text.contains("\"nobody at all\"") && text.contains("on lo"), "{text}");
    match error {
        ZeroError::Discover(DiscoverError::NotFound(found)) => {
            assert!(found.service_names.contains(&heard), "{:?}", found.service_names);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_url_is_refused_at_once_and_says_what_to_write() {
    joined();
    let url = "tcp://127.0.0.1:9";
    let errors = [
        zero::discover(url, FOREVER).map(drop),
        zero::send_message_to::<Value>(url, "hello", FOREVER).map(drop),
        zero::wait_for_message_from::<Value>(url, FOREVER).map(drop),
        zero::wait_for_news_from::<Value>(url, "", FOREVER).map(drop),
        zero::address_at(url).map(drop),
        zero::advertise_at(unique("url"), url).map(drop),
    ];
    for error in errors {
        let text = error.expect_err("it is a URL").to_string();
        assert!(
            text.contains(url) && (text.contains("such as 127.0.0.1:9") || text.contains("write")),
            "{text}"
        );
    }
    // Any other text is a valid name.
    let name = unique("scheme://name");
    assert_eq!(zero::advertise(&name).expect("advertised"), zero::discover(&name, PATIENCE).expect("found"));
}

#[test]
fn a_name_that_comes_later_is_waited_for() {
    let name = unique("late");
    let sought = name.clone();
    let finder = in_background(move || zero::discover(sought, PATIENCE));
    let address = zero::advertise(name).expect("advertised");
    assert_eq!(done(finder).expect("found"), address);
}

#[test]
fn a_name_keeps_its_address_until_it_is_moved() {
    let name = unique("robot");
    let first = zero::advertise(&name).expect("advertised");
    assert_eq!(zero::advertise(&name).expect("as before"), first);
    assert_eq!(zero::advertise_at(&name, first).expect("as before"), first);
    let port = free_port();
    let second = zero::advertise_at(&name, port).expect("moved");
    assert_eq!(second.port(), port);
    assert_eq!(zero::discover(&name, PATIENCE).expect("found"), second);
    assert_eq!(
        zero::discover_group_with(&name, 0, zero::Group { separator: "".into(), ..Default::default() })
            .expect("listed"),
        [(name.clone(), second)]
    );
    assert!(zero::unadvertise(&name).expect("joined"));
    assert!(!zero::unadvertise(&name).expect("joined"));
    assert!(zero::discover(&name, 0.1).is_err());
}

#[actix::test]
async fn a_name_that_must_be_new_is() {
    let name = unique("only one");
    let only = Advert { if_exists: IfExists::Fail, ..Advert::default() };
    let first = zero::advertise_with(&name, only.clone()).expect("it is new");
    match zero::advertise_with(&name, only.clone()) {
        Err(ZeroError::Advertise(AdvertiseError::Exists { address, .. })) => {
            assert_eq!(address, first.socket_addr());
        }
        other => panic!("{other:?}"),
    }
    let unlisted = zero::address().expect("an address");
    let at = Advert { at: Some(unlisted.to_string()), ..only };
    let other = unique("another one");
    assert_eq!(zero::advertise_with(&other, at).expect("it is new"), unlisted);
}

#[test]
fn instances_of_one_name_in_one_program_leave_each_other_as_they_are() {
    let name = unique("instances");
    let another = Advert { if_exists: IfExists::AnotherInstance, ..Advert::default() };
    let plain = zero::advertise(&name).expect("advertised");
    let instances = [(); 2].map(|()| zero::advertise_with(&name, another.clone()).expect("advertised"));
    assert_eq!(zero::advertise(&name).expect("as before"), plain);
    assert_eq!(zero::advertised(&name).expect("joined"), [plain, instances[0], instances[1]]);
    let moved = zero::advertise_at(&name, free_port()).expect("it moves");
    assert_eq!(zero::advertised(&name).expect("joined"), [instances[0], instances[1], moved]);
    assert!(zero::unadvertise_at(instances[0]).expect("joined"));
    assert!(!zero::unadvertise_at(instances[0]).expect("joined"));
    assert_eq!(zero::advertised(&name).expect("joined"), [instances[1], moved]);
    let only = Advert { if_exists: IfExists::Fail, ..Advert::default() };
    assert!(zero::advertise_with(&name, only).is_err());
    assert!(zero::unadvertise(&name).expect("joined"));
    assert!(!zero::unadvertise(&name).expect("joined"));
    for address in [instances[1], moved] {
        drop(std::net::TcpListener::bind(address.socket_addr()).expect("nobody listens there"));
    }
}

#[test]
fn an_address_made_before_can_be_advertised_later() {
    let name = unique("later");
    let address = zero::address_at("127.0.0.*").expect("an address");
    let sender = in_background(move || zero::send_message_to::<i32>(address, 1, PATIENCE));
    let early: Option<i32> = zero::wait_for_message_from(address, PATIENCE).expect("it listens");
    assert_eq!(zero::advertise_at(&name, address).expect("advertised"), address);
    assert_eq!(zero::discover(&name, PATIENCE).expect("found"), address);
    zero::send_reply_to(address, early).expect("it was kept");
    assert_eq!(done(sender).expect("a reply"), 1);
    match zero::advertise_at(unique("second"), address) {
        Err(ZeroError::SecondName { name: has, .. }) => assert_eq!(has, name),
        other => panic!("{other:?}"),
    }
    assert!(zero::unadvertise(&name).expect("joined"));
    assert!(zero::discover(&name, 0.1).is_err());
}

#[test]
fn addresses_are_completed() {
    joined();
    let port = free_port();
    assert_eq!(zero::address_at(port).expect("an address").port(), port);
    assert!(zero::address_at("127.0.0.1").expect("an address").to_string().starts_with("127.0.0.1:"));
    assert!(zero::address_at("localhost").expect("an address").socket_addr().ip().is_loopback());
    assert_eq!(zero::address_at("192.0.2.1:9").expect("another computer's").to_string(), "192.0.2.1:9");
    assert_ne!(zero::address().expect("an address"), zero::address().expect("another one"));
    assert!(zero::address().expect("an address").port() >= 49_152);
    assert!(zero::advertise(unique("dynamic")).expect("an address").port() >= 49_152);
    // The address was only named, and nobody listens there.
    let named = zero::address().expect("an address");
    drop(std::net::TcpListener::bind(named.socket_addr()).expect("nobody listens there"));
    assert_eq!(zero::advertise_at(unique("named"), named).expect("it is free again"), named);
    for at in ["99999", "10.255.255.*", "192.0.2.1", "a b", "no-such-host.invalid"] {
        assert!(matches!(zero::address_at(at), Err(ZeroError::Advertise(_))), "{at}");
    }
    let again = zero::advertise_at(unique("taken"), port).expect("an address of ours without a name");
    assert_eq!(again.port(), port);
}

#[test]
fn joining_after_the_first_verb_is_too_late() {
    joined();
    let error = zero::join(Mesh::join()).expect_err("it is too late");
    assert!(matches!(error, ZeroError::AlreadyJoined { .. }), "{error}");
}

#[test]
fn another_way_to_write_an_own_address_leads_to_it() {
    let address = zero::advertise(unique("here")).expect("advertised");
    let text = format!("localhost:{}", address.port());
    let sender = in_background(move || zero::send_message_to::<Value>(text, 1, PATIENCE));
    let text = address.to_string();
    assert_eq!(zero::wait_for_message_from::<i32>(&text, PATIENCE).expect("it waits"), Some(1));
    zero::send_reply_to(text, ()).expect("replied");
    assert_eq!(done(sender).expect("a reply"), Value::Null);
}
