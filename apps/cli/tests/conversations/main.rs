//! Conversations between the `mz` of this system and that of another one, which an emulator runs: `cargo xtask cross` starts
//! this as `conversations MZ NAME WORD... -- WORD...`, where the first words stand for the other `mz`, and those behind the
//! dashes, if there are any, for a program that tells another what a console of Windows tells it.

#![allow(clippy::print_stdout, reason = "it tells what was talked about")]

mod console;
mod goodbye;
mod speaker;
mod topics;

use std::ffi::OsString;
use std::time::Instant;

use speaker::Speaker;
use topics::Topic;

fn main() {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let usage = "conversations MZ NAME WORD... -- [WORD...]";
    let [mz, name, rest @ ..] = words.as_slice() else { panic!("{usage}") };
    let dashes = rest.iter().position(|word| word == "--").expect(usage);
    let this = Speaker::new("this system", std::slice::from_ref(mz));
    let other = Speaker::new(&name.to_string_lossy(), &rest[..dashes]);
    println!("{other} has {}", other.version());
    for (server, caller) in [(&other, &this), (&this, &other)] {
        for Topic { said, talk } in topics::ALL {
            let started = Instant::now();
            talk(server, caller);
            println!("{caller} with {server}: {said} ({} ms)", started.elapsed().as_millis());
        }
    }
    if let Some(console) = Speaker::with(&rest[dashes + 1..]) {
        for (event, said) in console::EVENTS {
            console::ends_well(&console, &other, &this, event);
            println!("{other} says goodbye: {said}");
        }
    }
}
