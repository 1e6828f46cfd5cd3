//! The names of Unix sockets: abstract ones on Linux, where they belong to the network namespace as ports do and end with their
//! socket, and files in a folder of the user elsewhere.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use socket2::SockAddr;

/// The permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;

/// The name of a Unix socket.
#[derive(Debug)]
pub(super) enum SocketName {
    /// A name that is no file.
    Abstract(String),
    /// A file.
    File(PathBuf),
}

impl SocketName {
    /// Returns the name of the Unix socket beside the TCP listener at `address`.
    pub(super) fn of(address: SocketAddr) -> Self {
        if cfg!(any(target_os = "linux", target_os = "android")) {
            Self::Abstract(format!("\0meshzero/{address}"))
        } else {
            let folder = std::env::temp_dir().join(format!("meshzero-{}", Uid::effective()));
            Self::File(folder.join(address.to_string()))
        }
    }

    /// Returns the name as the system takes it.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn to_address(&self) -> io::Result<SockAddr> {
        match self {
            Self::Abstract(name) => SockAddr::unix(name),
            Self::File(file) => SockAddr::unix(file),
        }
    }

    /// Prepares the name for a listener: a file needs a folder that only this user can open, and may be left over from a
    /// process that was killed. It cannot belong to a process that runs, since the caller holds the TCP address.
    ///
    /// # Errors
    /// There can be no such folder, or the file cannot be removed.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let Self::File(file) = self else { return Ok(()) };
        if let Some(folder) = file.parent() {
            prepare_folder(folder)?;
        }
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Frees the name of a listener that closes. An abstract one is free by itself.
    pub(super) fn free(&self) {
        if let Self::File(file) = self
            && let Err(error) = fs::remove_file(file)
        {
            tracing::debug!(file = %file.display(), %error, "the file of a Unix socket was not removed");
        }
    }
}

/// Returns the addresses of the TCP listeners that accept a connection to `address`. The system permits only one of them at
/// a time.
pub(super) fn listeners_for(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let port = address.port();
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let ipv4 = address.is_ipv4().then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    [address, both].into_iter().chain(ipv4)
}

fn prepare_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Not through a symbolic link, which another user may have put there.
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == Uid::effective().as_raw() && found.mode() & OTHERS == 0 {
        return Ok(());
    }
    let refused = format!("{} is not a folder of this user alone", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
}
