//! The NATS server, which runs as long as this process.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peers_common::{Result, free_address};
use tokio::net::TcpStream;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(10);

/// A NATS server with its default settings. It ends when this is dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Broker {
    pub(crate) async fn start() -> Result<Self> {
        let address = free_address()?;
        let child = Command::new("nats-server")
            .args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nats-server: {error} (on Debian: apt-get install nats-server)"))?;
        let broker = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() >= deadline {
                return Err(format!("nats-server does not listen at {address}").into());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(broker)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
