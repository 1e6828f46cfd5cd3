//! An actor offered and called by its name. Run it with
//! `cargo run --example hello`.

use actix::prelude::*;
use meshzero::Mesh;
use serde::{Deserialize, Serialize};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Hello(String);

#[derive(Default)]
struct Greeter;

impl Actor for Greeter {
    type Context = Context<Self>;
}

impl Handler<Hello> for Greeter {
    type Result = String;

    fn handle(&mut self, Hello(name): Hello, _: &mut Context<Self>) -> String {
        format!("Hello, {name}!")
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mesh = Mesh::join().await?;
    let service = mesh.advertise("greeter", || Greeter).handles::<Hello>().await?;
    println!("greeter is at {}", service.address());
    let greeter = mesh.discover("greeter").await?;
    println!("{}", greeter.send(Hello("mesh".into())).await?);
    mesh.close().await;
    Ok(())
}
