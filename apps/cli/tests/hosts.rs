//! Three hosts on a network of their own, each with a real `mz`: real multicast, real cables.

use std::time::Duration;

use meshzero_testing::{Host, Lan, Process, binary, eventually, require};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

fn mz(host: &Host, arguments: &[&str]) -> Process {
    Process::start(host.command(binary("mz")).args(arguments))
}

/// The output of `mz` when it ends by itself.
fn answer(host: &Host, arguments: &[&str]) -> String {
    mz(host, arguments).succeed(PATIENCE)
}

fn advertise(host: &Host, name: &str, more: &[&str]) -> Process {
    let mut service = mz(host, &[&["advertise", name], more].concat());
    service.expect_line("is at", PATIENCE);
    service
}

fn listed(host: &Host) -> Vec<String> {
    let list = mz(host, &["list", "--json"]);
    let mut list = list;
    list.wait(PATIENCE);
    let names = list.stdout();
    names
        .lines()
        .filter_map(|line| Some(line.split("\"service\":\"").nth(1)?.split('"').next()?.to_owned()))
        .collect()
}

#[test]
fn hosts_find_and_call_each_other() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut service = advertise(lan.host(0), "greeter", &["--reply", "Hello, {}!"]);
    let address = answer(lan.host(1), &["discover", "greeter", "--wait", "20s"]);
    assert!(address.contains(&lan.host(0).address().to_string()), "{address}");
    for host in [1, 2, 0] {
        let reply = answer(lan.host(host), &["send", "greeter", "mesh", "--wait", "20s"]);
        assert_eq!(reply.trim(), "Hello, mesh!");
    }
    // An address found in one place works as a name in another.
    let address = address.lines().next().expect("an address").trim().to_owned();
    assert_eq!(answer(lan.host(2), &["send", &address, "you"]).trim(), "Hello, you!");
    service.interrupt();
    assert!(service.wait(PATIENCE).success(), "Ctrl-C is a way to end, not a failure");
    eventually(PATIENCE, "the goodbye was heard", || listed(lan.host(2)).is_empty().then_some(()));
}

#[test]
fn news_reach_subscribers_on_every_host() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut publisher = mz(lan.host(0), &["publish", "weather", "oslo"]);
    let mut listeners: Vec<Process> =
        [1, 2, 2].map(|host| mz(lan.host(host), &["listen", "weather", "oslo", "--count", "5"])).into();
    eventually(PATIENCE, "the listeners listen", || {
        publisher.send_line("1");
        listeners.iter().all(|listener| listener.stdout().contains("oslo")).then_some(())
    });
    for _ in 0..5 {
        publisher.send_line("2");
    }
    for listener in &mut listeners {
        listener.succeed(PATIENCE);
    }
    publisher.close_stdin();
    publisher.succeed(PATIENCE);
}

#[test]
fn groups_and_watches_see_services_come_and_go() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut watch = mz(lan.host(2), &["list", "--watch"]);
    let _ann = advertise(lan.host(0), "chat/ann", &["--echo"]);
    watch.expect_line("chat/ann", PATIENCE);
    let mut bob = advertise(lan.host(1), "chat/bob", &["--echo"]);
    watch.expect_line("chat/bob", PATIENCE);
    let _other = advertise(lan.host(1), "chatter", &["--echo"]);
    watch.expect_line("chatter", PATIENCE);
    let group = answer(lan.host(0), &["list", "--group", "chat"]);
    assert!(
        group.contains("chat/ann") && group.contains("chat/bob") && !group.contains("chatter"),
        "{group}"
    );
    bob.interrupt();
    bob.wait(PATIENCE);
    let line = watch.expect_line("chat/bob", PATIENCE);
    assert!(line.contains("down") || line.contains("gone") || line.contains('-'), "{line}");
    let group = answer(lan.host(0), &["list", "--group", "chat"]);
    assert!(!group.contains("chat/bob"), "{group}");
}

