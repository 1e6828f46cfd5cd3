//! The advert of one service of a node, and its form as an mDNS TXT record.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{InstanceId, InvalidId, NodeId};
use crate::name::{InvalidName, MeshName, ServiceName};

/// The version of this protocol. A node ignores adverts of another version.
pub const PROTOCOL_VERSION: u8 = 1;

/// The maximum number of addresses that are stored for one instance and sent to a peer.
pub const MAX_ADDRESSES: usize = 16;

/// The maximum number of addresses read from one advert or reply, at 32 bytes each. They are sorted by their distance from this
/// host before they are cut to [`MAX_ADDRESSES`], because a host with many networks may list the useful one last.
pub const MAX_RECEIVED_ADDRESSES: usize = 256;

/// One service of one node, as sent to other nodes by mDNS or over a link between peers.
///
/// It is a hint: a node that relies on it first asks the endpoint, whose handshake names the instance and the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// The instance, which is also its mDNS instance label.
    pub instance: InstanceId,
    /// The node that offers it.
    pub node: NodeId,
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name.
    pub service: ServiceName,
    /// The addresses at which its endpoint listens: at most [`MAX_RECEIVED_ADDRESSES`], more are dropped while decoding.
    #[serde(deserialize_with = "bounded_addresses")]
    pub addresses: Vec<SocketAddr>,
    /// Set when the service is about to be withdrawn.
    #[serde(default)]
    pub leaving: bool,
}

/// The reason why the properties of an mDNS record are not a valid advert. It is never this node's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdvert {
    /// The sender speaks another version of the protocol, or none.
    #[error("protocol version {0:?} instead of {PROTOCOL_VERSION}")]
    Version(String),
    /// A property is absent.
    #[error("the property `{0}` is missing")]
    Missing(&'static str),
    /// A property is not UTF-8.
    #[error("the property `{0}` is not text")]
    NotText(&'static str),
    /// The instance label or the node is not a valid identity.
    #[error("{0}")]
    Id(#[from] InvalidId),
    /// The name of the mesh or the service is not valid.
    #[error("{0}")]
    Name(#[from] InvalidName),
}

impl Advert {
    /// Returns the properties of the advert's TXT record, in the order they are written. The instance is the record's label and
    /// the addresses are in records of their own. No property is longer than mDNS permits (255 bytes).
    pub fn to_txt(&self) -> Vec<(&'static str, String)> {
        let mut txt = vec![
            ("v", PROTOCOL_VERSION.to_string()),
            ("mesh", self.mesh.to_string()),
            ("node", self.node.to_string()),
            ("svc", self.service.to_string()),
        ];
        if self.leaving {
            txt.push(("bye", "1".to_owned()));
        }
        txt
    }

    /// Reads an advert from the label, the properties and the addresses of an mDNS record. `property` looks up
    /// the bytes of one key. Unknown properties are ignored, so that later versions may add some.
    ///
    /// # Errors
    /// [`InvalidAdvert`] with the reason.
    pub fn from_txt<'a>(
        label: &str,
        property: impl Fn(&str) -> Option<&'a [u8]>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self, InvalidAdvert> {
        let text = |key: &'static str| {
            let bytes = property(key).ok_or(InvalidAdvert::Missing(key))?;
            std::str::from_utf8(bytes).map_err(|_| InvalidAdvert::NotText(key))
        };
        let version = text("v")?;
        if version.parse() != Ok(PROTOCOL_VERSION) {
            return Err(InvalidAdvert::Version(version.chars().take(16).collect()));
        }
        Ok(Self {
            instance: label.parse()?,
            node: text("node")?.parse()?,
            mesh: MeshName::new(text("mesh")?)?,
            service: ServiceName::new(text("svc")?)?,
            addresses: addresses.into_iter().take(MAX_RECEIVED_ADDRESSES).collect(),
            leaving: property("bye").is_some(),
        })
    }
}

fn bounded_addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    struct Bounded;

    impl<'de> serde::de::Visitor<'de> for Bounded {
        type Value = Vec<SocketAddr>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of socket addresses")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            // Grown element by element: the announced length may be forged.
            let mut addresses = Vec::new();
            while let Some(address) = seq.next_element()? {
                if addresses.len() < MAX_RECEIVED_ADDRESSES {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        }
    }

    deserializer.deserialize_seq(Bounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert() -> Advert {
        Advert {
            instance: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            mesh: MeshName::new("room-7").expect("a name"),
            service: ServiceName::new("Küche/温度 sensor.1").expect("a name"),
            addresses: vec![([192, 168, 1, 5], 4000).into()],
            leaving: false,
        }
    }

    fn read(label: &str, txt: &[(&str, String)]) -> Result<Advert, InvalidAdvert> {
        let property = |key: &str| txt.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_bytes());
        Advert::from_txt(label, property, advert().addresses)
    }

    #[test]
    fn an_advert_is_read_back_from_its_record() {
        for leaving in [false, true] {
            let advert = Advert { leaving, ..advert() };
            assert_eq!(read(&advert.instance.to_string(), &advert.to_txt()), Ok(advert));
        }
    }

    #[test]
    fn the_longest_names_fit_a_property() {
        let service = ServiceName::new("x".repeat(crate::name::MAX_NAME_BYTES)).expect("a name");
        let txt = Advert { service, ..advert() }.to_txt();
        assert!(txt.iter().all(|(k, v)| k.len() + 1 + v.len() <= 255));
    }

    #[test]
    fn an_invalid_advert_gives_the_reason() {
        let label = advert().instance.to_string();
        let with = |key: &str, value: &str| {
            let mut txt = advert().to_txt();
            txt.retain(|(k, _)| *k != key);
            match key {
                "v" => txt.push(("v", value.to_owned())),
                "node" => txt.push(("node", value.to_owned())),
                _ => txt.push(("svc", value.to_owned())),
            }
            read(&label, &txt)
        };
        assert_eq!(with("v", "2"), Err(InvalidAdvert::Version("2".into())));
        assert_eq!(with("node", "zz"), Err(InvalidAdvert::Id(InvalidId)));
        assert!(matches!(with("svc", "a\nb"), Err(InvalidAdvert::Name(_))));
        assert_eq!(read("printer", &advert().to_txt()), Err(InvalidAdvert::Id(InvalidId)));
        assert_eq!(read(&label, &[]), Err(InvalidAdvert::Missing("v")));
        let latin1 = Advert::from_txt(&label, |k| Some(if k == "v" { b"1" } else { b"\xff" }), []);
        assert_eq!(latin1, Err(InvalidAdvert::NotText("node")));
    }

    #[test]
    fn the_number_of_decoded_addresses_is_bounded() {
        let many = Advert { addresses: (1..=999).map(|p| ([10, 0, 0, 1], p).into()).collect(), ..advert() };
        let bytes = rmp_serde::to_vec_named(&many).expect("an advert encodes");
        let read: Advert = rmp_serde::from_slice(&bytes).expect("an advert decodes");
        assert_eq!(read.addresses, many.addresses[..MAX_RECEIVED_ADDRESSES]);
    }
}
