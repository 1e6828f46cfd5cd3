//! The options that every command has.

use clap::Args;
use meshzero::MeshName;

use crate::output::Format;

/// The options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArgs {
    /// Prints one JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// The mesh to join; programs in other meshes are not seen [default: MESHZERO_MESH, or meshzero]
    #[arg(long, global = true, value_name = "MESH")]
    pub(crate) mesh: Option<MeshName>,
    /// The network interfaces to use, such as eth0,wlan*,192.168.1.*; lo stays on this machine [default:
    /// MESHZERO_INTERFACES, or all]
    #[arg(long, global = true, value_name = "LIST")]
    pub(crate) interfaces: Option<String>,
    /// Endpoints to ask where multicast does not pass, as host:port,… [default: MESHZERO_PEERS, or none]
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub(crate) peers: Option<Vec<String>>,
    /// Logs to standard error; repeat it for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl GlobalArgs {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}
