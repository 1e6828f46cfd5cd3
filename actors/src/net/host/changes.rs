//! Notifications of changed interfaces or addresses by the system, so that a change is noticed before the next periodic read.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::HostChanges;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use polled::HostChanges;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::errno::Errno;
    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    };

    /// The groups that report interfaces, IPv4 and IPv6 addresses, from linux/rtnetlink.h.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;
    /// The most notices that are read at a time; the rest is read the next time.
    const MAX_NOTICES: usize = 256;

    /// A socket on which Linux reports changes.
    #[derive(Debug)]
    pub(crate) struct HostChanges(Option<OwnedFd>);

    impl HostChanges {
        /// Creates an instance that never reports anything.
        pub(crate) fn none() -> Self {
            Self(None)
        }

        /// Starts to listen. Where the system does not permit that, nothing is ever reported.
        pub(crate) fn watch() -> Self {
            let socket = watch().inspect_err(|error| {
                tracing::debug!(%error, "the system does not report changed interfaces");
            });
            Self(socket.ok())
        }

        /// Returns whether anything has changed since the last call.
        pub(crate) fn any(&self) -> bool {
            let Some(socket) = &self.0 else { return false };
            // The changes themselves are read elsewhere, so notices may be truncated, or lost.
            let mut start = [0; 16];
            for received in 0..MAX_NOTICES {
                match recv(socket.as_raw_fd(), &mut start, MsgFlags::MSG_DONTWAIT) {
                    Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                    Err(_) => return received > 0,
                }
            }
            true
        }
    }

    fn watch() -> nix::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(socket)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn nothing_is_reported_while_nothing_changes() {
            assert!(watch().is_ok());
            assert!(!HostChanges::none().any());
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod polled {
    /// No notifications: other systems are polled from time to time.
    #[derive(Debug)]
    pub(crate) struct HostChanges;

    impl HostChanges {
        pub(crate) fn none() -> Self {
            Self
        }

        pub(crate) fn watch() -> Self {
            Self
        }

        pub(crate) fn any(&self) -> bool {
            false
        }
    }
}