#[test]
fn instances_share_the_work_and_a_killed_one_is_skipped() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut first = advertise(lan.host(0), "worker", &["--reply", "first"]);
    let _second = advertise(lan.host(1), "worker", &["--reply", "second"]);
    let mut watch = mz(lan.host(2), &["list", "--watch"]);
    for _ in 0..2 {
        watch.expect_line("worker", PATIENCE);
    }
    let addresses = answer(lan.host(2), &["discover", "worker", "--wait", "20s"]);
    assert!(!addresses.trim().is_empty());
    first.kill();
    // Nobody was connected to it but the watch, which notices the process's end.
    watch.expect_line("worker", PATIENCE);
    for _ in 0..5 {
        assert_eq!(answer(lan.host(2), &["send", "worker", "job", "--wait", "20s"]).trim(), "second");
    }
    let list = answer(lan.host(2), &["list"]);
    assert_eq!(list.matches("worker").count(), 1, "{list}");
}

#[test]
fn a_killed_process_is_gone_from_lists_though_nobody_was_connected_to_it() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut service = advertise(lan.host(0), "worker", &["--echo"]);
    eventually(PATIENCE, "it is listed", || (listed(lan.host(1)) == ["worker"]).then_some(()));
    service.kill();
    assert_eq!(listed(lan.host(1)), [] as [&str; 0]);
    let mut discover = mz(lan.host(1), &["discover", "worker", "--wait", "300ms"]);
    assert_eq!(discover.wait(PATIENCE).code(), Some(1));
}

#[test]
fn static_peers_pass_on_what_multicast_does_not() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    lan.block_multicast();
    let hub = format!("{}:9000", lan.host(0).address());
    let peers = ["--peers", &hub];
    let _hub = advertise(lan.host(0), "hub", &["--reply", "hub", "--at", "9000"]);
    let mut alone = mz(lan.host(2), &["discover", "greeter", "--wait", "500ms"]);
    assert_eq!(alone.wait(PATIENCE).code(), Some(1), "multicast is blocked");
    let _service = advertise(lan.host(1), "greeter", &["--reply", "Hello, {}!", peers[0], peers[1]]);
    let reply = answer(lan.host(2), &["send", "greeter", "mesh", "--wait", "20s", peers[0], peers[1]]);
    assert_eq!(reply.trim(), "Hello, mesh!");
    // The hub itself learnt of the service from the peer that joined.
    eventually(PATIENCE, "the hub's host lists both", || {
        let list = answer(lan.host(2), &["list", peers[0], peers[1]]);
        (list.contains("hub") && list.contains("greeter")).then_some(())
    });
}

#[test]
fn a_service_on_loopback_stays_on_its_host() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _service = advertise(lan.host(0), "private", &["--echo", "--interfaces", "lo"]);
    assert_eq!(
        answer(lan.host(0), &["send", "private", "7", "--interfaces", "lo", "--wait", "20s"]).trim(),
        "7"
    );
    let mut other = mz(lan.host(1), &["discover", "private", "--wait", "500ms"]);
    assert_eq!(other.wait(PATIENCE).code(), Some(1));
}

#[test]
fn one_host_measures_another() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut server = mz(lan.host(0), &["bench", "serve", "lab/bench"]);
    server.expect_line("is at", PATIENCE);
    let short = ["--transport", "lab/bench", "--duration", "100ms", "--warm-up", "20ms", "--json"];
    for kind in [&["latency"][..], &["throughput"], &["fanout", "--subscribers", "3"]] {
        let told = answer(lan.host(1), &[&["bench"], kind, &short].concat());
        let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
        let measured = &told["run"]["measured"];
        assert_eq!((measured["lost"].as_u64(), measured["damaged"].as_u64()), (Some(0), Some(0)), "{told}");
        assert!(measured["received"].as_u64().is_some_and(|received| received > 0), "{told}");
        assert!(told["run"]["floors"][0]["what"].as_str().is_some_and(|what| what.contains("TCP")), "{told}");
    }
    let seen =
        answer(lan.host(1), &["bench", "discovery", "--transport", "lab/bench", "--rounds", "2", "--json"]);
    assert!(seen.contains("\"rounds_ms\":["), "{seen}");
    server.interrupt();
    assert!(server.wait(PATIENCE).success(), "Ctrl-C is a way to end, not a failure");
}
