//! The disposable network itself: connected hosts reach each other, cut, lossy or blocked ones do not, and nothing is left
//! behind.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use meshzero_testing::{Host, Lan, Process, eventually, require};

const SOON: Duration = Duration::from_secs(20);
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5454);

/// A program on `host` that prints each datagram it receives.
fn listener(host: &Host) -> Process {
    let mut process = Process::start(host.command(PROBE).args(["listen", &host.address().to_string()]));
    process.expect_line("ready", SOON);
    process
}

/// A program on `host` that sends each line it is given to the address in the first word.
fn sender(host: &Host) -> Process {
    Process::start(host.command(PROBE).args(["send", &host.address().to_string()]))
}

const PROBE: &str = env!("CARGO_BIN_EXE_meshzero-probe");

fn address_of(host: &Host) -> SocketAddr {
    SocketAddr::new(host.address(), GROUP.port())
}

/// Sends numbered datagrams until one arrives.
fn reaches(sender: &mut Process, to: SocketAddr, receiver: &Process, word: &str) {
    eventually(SOON, "a datagram arrives", || {
        sender.send_line(&format!("{to} {word}"));
        receiver.stdout().contains(word).then_some(())
    });
}

#[test]
fn hosts_reach_each_other_by_unicast_and_multicast() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let receivers = [listener(lan.host(1)), listener(lan.host(2))];
    let mut sender = sender(lan.host(0));
    reaches(&mut sender, address_of(lan.host(1)), &receivers[0], "unicast");
    reaches(&mut sender, GROUP, &receivers[1], "multicast");
    reaches(&mut sender, GROUP, &receivers[0], "multicast");
    assert!(!receivers[1].stdout().contains("unicast"), "unicast is for one host");
}

#[test]
fn blocked_multicast_leaves_unicast_alone() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let receiver = listener(lan.host(1));
    let mut sender = sender(lan.host(0));
    lan.block_multicast();
    for _ in 0..20 {
        sender.send_line(&format!("{GROUP} blocked"));
    }
    // Sent after the others on the same cable: when this has arrived, they would have too.
    reaches(&mut sender, address_of(lan.host(1)), &receiver, "unicast");
    assert!(!receiver.stdout().contains("blocked"));
    lan.allow_multicast();
    reaches(&mut sender, GROUP, &receiver, "allowed");
}

#[test]
fn a_cut_host_is_alone_until_healed() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let (cut, other) = (listener(lan.host(1)), listener(lan.host(2)));
    let mut sender = sender(lan.host(0));
    reaches(&mut sender, address_of(lan.host(1)), &cut, "before");
    lan.host(1).cut();
    for _ in 0..20 {
        sender.send_line(&format!("{} while", address_of(lan.host(1))));
    }
    reaches(&mut sender, address_of(lan.host(2)), &other, "meanwhile");
    assert!(!cut.stdout().contains("while"));
    lan.host(1).heal();
    reaches(&mut sender, address_of(lan.host(1)), &cut, "after");
}

#[test]
fn loss_drops_what_it_should() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let receiver = listener(lan.host(1));
    let mut sender = sender(lan.host(0));
    let to = address_of(lan.host(1));
    let arrived = |word: &str| receiver.stdout().lines().filter(|line| line.contains(word)).count();

    lan.host(1).loss(0.5);
    for _ in 0..400 {
        sender.send_line(&format!("{to} half"));
    }
    lan.host(1).loss(1.0);
    for _ in 0..20 {
        sender.send_line(&format!("{to} none"));
    }
    lan.host(1).loss(0.0);
    reaches(&mut sender, to, &receiver, "healed");
    assert_eq!(arrived("none"), 0);
    let half = arrived("half");
    // Ten standard deviations on either side of the mean.
    assert!((100..=300).contains(&half), "{half} of 400 arrived");
}

#[test]
fn a_dual_host_is_on_both_networks() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let mut process = Process::start(lan.host(1).command("ip").args(["-o", "-4", "addr", "show", "up"]));
    let addresses = process.succeed(SOON);
    for address in ["10.77.0.2/24", "10.78.0.2/24", "127.0.0.1/8"] {
        assert!(addresses.contains(address), "{addresses}");
    }
}

#[test]
fn a_loopback_host_has_nothing_else() {
    if !require::netns() {
        return;
    }
    let lan = Lan::loopback_only();
    assert!(lan.host(0).address().is_loopback());
    let links = Process::start(lan.host(0).command("ip").args(["-o", "link"])).succeed(SOON);
    assert_eq!(links.lines().count(), 1, "{links}");
}

#[test]
fn nothing_stays_behind_not_even_what_still_runs() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    // A process group of its own: not even the harness knows the child of this shell.
    let mut shell =
        Process::start(lan.host(0).command("sh").args(["-c", "setsid sleep 600 & echo child $!; wait"]));
    let line = shell.expect_line("child", SOON);
    let pid = line.trim_start_matches("child ").to_owned();
    let host = Process::start(Command::new("ip").args(["netns", "identify", &pid])).succeed(SOON);
    let (name, _) = host.trim().rsplit_once('-').expect("a host's name ends with its number");
    let networks = || Process::start(Command::new("ip").args(["netns", "list"])).succeed(SOON);
    assert_eq!(networks().matches(&format!("{name}-")).count(), 3, "two hosts and a switch");
    let is_running = || std::path::Path::new("/proc").join(&pid).exists();
    assert!(is_running());
    drop(lan);
    eventually(SOON, "the child is gone", || (!is_running()).then_some(()));
    eventually(SOON, "the shell is gone", || (!shell.is_running()).then_some(()));
    assert!(!networks().contains(&format!("{name}-")));
}

#[test]
fn leftovers_of_a_killed_test_are_removed() {
    if !require::netns() {
        return;
    }
    // No process has this id: it is above Linux's largest.
    let name = "meshzero-test-4194305-0-1";
    Process::start(Command::new("ip").args(["netns", "add", name])).wait(SOON);
    // Only the first network of a process looks for leftovers, and another test of this process may have been the first.
    let own = std::env::current_exe().expect("a test knows its own file");
    let arguments = ["--exact", "a_loopback_host_has_nothing_else"];
    Process::start(Command::new(own).args(arguments)).succeed(SOON);
    let listed = Process::start(Command::new("ip").args(["netns", "list"])).succeed(SOON);
    assert!(!listed.contains(name), "{listed}");
}
