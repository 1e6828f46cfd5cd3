//! A fleet: each robot is an actor in a process of its own, and a coordinator sends them to waypoints by request. The
//! reply comes when the robot has arrived; its pose it tells all the time, as news. When a robot dies, its waypoint is
//! given to another, because driving to it twice does no harm.
//!
//! ```text
//! all of it, ended by itself      cargo run --example robots -- demo
//! or each on a terminal or        cargo run --example robots -- robot a
//! machine of its own              cargo run --example robots -- robot b
//!                                 cargo run --example robots -- coordinator
//! ```
//!
//! A number after a robot's name is its speed in metres a second.

mod demo;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use std::{env, fmt, process};

use actix::prelude::*;
use meshzero::{Mesh, News, Publisher, ServiceName, WatchEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use demo::{Demo, Result, Role, stopped};

/// Robots move, and tell their pose, 50 times a second.
const TICK: Duration = Duration::from_millis(20);
/// How far a robot drives in a second, in metres, if nothing else is said.
const SPEED: f32 = 8.0;
/// How far away a place may be, in metres.
const REACH: f32 = 1_000.0;
/// No drive takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a robot that was there a moment ago is looked for.
const NEARBY: Duration = Duration::from_secs(1);

const WAYPOINTS: [(&str, Point); 9] = [
    ("dock", Point { x: 0.0, y: 5.0 }),
    ("gate", Point { x: 6.0, y: 1.0 }),
    ("well", Point { x: 2.0, y: 7.0 }),
    ("barn", Point { x: 7.0, y: 7.0 }),
    ("mill", Point { x: 9.0, y: 3.0 }),
    ("oak", Point { x: 1.0, y: 2.0 }),
    ("shed", Point { x: 4.0, y: 9.0 }),
    ("pond", Point { x: 8.0, y: 0.0 }),
    ("hill", Point { x: 3.0, y: 4.0 }),
];

/// A place, in metres.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f32,
    y: f32,
}

/// Drives there. The reply is where the robot arrived.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<Point, Declined>")]
struct Go {
    to: Point,
}

/// Why a robot does not go.
#[derive(Debug, Serialize, Deserialize)]
enum Declined {
    /// It is on its way to somewhere else.
    Busy,
    /// The place is out of its reach, or is none.
    TooFar,
}

struct Robot {
    news: Publisher,
    speed: f32,
    at: Point,
    drive: Option<Drive>,
}

struct Drive {
    to: Point,
    arrived: oneshot::Sender<Point>,
}

impl Actor for Robot {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(TICK, Self::tick);
    }
}

impl Handler<Go> for Robot {
    type Result = ResponseFuture<Result<Point, Declined>>;

    fn handle(&mut self, Go { to }: Go, _: &mut Context<Self>) -> Self::Result {
        if self.drive.is_some() {
            return Box::pin(async { Err(Declined::Busy) });
        }
        // Anybody may send: what is no number is not within reach either, and would be driven to for ever.
        let within_reach = self.at.distance(to) <= REACH;
        if !within_reach {
            return Box::pin(async { Err(Declined::TooFar) });
        }
        println!("drives to {to}");
        let (arrived, arrival) = oneshot::channel();
        self.drive = Some(Drive { to, arrived });
        Box::pin(async { arrival.await.map_err(|_| Declined::Busy) })
    }
}

impl Robot {
    fn new(news: Publisher, speed: f32) -> Self {
        Self { news, speed, at: Point { x: 0.0, y: 0.0 }, drive: None }
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        if let Some(drive) = self.drive.take() {
            self.at = self.at.towards(drive.to, self.speed * TICK.as_secs_f32());
            if self.at == drive.to {
                // Whoever sent the robot may have gone.
                let _ = drive.arrived.send(self.at);
            } else {
                self.drive = Some(drive);
            }
        }
        if self.news.publish("pose", &self.at).is_err() {
            context.stop();
        }
    }
}

impl Point {
    /// The place that is `step` nearer to `goal`, or `goal` itself.
    fn towards(self, goal: Point, step: f32) -> Point {
        let far = self.distance(goal);
        if far <= step {
            return goal;
        }
        let part = step / far;
        Point { x: self.x + (goal.x - self.x) * part, y: self.y + (goal.y - self.y) * part }
    }

    fn distance(self, other: Point) -> f32 {
        (other.x - self.x).hypot(other.y - self.y)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:.1}, {:.1})", self.x, self.y)
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "it is busy",
            Self::TooFar => "it is too far",
        })
    }
}

#[actix::main]
async fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments == ["demo"] {
        return play();
    }
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["robot", name] => robot(&mesh, name, SPEED).await?,
        ["robot", name, speed] => robot(&mesh, name, speed.parse()?).await?,
        ["coordinator"] => coordinator(&mesh).await?,
        _ => return Err("say: robots demo, robots coordinator, or robots robot NAME [SPEED]".into()),
    }
    mesh.close().await;
    Ok(())
}

