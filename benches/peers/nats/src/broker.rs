//! The NATS server, which runs as long as this process.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peers_common::{Result, free_address};
use tokio::net::TcpStream;

/// The timeout of its start.
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
        // Under setpriv, which becomes it: a broker whose process has been killed does not stay behind.
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "nats-server",
                "--addr",
                &address.ip().to_string(),
                "--port",
                &address.port().to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("setpriv: {error} (it is part of util-linux)"))?;
        let mut broker = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = broker.child.try_wait()? {
                return Err(format!("nats-server: {status} (on Debian: apt-get install nats-server)").into());
            }
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
