//! The target of a command: a service's name, or its address.

mod host;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use meshzero::naming::{self, InvalidAddress, NameOrAddress};
use meshzero::{AdvertiseError, InvalidName, Mesh, ServiceName, ServiceRef, check_name};
use tokio::time::{Instant, sleep_until};

use self::host::{Host, HostError};
use crate::failure::Failure;

/// The head start of the likelier interpretation of a text that may be a service's name or a host with a port.
const HEAD_START: Duration = Duration::from_millis(500);

/// A service's name, an `ip:port` or a `host:port`.
///
/// A text that may be a service's name or a host with a port is looked up as both, one of them half a second before
/// the other. With a dot before the colon, as in `lab.local:9000`, the host is first, and a bare word such as `room:7`
/// is first the service of that name. `localhost:9000` is always this host, so it cannot be a service's name, nor can
/// an `ip:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    text: ServiceName,
    is_address: bool,
    host: Option<Host>,
}

/// The reason why a text is not a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTarget {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Address(InvalidAddress),
    #[error("{text:?} is a URL; write host:port alone, such as {example}, or the name of a service")]
    Url { text: String, example: String },
    #[error(transparent)]
    AddressAsName(#[from] AdvertiseError),
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let name = ServiceName::new(text)?;
        let (is_address, host) = match naming::read(text) {
            Ok(NameOrAddress::Name) => (false, None),
            Ok(NameOrAddress::Host(host)) => (false, Some(Host::from(host))),
            // An invalid zone is reported by the attempt to connect.
            Ok(NameOrAddress::Address(_)) | Err(InvalidAddress::Zone(_)) => (true, None),
            Err(InvalidAddress::Url { text, example }) => return Err(InvalidTarget::Url { text, example }),
            Err(invalid) => return Err(InvalidTarget::Address(invalid)),
        };
        Ok(Self { text: name, is_address, host })
    }
}

/// Parses the name of a service that is to be advertised.
///
/// # Errors
/// [`InvalidTarget`]: no [`Target`] could name it.
pub(crate) fn advertised(text: &str) -> Result<ServiceName, InvalidTarget> {
    let name = ServiceName::new(text)?;
    check_name(&name)?;
    Ok(name)
}

impl Target {
    /// Discovers the service and connects to it.
    ///
    /// # Errors
    /// [`Failure`]: it was not found in time.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future ends the search.
    pub(crate) async fn discover(&self, mesh: &Mesh, wait: Duration) -> Result<ServiceRef, Failure> {
        let begun = Instant::now();
        let by_name = async {
            let left = wait.saturating_sub(begun.elapsed());
            mesh.discover(&self.text).within(left).await
        };
        let Some(host) = &self.host else { return Ok(by_name.await?) };
        if host.is_certain() {
            return Ok(host.discover(mesh, begun + wait).await?);
        }
        let (by_host, head_start) = (host.discover(mesh, begun + wait), begun + HEAD_START.min(wait / 2));
        let (at_host, named) = if host.is_likely() {
            match first_or_second(by_host, by_name, head_start).await {
                Ok(service) => return Ok(service),
                Err(failures) => failures,
            }
        } else {
            match first_or_second(by_name, by_host, head_start).await {
                Ok(service) => return Ok(service),
                Err((named, at_host)) => (at_host, named),
            }
        };
        Err(match at_host {
            HostError::Unreachable(failure) => failure,
            HostError::Unknown(failure) if host.is_likely() => {
                Failure::Unavailable(format!("{failure}; nor is there a service of that name"))
            }
            // Then it is a name like any other, unless the host was meant and its name is misspelt.
            HostError::Unknown(failure) => Failure::from(named).and(&failure),
        })
    }

    /// Returns whether the target is the name of `service`, so that there may be other instances.
    pub(crate) fn is_name_of(&self, service: &ServiceRef) -> bool {
        !self.is_address && service.name() == self.text.as_str()
    }
}

/// Waits for `first`, and after `head_start`, or once it has failed, for `second` as well. Returns the earliest
/// success.
///
/// # Errors
/// Both errors.
async fn first_or_second<T, E, F>(
    first: impl Future<Output = Result<T, E>>,
    second: impl Future<Output = Result<T, F>>,
    head_start: Instant,
) -> Result<T, (E, F)> {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    tokio::select! {
        biased;
        done = &mut first => match done {
            Ok(found) => Ok(found),
            Err(error) => second.await.map_err(|other| (error, other)),
        },
        () = sleep_until(head_start) => tokio::select! {
            biased;
            done = &mut first => match done {
                Ok(found) => Ok(found),
                Err(error) => second.await.map_err(|other| (error, other)),
            },
            done = &mut second => match done {
                Ok(found) => Ok(found),
                Err(other) => first.await.map_err(|error| (error, other)),
            },
        },
    }
}

