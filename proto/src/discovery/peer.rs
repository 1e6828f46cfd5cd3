//! Peer updates: the services that one node knows or has lost, sent over a link between peers.
//!
//! Each update is the payload of a frame of [`FrameKind::Peer`], in MessagePack with field names, so that later versions can add
//! fields.

use serde::{Deserialize, Serialize};

use crate::codec::control;
use crate::discovery::advert::Advert;
use crate::id::InstanceId;
use crate::wire::frame::{self, FrameKind, Header};

/// The maximum payload of an update, in bytes.
pub const MAX_UPDATE_BYTES: usize = 64 << 10;

/// The most adverts and withdrawals in one update. This many adverts of the greatest length fit: 128 bytes for each name,
/// and 16 addresses.
const ADVERTS_PER_UPDATE: usize = 48;
const GONE_PER_UPDATE: usize = 1_024;

/// One update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerUpdate {
    /// The services that are available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Advert>,
    /// The services that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<InstanceId>,
}

/// The payload of a frame is not a valid update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer update does not decode: {0}")]
pub struct InvalidPeerUpdate(String);

impl PeerUpdate {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// [`InvalidPeerUpdate`]: the peer is broken or malicious; close the link.
    pub fn decode(payload: &[u8]) -> Result<Self, InvalidPeerUpdate> {
        control::from_bytes(payload).map_err(InvalidPeerUpdate)
    }

    /// Encodes the update as frames, with the adverts split over as many as needed.
    pub fn to_frames(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let known = self
            .known
            .chunks(ADVERTS_PER_UPDATE)
            .map(|known| PeerUpdate { known: known.to_vec(), gone: Vec::new() });
        let gone = self
            .gone
            .chunks(GONE_PER_UPDATE)
            .map(|gone| PeerUpdate { known: Vec::new(), gone: gone.to_vec() });
        for part in known.chain(gone) {
            frame::write(&mut bytes, Header::new(FrameKind::Peer, 0), &control::to_bytes(&part));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::BytesMut;

    use super::*;
    use crate::id::NodeId;
    use crate::name::{MAX_NAME_BYTES, MeshName, ServiceName};

    #[test]
    fn the_longest_updates_fit_their_frames_and_decode() {
        let longest = "x".repeat(MAX_NAME_BYTES);
        let v6: SocketAddr = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().expect("an address");
        let advert = Advert {
            instance: InstanceId::from_random([255; 16]),
            node: NodeId::from_random([255; 16]),
            mesh: MeshName::new(&longest).expect("a name"),
            service: ServiceName::new(&longest).expect("a name"),
            addresses: vec![v6; crate::discovery::advert::MAX_ADDRESSES],
            leaving: false,
        };
        let update =
            PeerUpdate { known: vec![advert; 200], gone: vec![InstanceId::from_random([255; 16]); 5_000] };
        let mut buffer = BytesMut::from(&update.to_frames()[..]);
        let mut back = PeerUpdate::default();
        while let Some(frame) = frame::take(&mut buffer, MAX_UPDATE_BYTES).expect("frames within the limit") {
            assert_eq!(frame.header.kind, FrameKind::Peer);
            let part = PeerUpdate::decode(&frame.payload).expect("it decodes");
            back.known.extend(part.known);
            back.gone.extend(part.gone);
        }
        assert_eq!(back, update);
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_empty_update_has_no_frames() {
        assert!(PeerUpdate::default().to_frames().is_empty());
    }

    #[test]
    fn invalid_bytes_are_an_error() {
        assert!(PeerUpdate::decode(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(PeerUpdate::decode(b"").is_err());
    }
}
