//! A fleet: each robot is an actor in a process of its own, and a coordinator sends the robots to waypoints by calls. The
//! reply comes when the robot has arrived; its pose is published continuously. When a robot dies, its waypoint is given to
//! another, because driving there twice does no harm.
//!
//! ```text
//! all of it, played by itself      cargo run --example demo -- robots
//! or each in a terminal or on      cargo run --example robots -- robot a
//! a machine of its own             cargo run --example robots -- robot b
//!                                  cargo run --example robots -- coordinator
//! ```
//!
//! A number after a robot's name is its speed in metres per second. Ctrl-C leaves.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fmt, process};

use actix::prelude::*;
use meshzero::{Mesh, News, Publisher, ServiceName, WatchEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Robots move, and publish their pose, 50 times a second.
const TICK: Duration = Duration::from_millis(20);
/// The default speed of a robot in metres per second.
const SPEED: f32 = 8.0;
/// The greatest distance of a place from a robot, in metres.
const REACH: f32 = 1_000.0;
/// The timeout of a drive.
const LONGEST: Duration = Duration::from_secs(60);
/// The timeout for finding a robot that was up a moment ago.
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

/// Drives to a place. The reply is the place at which the robot arrived.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<Point, Declined>")]
struct Go {
    to: Point,
}

/// The reason for which a robot refuses a drive.
#[derive(Debug, Serialize, Deserialize)]
enum Declined {
    /// It is driving to another place.
    Busy,
    /// The place is out of its reach, or is not a number.
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
        // Anybody may send: a place that is not a number is not within reach either; the robot would drive forever.
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
                // The caller may have gone.
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
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["robot", name] => robot(&mesh, name, SPEED).await?,
        ["robot", name, speed] => robot(&mesh, name, speed.parse()?).await?,
        ["coordinator"] => coordinator(&mesh).await?,
        _ => return Err("usage: robots coordinator | robot NAME [SPEED]".into()),
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
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The coordinator's record of a robot.
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
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());

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
                WatchEvent::Down { instance: robot, reason } => {
                    say(&robot.service, format!("is gone: {reason}"));
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
                    // The robot gets no further waypoint, unless it comes up again.
                    Err(error) => {
                        say(&robot, format!("gives back {place}: {error}"));
                        todo.push_front((place, to));
                    }
                }
            }
            interrupted = &mut interrupted => {
                interrupted?;
                break;
            }
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
