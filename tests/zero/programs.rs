//! The programs of NetworkZero's documentation, each written like its parts, with threads in place of terminals.

use std::fs;

use meshzero::Value;
use meshzero::zero::{self, FOREVER, Group, ZeroError};

use super::{PATIENCE, done, in_background, unique};

/// hello: a message and its reply.
#[test]
fn hello() {
    let name = unique("hello");
    let server = {
        let name = name.clone();
        in_background(move || -> Result<(), ZeroError> {
            let address = zero::advertise(&name)?;
            for _ in 0..2 {
                let name: Option<String> = zero::wait_for_message_from(address, PATIENCE)?;
                zero::send_reply_to(address, format!("Hello, {}!", name.unwrap_or_default()))?;
            }
            Ok(())
        })
    };
    let hello = zero::discover(&name, PATIENCE).expect("somebody says hello");
    let reply: String = zero::send_message_to(hello, "World", PATIENCE).expect("a reply");
    assert_eq!(reply, "Hello, World!");
    let reply: String = zero::send_message_to(hello, "Tim", FOREVER).expect("a reply");
    assert_eq!(reply, "Hello, Tim!");
    done(server).expect("it served");
}

/// polling: looking for a message while doing other useful things.
#[test]
fn polling() {
    let address = zero::advertise(unique("poller")).expect("advertised");
    assert_eq!(zero::wait_for_message_from::<String>(address, 0).expect("nothing yet"), None);
    let sender =
        in_background(move || zero::send_message_to::<String>(address, "This is a message", PATIENCE));
    let mut useful_things = 0;
    let message = loop {
        match zero::wait_for_message_from::<String>(address, 0).expect("it can be polled") {
            Some(message) => break message,
            None => useful_things += 1,
        }
        std::thread::yield_now();
    };
    zero::send_reply_to(address, format!("Received: {message}, after {useful_things} useful things"))
        .expect("replied");
    assert!(done(sender).expect("a reply").starts_with("Received: This is a message, after "));
}

/// autoreply: messages that need no answer.
#[test]
fn autoreply() {
    let address = zero::advertise(unique("lamp")).expect("advertised");
    let sender = in_background(move || -> Result<(), ZeroError> {
        zero::send_message_to::<()>(address, "red", PATIENCE)?;
        assert_eq!(zero::send_message_to::<Value>(address, "green", PATIENCE)?, Value::Null);
        Ok(())
    });
    for colour in ["red", "green"] {
        let told = zero::wait_for_message_from_autoreply::<String>(address, PATIENCE).expect("it waits");
        assert_eq!(told.as_deref(), Some(colour));
    }
    assert!(zero::send_reply_to(address, ()).is_err(), "it has been replied to");
    done(sender).expect("both were answered");
}

/// news on a topic: every listener receives its topics, from its first wait on.
#[test]
fn news_on_a_topic() {
    let weather = zero::advertise(unique("weather")).expect("advertised");
    let listen = |prefix: &'static str, expected: Vec<&'static str>| {
        let (tell, told) = std::sync::mpsc::channel();
        let listener = in_background(move || {
            assert_eq!(zero::wait_for_news_from::<f64>(weather, prefix, 0).expect("subscribed"), None);
            tell.send(()).expect("the publisher waits");
            for topic in expected {
                let news = zero::wait_for_news_from::<f64>(weather, prefix, PATIENCE).expect("it listens");
                assert_eq!(news.expect("news").0, topic);
            }
        });
        told.recv().expect("it listens");
        listener
    };
    let listeners = [
        listen("", vec!["temperature", "wind/speed", "wind/gust"]),
        listen("wind", vec!["wind/speed", "wind/gust"]),
        listen("wind/gust", vec!["wind/gust"]),
    ];
    for (topic, value) in [("temperature", 21.5), ("wind/speed", 4.0), ("wind/gust", 9.0)] {
        zero::send_news_to(weather, topic, value).expect("sent");
    }
    listeners.into_iter().for_each(done);
}

/// news from several sources: movement sensors, found as a group.
#[test]
fn news_from_several_sources() {
    let group = unique("movement");
    let sensors: Vec<_> = ["hall", "garden", "garage", "attic"]
        .iter()
        .map(|sensor| zero::advertise(format!("{group}/{sensor}")).expect("advertised"))
        .collect();
    let found = zero::discover_group(&group, PATIENCE).expect("listed");
    let addresses: Vec<_> = found.iter().map(|(_, address)| *address).collect();
    assert_eq!(addresses.len(), 4);
    type Movement = (String, bool);
    assert_eq!(zero::wait_for_news_from::<Movement>(&addresses, "", 0).expect("subscribed"), None);
    for (number, sensor) in sensors.iter().enumerate() {
        zero::send_news_to(sensor, "movement", (format!("sensor {number}"), number % 2 == 0)).expect("sent");
    }
    let mut heard: Vec<Movement> = Vec::new();
    while heard.len() < 4 {
        let news = zero::wait_for_news_from::<Movement>(&addresses, "", PATIENCE).expect("it listens");
        heard.push(news.expect("news").1);
    }
    heard.sort();
    let expected: Vec<Movement> =
        (0..4).map(|number| (format!("sensor {number}"), number % 2 == 0)).collect();
    assert_eq!(heard, expected);
}

