//! A program of its own for the tests of the verbs: it advertises its first argument and ends as it is told.

#![allow(clippy::print_stdout, reason = "it is heard by its lines")]

use meshzero::Value;
use meshzero::zero::{self, FOREVER, ZeroError};

fn main() -> Result<(), ZeroError> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let address = zero::advertise(&name)?;
    println!("{address}");
    while let Some(order) = zero::wait_for_message_from_autoreply::<String>(address, FOREVER)? {
        match order.as_str() {
            // With a message in hand, a subscription, and a thread that waits for ever.
            "return" => {
                std::thread::spawn(move || zero::wait_for_message_from::<Value>(address, FOREVER));
                let own = zero::address()?;
                zero::wait_for_news_from::<Value>([own, address], "", 0)?;
                return Ok(());
            }
            "exit" => std::process::exit(7),
            "close" => {
                zero::close();
                println!("closed");
                let again = zero::advertise(&name)?;
                println!("{again}");
                zero::wait_for_message_from_autoreply::<String>(again, FOREVER)?;
                return Ok(());
            }
            "fail" => zero::discover("nobody at all", 0).map(drop)?,
            other => println!("{other}"),
        }
    }
    Ok(())
}
