//! An actor that is called by its name, wherever it runs.
//!
//! ```text
//! both ends in one program      cargo run --example hello
//! or each on a terminal or      cargo run --example hello serve
//! machine of its own            cargo run --example hello Ada
//! ```

use std::env;
use std::error::Error;

use actix::prelude::*;
use meshzero::Mesh;
use serde::{Deserialize, Serialize};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Hello(String);

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
async fn main() -> Result<(), Box<dyn Error>> {
    let part = env::args().nth(1);
    let mesh = Mesh::join().await?;
    match part.as_deref() {
        Some("serve") => {
            let greeter = mesh.advertise("greeter", || Greeter).handles::<Hello>().await?;
            println!("greeter is at {}", greeter.address());
            tokio::signal::ctrl_c().await?;
        }
        Some(name) => greet(&mesh, name).await?,
        None => {
            let _greeter = mesh.advertise("greeter", || Greeter).handles::<Hello>().await?;
            greet(&mesh, "mesh").await?;
        }
    }
    mesh.close().await;
    Ok(())
}

async fn greet(mesh: &Mesh, name: &str) -> Result<(), Box<dyn Error>> {
    let greeter = mesh.discover("greeter").await?;
    println!("{}", greeter.send(Hello(name.to_owned())).await?);
    Ok(())
}
