//! A program for the tests of the verbs: it advertises its first argument and ends in the way that a line of input says.

#![allow(clippy::print_stdout, reason = "it is heard by its lines")]

use meshzero::Value;
use meshzero::zero::{self, FOREVER, ZeroError};

fn main() -> Result<(), ZeroError> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let address = zero::advertise(&name)?;
    println!("{address}");
    let mut order = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut order) {
        println!("{error}");
    }
    match order.trim() {
        // With a subscription, and a thread that waits forever.
        "return" => {
            let own = zero::address()?;
            std::thread::spawn(move || zero::wait_for_message_from::<Value>(own, FOREVER));
            zero::wait_for_news_from::<Value>([own, address], "", 0)?;
        }
        "exit" => std::process::exit(7),
        "close" => {
            zero::close();
            println!("closed");
            let again = zero::advertise(&name)?;
            println!("{again}");
            zero::wait_for_message_from_autoreply::<String>(again, FOREVER)?;
        }
        "fail" => drop(zero::discover("nobody at all", 0)?),
        other => println!("{other}"),
    }
    Ok(())
}
