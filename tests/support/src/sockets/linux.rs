//! The sockets of a process, as Linux lists them.

use std::fs;
use std::net::{Shutdown, SocketAddr};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;

use super::Sockets;

pub(super) fn shut_down(pid: u32, address: SocketAddr, sockets: Sockets) -> usize {
    let inodes = match sockets {
        Sockets::UnixConnections => unix_inodes(address, "00000000"),
        Sockets::UnixListener => unix_inodes(address, "00010000"),
        Sockets::TcpConnections => tcp_inodes(address.port()),
    };
    // A connection that ends meanwhile is gone from one of the lists.
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let process = Pid::from_raw(pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(process) = process else { return 0 };
    let mut count = 0;
    for descriptor in descriptors.flatten() {
        let Ok(target) = fs::read_link(descriptor.path()) else { continue };
        let inode = target.to_string_lossy().replace("socket:[", "").replace(']', "");
        if !inodes.contains(&inode) {
            continue;
        }
        let number = descriptor.file_name().to_string_lossy().parse().expect("a descriptor is a number");
        let socket = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(descriptor) => Socket::from(descriptor),
            Err(rustix::io::Errno::BADF | rustix::io::Errno::SRCH) => continue,
            Err(error) => panic!("a descriptor of the process {pid} cannot be taken: {error}"),
        };
        // Fails if the other end has closed the connection meanwhile.
        if socket.shutdown(Shutdown::Both).is_ok() {
            count += 1;
        }
    }
    count
}

/// Returns the inodes of the Unix sockets with these flags, which are named after `address`.
fn unix_inodes(address: SocketAddr, flags: &str) -> Vec<String> {
    let name = format!("@meshzero/{address}");
    let list = fs::read_to_string("/proc/net/unix").expect("Linux lists its Unix sockets");
    let columns = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns
        .filter(|columns| columns.get(7) == Some(&name.as_str()) && columns[3] == flags)
        .map(|columns| columns[6].to_owned())
        .collect()
}

/// Returns the inodes of the established TCP connections at the local `port`.
fn tcp_inodes(port: u16) -> Vec<String> {
    let (port, established) = (format!(":{port:04X}"), "01");
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(|list| fs::read_to_string(list).unwrap_or_default());
    let lines = lists.iter().flat_map(|list| list.lines().skip(1));
    let columns = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns
        .filter(|columns| columns.len() > 9 && columns[1].ends_with(&port) && columns[3] == established)
        .map(|columns| columns[9].to_owned())
        .collect()
}