impl AsRef<str> for Target {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_targets() {
        for text in [
            "robot/arm",
            "127.0.0.1:9000",
            "[::1]:9000",
            "room:7",
            "10.0.0.1",
            "fe80::1",
            "[fe80::1%eth0]:9000",
        ] {
            assert_eq!(text.parse::<Target>().expect(text).as_ref(), text);
        }
        let host = |text: &str| text.parse::<Target>().expect(text).host.map(|host| host.is_likely());
        for text in [
            "robot/arm",
            "room:x",
            "fe80::1",
            "127.0.0.1:9000",
            "[::1]:9000",
            "a b:7",
            "温度:7",
            "room:70000",
            "12:30",
            "10.0.0.1:9000",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
        for text in
            ["localhost:9000", "Localhost:1", "lab.local:9000", "www.example.org.:65535", "127.1:9000"]
        {
            assert_eq!(host(text), Some(true), "{text}");
        }
        for text in ["room:7", "raspberry-pi:9000", "h_1:1"] {
            assert_eq!(host(text), Some(false), "{text}");
        }
    }

    #[test]
    fn an_address_whose_port_is_impossible_is_no_name() {
        for text in [
            "127.0.0.1:70000",
            "127.0.0.1:0",
            "127.0.0.1:-1",
            "[::1]:99999",
            "localhost:0",
            "lab.local:65536",
            "[fe80::1%eth0]:0",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.to_string().contains("65535"), "{error}");
        }
        assert!("".parse::<Target>().is_err());
    }

    #[test]
    fn a_url_is_neither_a_name_nor_an_address() {
        for (text, example) in [
            ("tcp://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://localhost:9000/path", "localhost:9000"),
            ("HTTPS://[::1]:9000?query", "[::1]:9000"),
            ("http://robot.local", "192.168.1.7:9000"),
            ("http://[::1]", "192.168.1.7:9000"),
            ("http://:9000", "192.168.1.7:9000"),
            ("ros://10.0.0.1:7", "10.0.0.1:7"),
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(&format!("such as {example},")), "{error}");
            assert!(advertised(text).is_err(), "{text}");
        }
        for text in ["ros://robot:7", "://", "a://b", "http:robot"] {
            assert_eq!(text.parse::<Target>().expect(text).as_ref(), text);
        }
    }

    #[tokio::test]
    async fn the_earliest_success_counts_after_a_head_start() {
        use std::future::{pending, ready};

        let now = Instant::now();
        let never = now + Duration::from_secs(3_600);
        let (first, second) = (|| ready(Ok::<_, &str>("first")), || ready(Ok::<_, &str>("second")));
        let (no_first, no_second) = (|| ready(Err("no first")), || ready(Err("no second")));
        let late = async || {
            sleep_until(now + Duration::from_millis(20)).await;
            Ok::<_, &str>("late")
        };
        assert_eq!(first_or_second(first(), second(), now).await, Ok("first"));
        assert_eq!(first_or_second(late(), second(), never).await, Ok("late"));
        assert_eq!(first_or_second(pending::<Result<_, &str>>(), second(), now).await, Ok("second"));
        assert_eq!(first_or_second(late(), no_second(), now).await, Ok("late"));
        assert_eq!(first_or_second(no_first(), second(), never).await, Ok("second"));
        let failed: Result<&str, _> = first_or_second(no_first(), no_second(), now).await;
        assert_eq!(failed, Err(("no first", "no second")));
    }

    #[test]
    fn what_could_not_be_named_is_not_advertised() {
        for text in
            ["127.0.0.1:9000", "[::1]:9000", "localhost:0", "localhost:9000", "lab.local:65536", "http://x"]
        {
            let error = advertised(text).expect_err(text).to_string();
            assert!(error.contains("not a name by which others could find a service"), "{error}");
        }
        assert!(advertised("").is_err());
        for text in ["127.0.0.1:9000", "[::1]:9000"] {
            assert!(text.parse::<Target>().expect(text).is_address, "{text}");
        }
        for text in ["robot/arm", "room:7", "v1.2:7", "my.arm:1", "10.0.0.1", "a:70000"] {
            assert_eq!(advertised(text).expect(text).as_str(), text);
        }
    }
}
