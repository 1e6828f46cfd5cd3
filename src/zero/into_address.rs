//! Conversions of everything that a verb accepts as an address.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use meshzero_actors::net::naming;
use meshzero_actors::net::zone;

use super::address::Address;
use super::error::ZeroError;

impl FromStr for Address {
    type Err = ZeroError;

    /// Parses `ip:port`, without a lookup. A link-local IPv6 address needs the link's interface: `[fe80::1%eth0]:9000`.
    fn from_str(text: &str) -> Result<Self, ZeroError> {
        let problem = "write ip:port, such as 192.168.1.7:9000, with a port up to 65535";
        exact(text)?.ok_or_else(|| not_one(text, problem))
    }
}

/// A conversion into one address: of an [`Address`], or of text: `ip:port`, or `host:port`, whose address is looked up.
///
/// A list of addresses is not accepted: a message goes to one service, and only news comes from several.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one address",
    note = "pass what `advertise`, `discover` or `address` returned, or text such as \"192.168.1.7:9000\"",
    note = "a message goes to one address: to reach several, send it to each in a loop"
)]
pub trait IntoAddress {
    /// Converts into the address.
    ///
    /// # Errors
    /// [`ZeroError::Address`] if this is not one.
    fn into_address(self) -> Result<Address, ZeroError>;
}

impl IntoAddress for Address {
    fn into_address(self) -> Result<Address, ZeroError> {
        Ok(self)
    }
}

impl IntoAddress for &Address {
    fn into_address(self) -> Result<Address, ZeroError> {
        Ok(*self)
    }
}

impl IntoAddress for SocketAddr {
    fn into_address(self) -> Result<Address, ZeroError> {
        Ok(self.into())
    }
}

impl IntoAddress for &str {
    fn into_address(self) -> Result<Address, ZeroError> {
        let text = self.trim();
        if let Some(address) = exact(text)? {
            return Ok(address);
        }
        let exact = text.parse();
        let Some((host, port)) = text.rsplit_once(':') else { return exact };
        // Digits and dots alone are a mistyped address, and a host's name has no slash.
        let is_host = host.bytes().any(|byte| byte.is_ascii_alphabetic()) && !host.contains('/');
        if port.parse::<u16>().is_err() || !is_host {
            return exact;
        }
        let found = text.to_socket_addrs().map_err(|error| not_one(self, error.to_string()))?;
        let found: Vec<SocketAddr> = found.collect();
        let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
        best.copied().map(Address::from).ok_or_else(|| not_one(self, "the host has no address"))
    }
}

impl IntoAddress for &&str {
    fn into_address(self) -> Result<Address, ZeroError> {
        (*self).into_address()
    }
}

impl IntoAddress for String {
    fn into_address(self) -> Result<Address, ZeroError> {
        self.as_str().into_address()
    }
}

impl IntoAddress for &String {
    fn into_address(self) -> Result<Address, ZeroError> {
        self.as_str().into_address()
    }
}

/// A conversion into the addresses of [`wait_for_news_from`](super::wait_for_news_from): one, or several in an array, a slice or a
/// `Vec`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an address nor a list of addresses",
    note = "pass what `advertise`, `discover` or `address` returned, text such as \"192.168.1.7:9000\", or several of them"
)]
pub trait IntoAddresses {
    /// Converts into the addresses.
    ///
    /// # Errors
    /// [`ZeroError::Address`] for the first that is not an address.
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError>;
}

impl<A: IntoAddress> IntoAddresses for A {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        Ok(vec![self.into_address()?])
    }
}

impl<A: IntoAddress> IntoAddresses for Vec<A> {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        self.into_iter().map(A::into_address).collect()
    }
}

impl<A: IntoAddress, const N: usize> IntoAddresses for [A; N] {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        self.into_iter().map(A::into_address).collect()
    }
}

impl<A: IntoAddress + Clone> IntoAddresses for &[A] {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        self.iter().cloned().map(A::into_address).collect()
    }
}

impl<A: IntoAddress + Clone> IntoAddresses for &Vec<A> {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        self.as_slice().into_addresses()
    }
}

impl<A: IntoAddress + Clone, const N: usize> IntoAddresses for &[A; N] {
    fn into_addresses(self) -> Result<Vec<Address>, ZeroError> {
        self.as_slice().into_addresses()
    }
}

/// Parses the address, unless the text is the name of a host.
fn exact(text: &str) -> Result<Option<Address>, ZeroError> {
    if let Some(example) = naming::within_url(text) {
        return Err(not_one(text, format!("it is a URL; write host:port alone, such as {example}")));
    }
    match zone::parse(text) {
        Ok(address) => Ok(address.map(Address::from)),
        Err(error) => Err(not_one(text, error.to_string())),
    }
}

fn not_one(text: &str, problem: impl Into<String>) -> ZeroError {
    ZeroError::Address { text: text.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_addresses_and_hosts_are_looked_up() {
        let nine: Address = "127.0.0.1:9".parse().expect("an address");
        assert_eq!("127.0.0.1:9".into_address().expect("an address"), nine);
        assert_eq!(" 127.0.0.1:9 ".to_owned().into_address().expect("an address"), nine);
        assert_eq!("localhost:9".into_address().expect("every system knows it").port(), 9);
        assert_eq!("[::1]:9".into_address().expect("an address").to_string(), "[::1]:9");
    }

    #[test]
    fn what_is_no_address_says_what_one_looks_like() {
        for text in
            ["", "here", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:port", "1.2.3:4", ":9", "ros://robot:7"]
        {
            let error = text.into_address().expect_err(text).to_string();
            assert!(error.contains("192.168.1.7:9000"), "{text}: {error}");
        }
        let error = "[fe80::1%nosuch0]:9".into_address().expect_err("there is no such interface").to_string();
        assert!(error.contains("no interface \"nosuch0\""), "{error}");
        let error = "no-such-host.invalid:9".into_address().expect_err("nobody has this name");
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }

    #[test]
    fn a_url_is_none_and_is_looked_up_nowhere() {
        for (text, alone) in [
            ("tcp://127.0.0.1:9", "such as 127.0.0.1:9"),
            (" http://localhost:9/path?query ", "such as localhost:9"),
            ("tcp://[::1]:9", "such as [::1]:9"),
            ("http://localhost", "such as 192.168.1.7:9000"),
            ("tcp://*:9000", "such as 192.168.1.7:9000"),
            ("http://[::1]", "such as 192.168.1.7:9000"),
            ("http://:9000", "such as 192.168.1.7:9000"),
        ] {
            for error in [text.into_address().map(drop), text.parse::<Address>().map(drop)] {
                let error = error.expect_err(text).to_string();
                assert!(error.contains("it is a URL") && error.ends_with(alone), "{error}");
            }
        }
    }

    #[test]
    fn several_come_in_any_list() {
        let one: Address = "127.0.0.1:9".parse().expect("an address");
        let list = vec![one, one];
        assert_eq!(one.into_addresses().expect("one").len(), 1);
        assert_eq!(["127.0.0.1:9", "127.0.0.1:10"].into_addresses().expect("two").len(), 2);
        assert_eq!(list.as_slice().into_addresses().expect("two").len(), 2);
        assert_eq!((&list).into_addresses().expect("two").len(), 2);
        assert_eq!(list.into_addresses().expect("two").len(), 2);
        assert!(["127.0.0.1:9", "nowhere"].into_addresses().is_err());
    }
}