/// groups, here with another separator, and without oneself.
#[test]
fn groups_with_another_separator() {
    let chat = unique("chat");
    let names: Vec<String> = ["alice", "bob", "doug"].iter().map(|name| format!("{chat}:{name}")).collect();
    let addresses: Vec<_> = names.iter().map(|name| zero::advertise(name).expect("advertised")).collect();
    let _other = zero::advertise(format!("{chat}/eve")).expect("advertised");
    let colon = Group { separator: ":".into(), ..Group::default() };
    let found = zero::discover_group_with(&chat, PATIENCE, colon.clone()).expect("listed");
    let expected: Vec<_> = names.iter().cloned().zip(addresses).collect();
    assert_eq!(found, expected);
    let others = Group { exclude: vec![names[1].clone()], ..colon };
    let found = zero::discover_group_with(&chat, PATIENCE, others).expect("listed");
    assert_eq!(found, [expected[0].clone(), expected[2].clone()]);
    let all = zero::discover_all(PATIENCE).expect("listed");
    assert!(expected.iter().all(|one| all.contains(one)), "{all:?}");
}

/// sending a file: its bytes are a value.
#[test]
fn sending_a_file() {
    let gallery = zero::advertise(unique("gallery")).expect("advertised");
    let contents: Vec<u8> = (0..500_000u32).map(|number| (number % 251) as u8).collect();
    let path = std::env::temp_dir().join(unique("picture"));
    fs::write(&path, &contents).expect("written");
    let sender = in_background(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let bytes = Value::from(fs::read(&path)?);
        zero::send_message_to::<()>(gallery, (file_name, &bytes), PATIENCE)?;
        zero::send_message_to::<()>(gallery, (file_name, bytes), PATIENCE)?;
        // As NetworkZero has to do it, and as a plain list of numbers.
        let text = zero::bytes_to_string(&fs::read(&path)?);
        zero::send_message_to::<()>(gallery, (file_name, text), PATIENCE)?;
        zero::send_message_to::<()>(gallery, (file_name, fs::read(&path)?), PATIENCE)?;
        fs::remove_file(&path)?;
        Ok(())
    });
    type File<T> = Option<(String, T)>;
    let file: File<Value> = zero::wait_for_message_from_autoreply(gallery, PATIENCE).expect("it waits");
    let (name, bytes) = file.expect("a file");
    assert!(name.starts_with("picture"));
    assert_eq!(bytes.as_bytes(), Some(contents.as_slice()));
    let file: File<Vec<u8>> = zero::wait_for_message_from_autoreply(gallery, PATIENCE).expect("it waits");
    assert_eq!(file.expect("a file").1, contents);
    let file: File<String> = zero::wait_for_message_from_autoreply(gallery, PATIENCE).expect("it waits");
    assert_eq!(zero::string_to_bytes(&file.expect("a file").1).expect("base64"), contents);
    let file: File<Vec<u8>> = zero::wait_for_message_from_autoreply(gallery, PATIENCE).expect("it waits");
    assert_eq!(file.expect("a file").1, contents);
    done(sender).expect("sent");
}

/// the anagram server: a reply, or nothing.
#[test]
fn anagrams() {
    let name = unique("anagram");
    let address = zero::advertise(&name).expect("advertised");
    let server = in_background(move || -> Result<(), ZeroError> {
        let sorted = |word: &str| {
            let mut letters: Vec<char> = word.chars().collect();
            letters.sort_unstable();
            letters
        };
        let words = ["network", "python", "crab", "zero"];
        while let Some(anagram) = zero::wait_for_message_from::<String>(address, PATIENCE)? {
            if anagram.is_empty() {
                return zero::send_reply_to(address, ());
            }
            let anagram = anagram.to_lowercase();
            let found = words.iter().find(|word| sorted(word) == sorted(anagram.trim()));
            zero::send_reply_to(address, found)?;
        }
        Ok(())
    });
    let solver = zero::discover(&name, PATIENCE).expect("found");
    let solve = |word: &str| zero::send_message_to::<Option<String>>(solver, word, PATIENCE);
    assert_eq!(solve("Barc ").expect("a reply").as_deref(), Some("crab"));
    assert_eq!(solve("typhon").expect("a reply").as_deref(), Some("python"));
    assert_eq!(solve("rust").expect("a reply"), None);
    zero::send_message_to::<()>(solver, "", PATIENCE).expect("it ends");
    done(server).expect("it served");
}

/// A robot that takes commands as typed lines.
#[test]
fn commands() {
    let robot = zero::advertise(unique("robot")).expect("advertised");
    let sender = in_background(move || zero::send_message_to::<String>(robot, "GO 'far away' 3", PATIENCE));
    let line: Option<String> = zero::wait_for_message_from(robot, PATIENCE).expect("it waits");
    let (action, params) = zero::action_and_params(&line.expect("a line")).expect("a command");
    zero::send_reply_to(robot, format!("{action} {}", params.join("+"))).expect("replied");
    assert_eq!(done(sender).expect("a reply"), "GO far away+3");
}
