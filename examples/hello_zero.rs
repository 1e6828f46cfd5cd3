//! A greeting in five lines each way, with the blocking verbs. Run it in two terminals, or on two computers:
//! `cargo run --example hello_zero` answers, `cargo run --example hello_zero World` asks.

use meshzero::zero;

fn main() -> Result<(), zero::ZeroError> {
    match std::env::args().nth(1) {
        None => answer(),
        Some(name) => ask(&name),
    }
}

fn answer() -> Result<(), zero::ZeroError> {
    let address = zero::advertise("hello")?;
    println!("hello is at {address}");
    while let Some(name) = zero::wait_for_message_from::<String>(address, zero::FOREVER)? {
        zero::send_reply_to(address, format!("Hello, {name}!"))?;
    }
    Ok(())
}

fn ask(name: &str) -> Result<(), zero::ZeroError> {
    let hello = zero::discover("hello", 10)?;
    let reply: String = zero::send_message_to(hello, name, 5)?;
    println!("{reply}");
    Ok(())
}
