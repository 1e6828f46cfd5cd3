//! Hosts as they are: with more interfaces or addresses than anybody expects, with none but link-local ones, or with a program
//! that has the port of mDNS for itself.

use std::time::{Duration, Instant};

use meshzero_testing::{Host, Lan, Process, binary, eventually, require};

use super::{PATIENCE, answer, failure, mz, serve};

fn advertise(host: &Host, name: &str) -> Process {
    serve(host, &[name, "--reply", "Hello, {}!"])
}

/// Runs many commands of `ip` in one process.
fn ip(host: &Host, commands: &str) {
    let mut batch = Process::start(host.command("ip").args(["-batch", "-"]));
    commands.lines().for_each(|command| batch.send_line(command));
    batch.close_stdin();
    batch.succeed(PATIENCE);
}

/// A program that has the port of mDNS for itself in these families, until its standard input ends.
fn hold_port(host: &Host, families: &[&str]) -> Process {
    let bind = |family: &&str| {
        let all = if *family == "AF_INET" { "0.0.0.0" } else { "::" };
        format!(
            "s = socket.socket(socket.{family}, socket.SOCK_DGRAM)\n{}s.bind(('{all}', 5353))\nheld.append(s)\n",
            if *family == "AF_INET" {
                ""
            } else {
                "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
            }
        )
    };
    let hold: String = families.iter().map(bind).collect();
    let hold =
        format!("import socket, sys\nheld = []\n{hold}print('holds it', flush=True)\nsys.stdin.read()");
    let mut holder = Process::start(host.command("python3").args(["-c", &hold]));
    holder.expect_line("holds it", PATIENCE);
    holder
}

fn calls(host: &Host, name: &str) {
    assert_eq!(answer(host, &["send", name, "you", "--wait", "25s"]), "Hello, you!");
}

#[test]
fn of_more_interfaces_than_a_socket_can_join_on_those_are_used_that_lead_to_others() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (crowded, other) = (lan.host(0), lan.host(1));
    // The interface to others is the last, as after a restart of a server with containers.
    let bridges: String = (1..=25)
        .map(|n| {
            format!(
                "link add br-{n} type bridge\nlink set br-{n} up\naddr add 172.18.{n}.1/24 dev br-{n}\n\
                 link add vp{n} type veth peer name vq{n}\nlink set vp{n} master br-{n} up\nlink set vq{n} up\n"
            )
        })
        .collect();
    ip(crowded, &bridges);
    lan.replug(0);
    let mut service = advertise(crowded, "here");
    service.expect_error_line("too many network interfaces", PATIENCE);
    calls(other, "here");
    let _there = advertise(other, "there");
    calls(crowded, "there");
    // It is used again when it has been away.
    lan.replug(0);
    eventually(PATIENCE, "the service is found again", || {
        mz(other, &["discover", "here", "--wait", "1s"]).wait(PATIENCE).success().then_some(())
    });
    let told = service.stderr().matches("too many network interfaces").count();
    assert_eq!(told, 1, "{}", service.stderr());
}

#[test]
fn a_program_that_has_the_port_of_mdns_for_itself_is_told_of_and_waited_for() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut holder = hold_port(lan.host(0), &["AF_INET", "AF_INET6"]);
    let mut service = advertise(lan.host(0), "greeter");
    service.expect_error_line("holds UDP port 5353 for itself", PATIENCE);
    let mut search = mz(lan.host(1), &["discover", "greeter", "--wait", "1s"]);
    assert!(!search.wait(PATIENCE).success());
    // Here as well: the holder of the port is asked, and nobody else. It takes no longer than it may, and is said
    // once.
    let begun = Instant::now();
    let (code, said) = failure(lan.host(0), &["list", "--wait", "500ms"]);
    assert_eq!(code, Some(1));
    assert!(begun.elapsed() < Duration::from_millis(1_700), "{:?}", begun.elapsed());
    let (warnings, goodbyes) = (said.matches("WARN").count(), said.matches("goodbye").count());
    assert_eq!((warnings, goodbyes), (1, 0), "{said}");
    holder.close_stdin();
    holder.succeed(PATIENCE);
    service.expect_error_line("announced by multicast DNS again", PATIENCE);
    calls(lan.host(1), "greeter");
    assert_eq!(service.stderr().matches("WARN").count(), 2, "{}", service.stderr());
}

#[test]
fn where_a_program_has_the_port_of_mdns_in_ipv6_that_is_told_and_ipv4_is_used() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let mut holder = hold_port(lan.host(0), &["AF_INET6"]);
    let mut service = advertise(lan.host(0), "greeter");
    service.expect_error_line("holds UDP port 5353 for itself in IPv6", PATIENCE);
    calls(lan.host(1), "greeter");
    calls(lan.host(0), "greeter");
    holder.close_stdin();
    holder.succeed(PATIENCE);
    service.expect_error_line("announced by multicast DNS again", PATIENCE);
    lan.host(1).configure("ip -4 addr flush dev eth0");
    calls(lan.host(1), "greeter");
}

#[test]
fn link_local_addresses_are_enough() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.configure(
            "ip addr flush dev eth0
             ip link set eth0 down
             ip link set eth0 up",
        );
        eventually(PATIENCE, "the interface has a link-local address", || {
            host.ask_ip(&["addr", "show", "dev", "eth0"]).contains("fe80:").then_some(())
        });
    }
    let _service = advertise(lan.host(0), "greeter");
    calls(lan.host(1), "greeter");
    let found = answer(lan.host(1), &["discover", "greeter", "--wait", "20s"]);
    assert!(found.starts_with("[fe80::"), "{found}");
}

#[test]
fn a_caller_with_very_many_addresses_asks_with_a_few_sockets() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _service = advertise(lan.host(0), "greeter");
    let many: String =
        (0..1_500).map(|n| format!("addr add 10.99.{}.{}/32 dev eth0\n", n / 250, n % 250 + 1)).collect();
    ip(lan.host(1), &many);
    // With as many descriptors as programs have by default in many a place.
    let limited = format!("ulimit -n 256; exec {} send greeter you --wait 25s", binary("mz").display());
    let reply = Process::start(lan.host(1).command("sh").args(["-c", &limited])).succeed(PATIENCE);
    assert_eq!(reply.trim(), "Hello, you!");
    let mut nobody = mz(lan.host(1), &["discover", "nobody", "--wait", "1s"]);
    assert!(!nobody.wait(PATIENCE).success());
    assert!(nobody.stderr().len() < 2_000, "{} bytes", nobody.stderr().len());
}
