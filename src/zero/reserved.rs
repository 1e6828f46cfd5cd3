//! The addresses that were handed out and that nothing listens at yet, each with the text to listen at.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

use super::address::Address;

/// The most reserved addresses; the oldest is dropped for another.
const MOST: usize = 1_024;

/// The reserved addresses of a node.
#[derive(Default)]
pub(super) struct ReservedAddresses {
    places: HashMap<Address, String>,
    /// The oldest comes first.
    order: VecDeque<Address>,
}

impl ReservedAddresses {
    /// Adds an address, with the text to listen at.
    pub(super) fn insert(&mut self, address: Address, meant: String) {
        self.remove(address);
        while self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        self.order.push_back(address);
        self.places.insert(address, meant);
    }

    /// Removes an address, because something listens at it.
    pub(super) fn remove(&mut self, address: Address) {
        if self.places.remove(&address).is_some() {
            self.order.retain(|other| *other != address);
        }
    }

    /// The text to listen at for an address.
    pub(super) fn place(&self, address: Address) -> Option<&String> {
        self.places.get(&address)
    }

    /// All addresses, so that none is handed out twice.
    pub(super) fn addresses(&self) -> HashSet<SocketAddr> {
        self.order.iter().copied().map(Address::socket_addr).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Address {
        format!("127.0.0.1:{port}").parse().expect("an address")
    }

    #[test]
    fn the_oldest_makes_room_and_no_other_is_forgotten() {
        let mut named = ReservedAddresses::default();
        for port in 1..=MOST + 2 {
            named.insert(address(port), port.to_string());
        }
        assert_eq!(named.addresses().len(), MOST);
        assert_eq!((named.place(address(1)), named.place(address(2))), (None, None));
        assert_eq!(named.place(address(3)), Some(&"3".to_owned()));
        // Reserved again it is the newest.
        named.insert(address(3), "again".to_owned());
        named.insert(address(MOST + 3), "one more".to_owned());
        assert_eq!(named.place(address(3)), Some(&"again".to_owned()));
        assert_eq!(named.place(address(4)), None);
    }

    #[test]
    fn one_that_is_listened_at_takes_no_room() {
        let mut named = ReservedAddresses::default();
        for port in 1..=MOST {
            named.insert(address(port), port.to_string());
        }
        named.remove(address(7));
        named.insert(address(MOST + 1), "one more".to_owned());
        assert!(named.place(address(1)).is_some() && named.place(address(7)).is_none());
    }
}
