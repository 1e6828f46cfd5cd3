//! zenoh: queries, puts both ways, and publishers that wait where the network is slower.

mod one_way;
mod puts;
mod queries;

use peers_common::{Control, Load, Plan, Result, Role, free_address};
use zenoh::{Config, Session, Wait};

/// The key of calls, and that of their replies.
const PING: &str = "peers/ping";
const PONG: &str = "peers/pong";
/// The key of one-way messages.
const ITEM: &str = "peers/item";
/// The key of a query whose reply shows that the server knows everything declared before.
const SYNC: &str = "peers/sync";

#[tokio::main(worker_threads = 2)]
async fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, because what runs in `main` itself is no task of the workers.
    tokio::spawn(async move { run(&plan, &control).await }).await?
}

async fn run(plan: &Plan, control: &Control) -> Result {
    match (plan.way.as_str(), plan.role, plan.load) {
        ("query", Role::Server, _) => queries::answer(plan, control).await,
        ("query", Role::Client, Load::RoundTrip) => queries::round_trips(plan, control).await,
        ("query", Role::Client, Load::Calls) => queries::calls(plan, control).await,
        ("put" | "put-low", Role::Server, Load::RoundTrip | Load::Calls) => puts::answer(plan, control).await,
        ("put" | "put-low", Role::Client, Load::RoundTrip) => puts::round_trips(plan, control).await,
        ("put" | "put-low", Role::Client, Load::Calls) => puts::calls(plan, control).await,
        ("pub", Role::Server, _) => one_way::publish(plan, control).await,
        ("pub", Role::Client, _) => one_way::subscribe(plan, control).await,
        (way, role, load) => Err(format!("no {load:?} by {way} for a {role:?}").into()),
    }
}

/// A session that listens, and its address.
async fn listen(plan: &Plan) -> Result<(Session, String)> {
    let address = format!("tcp/{}", free_address()?);
    let mut config = config(plan)?;
    config.insert_json5("listen/endpoints", &format!("[{address:?}]"))?;
    Ok((zenoh::open(config).await?, address))
}

/// A session that is connected to the server.
async fn connect(plan: &Plan) -> Result<Session> {
    let mut config = config(plan)?;
    config.insert_json5("connect/endpoints", &format!("[{:?}]", plan.at))?;
    config.insert_json5("connect/exit_on_failure", "true")?;
    config.insert_json5("listen/endpoints", "[]")?;
    zenoh::open(config).await
}

/// The default configuration, without discovery: peers that talk to each other directly.
fn config(plan: &Plan) -> Result<Config> {
    let mut config = Config::default();
    config.insert_json5("mode", "\"peer\"")?;
    config.insert_json5("scouting/multicast/enabled", "false")?;
    config.insert_json5("scouting/gossip/enabled", "false")?;
    if plan.way == "put-low" {
        config.insert_json5("transport/unicast/lowlatency", "true")?;
        config.insert_json5("transport/unicast/qos/enabled", "false")?;
    }
    Ok(config)
}

/// Answers the queries of peers that wait until their declarations are known.
async fn answer_syncs(session: &Session) -> Result {
    session
        .declare_queryable(SYNC)
        .callback(|query| {
            if let Err(error) = query.reply(SYNC, "").wait() {
                eprintln!("{error}");
            }
        })
        .background()
        .await?;
    Ok(())
}

/// Waits until the server knows what was declared here.
async fn sync(session: &Session) -> Result {
    loop {
        let replies = session.get(SYNC).await?;
        if replies.recv_async().await.is_ok() {
            return Ok(());
        }
        // The server's own declaration may still be in flight.
        tokio::task::yield_now().await;
    }
}

async fn stay(control: &Control, session: Session) -> Result {
    control.over().await;
    session.close().await?;
    Ok(())
}