async fn robot(mesh: &Mesh, name: &str, speed: f32) -> Result {
    let robot = mesh
        .advertise_with(format!("robot/{name}"), move |news| Robot::new(news, speed))
        .handles::<Go>()
        .publishes::<Point>("pose")
        .fail_if_exists()
        .await?;
    println!("{} is process {} at {}", robot.name(), process::id(), robot.address());
    stopped().await;
    Ok(())
}

/// What the coordinator knows of a robot.
#[derive(Default)]
struct Record {
    reached: usize,
    poses: u64,
    at: Option<Point>,
}

async fn coordinator(mesh: &Mesh) -> Result {
    let started = Instant::now();
    let say = |robot: &ServiceName, what: String| {
        println!("{:5.2} s  {robot:<10} {what}", started.elapsed().as_secs_f32());
    };
    let mut fleet = mesh.watch("robot/");
    let mut poses = mesh.discover_group("robot").subscribe::<Point>("pose").latest().await?;
    let mut idle: VecDeque<ServiceName> = VecDeque::new();
    let mut todo = VecDeque::from(WAYPOINTS);
    let mut drives = JoinSet::new();
    let mut records: BTreeMap<ServiceName, Record> = BTreeMap::new();
    let mut stopped = std::pin::pin!(stopped());

    println!("{} waypoints; waiting for robots", todo.len());
    while !(todo.is_empty() && drives.is_empty()) {
        while !(idle.is_empty() || todo.is_empty())
            && let (Some(robot), Some((place, to))) = (idle.pop_front(), todo.pop_front())
        {
            say(&robot, format!("goes to {place} {to}"));
            let mesh = mesh.clone();
            drives.spawn(async move {
                let arrival = go(&mesh, &robot, to).await;
                (robot, (place, to), arrival)
            });
        }
        tokio::select! {
            Some(event) = fleet.next() => match event {
                WatchEvent::Up(robot) => {
                    say(&robot.service, "joins the fleet".to_owned());
                    idle.push_back(robot.service);
                }
                WatchEvent::Down { instance: robot, why } => {
                    say(&robot.service, format!("is gone: {why}"));
                    idle.retain(|name| *name != robot.service);
                }
                WatchEvent::Moved(_) => {}
            },
            Some(Ok(News { item, from, skipped, .. })) = poses.next() => {
                if !records.contains_key(&from) {
                    say(&from, format!("is seen at {item}"));
                }
                let record = records.entry(from).or_default();
                record.poses += 1 + skipped;
                record.at = Some(item);
            }
            Some(drive) = drives.join_next() => {
                let (robot, (place, to), arrival) = drive?;
                match arrival {
                    Ok(at) => {
                        say(&robot, format!("reached {place} {at}"));
                        records.entry(robot.clone()).or_default().reached += 1;
                        idle.push_back(robot);
                    }
                    // It is not sent anywhere again, unless it comes back.
                    Err(error) => {
                        say(&robot, format!("gives back {place}: {error}"));
                        todo.push_front((place, to));
                    }
                }
            }
            () = &mut stopped => break,
        }
    }

    println!("\n{:<10} {:>9} {:>12}   last at", "robot", "waypoints", "poses heard");
    for (robot, Record { reached, poses, at }) in &records {
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        println!("{robot:<10} {reached:>9} {poses:>12}   {at}");
    }
    let reached: usize = records.values().map(|record| record.reached).sum();
    let seconds = started.elapsed().as_secs_f32();
    println!("{reached} of {} waypoints reached in {seconds:.2} s", WAYPOINTS.len());
    Ok(())
}

/// Sends a robot to a place and waits until it is there.
async fn go(mesh: &Mesh, robot: &ServiceName, to: Point) -> Result<Point, String> {
    let robot = mesh.discover(robot).within(NEARBY).await.map_err(|error| error.to_string())?;
    let arrival = robot.send(Go { to }).timeout(LONGEST).await.map_err(|error| error.to_string())?;
    arrival.map_err(|declined| declined.to_string())
}

fn play() -> Result {
    let demo = Demo::new();
    let coordinator = demo.start("coordinator", &["coordinator"])?;
    let mut robots = ["a", "b", "c"]
        .into_iter()
        .map(|name| Ok((name, demo.start(name, &["robot", name])?)))
        .collect::<Result<BTreeMap<_, _>>>()?;

    let line = coordinator.says("goes to")?;
    let first = robots.keys().copied().find(|name| line.contains(&format!("robot/{name} ")));
    let robot = first.and_then(|name| robots.remove(name)).ok_or("a stranger goes")?;
    robot.says("drives to")?;
    println!("{:>11} | (process {} is killed)", "demo", robot.pid());
    robot.dies()?;
    coordinator.says("gives back")?;
    coordinator.says("9 of 9 waypoints reached")?;
    coordinator.ends()?;
    robots.into_values().try_for_each(Role::leaves)
}
