//! Lists, which say what of theirs did not answer.

use std::time::{Duration, Instant};

use meshzero_testing::{Lan, eventually, require};
use serde_json::Value;

use super::{PATIENCE, answer, mz, serve};

#[test]
fn a_list_marks_what_does_not_answer_behind_a_firewall_and_in_another_network() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(4);
    let _dropping = serve(lan.host(0), &["dropping", "--echo", "--at", "9000"]);
    let _free = serve(lan.host(2), &["free", "--echo", "--at", "9000"]);
    let _elsewhere = serve(lan.host(3), &["elsewhere", "--echo", "--at", "9000"]);
    let _own = serve(lan.host(1), &["own", "--echo", "--at", "9001"]);
    let caller = lan.host(1);
    eventually(PATIENCE, "all are listed", || {
        let listed = answer(caller, &["list"]);
        ["dropping", "free", "elsewhere", "own"].iter().all(|name| listed.contains(name)).then_some(())
    });
    lan.host(0).rule("INPUT -p tcp -j DROP");
    // It says by multicast where it is, and there is no way to that network.
    lan.host(3).configure(
        "ip addr flush dev eth0
         ip addr add 10.99.0.4/24 brd + dev eth0",
    );
    eventually(PATIENCE, "it is announced there", || {
        let begun = Instant::now();
        let mut list = mz(caller, &["--json", "list"]);
        let listed = list.succeed(PATIENCE);
        let took = begun.elapsed();
        let entries: Vec<Value> =
            listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let is_silent = |entry: &Value| entry["service"] == "dropping" || entry["service"] == "elsewhere";
        for entry in &entries {
            // Where the machine is busy, something has no time to answer: that is not known then.
            let told = entry["answers"].as_bool();
            assert!(told.is_none_or(|answers| answers != is_silent(entry)), "{entry}");
        }
        assert!(took < Duration::from_secs(20), "{took:?}");
        let said = list.stderr();
        let told = |name: &str| said.contains(&format!("\"unreachable\":\"{name}\""));
        assert!(!told("free") && !told("own"), "{said}");
        let all_known = entries.iter().all(|entry| entry["answers"].is_boolean());
        (all_known && told("dropping") && told("elsewhere") && said.contains("10.99.0.4")).then_some(())
    });
    let mut list = mz(caller, &["list"]);
    let listed = list.succeed(PATIENCE);
    let row = |name: &str| listed.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(row("dropping").is_some_and(|row| row.ends_with("does not answer")), "{listed}");
    assert!(row("free").is_some_and(|row| !row.contains("does not answer")), "{listed}");
    assert!(list.stderr().contains("does not answer: \"dropping\" is announced at 10.77.0.1"), "{listed}");
}
