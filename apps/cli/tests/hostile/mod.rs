//! Strangers at the door: named attacks on the real `mz`, over real sockets. After each the process lives, has not grown
//! beyond what the attack is allowed to cost, and answers others, as it did all the while.

mod callers;
mod capabilities;
mod floods;
mod framing;
mod greetings;
mod messages;
mod multicast;
mod news;
mod peers;
mod stranger;
mod victim;
mod zmtp;

use std::time::Instant;

use victim::{Attack, Victim};

/// Attacks that there are at least.
const LEAST: usize = 60;

#[test]
fn every_attack_is_survived_and_nobody_else_notices() {
    let attacks: Vec<Attack> = [
        greetings::attacks(),
        framing::attacks(),
        messages::attacks(),
        news::attacks(),
        peers::attacks(),
        floods::attacks(),
        multicast::attacks(),
        zmtp::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(attacks.len() >= LEAST, "there are only {}", attacks.len());
    let mut victim = Victim::start();
    for attack in attacks {
        let begun = Instant::now();
        let grown = victim.survives(&attack);
        println!("{:>6.2} s {:>8} KiB  {}", begun.elapsed().as_secs_f64(), grown >> 10, attack.name);
    }
    victim.leaves_no_trace();
}
