//! Counts the multicast DNS traffic of hosts, at the other end of each cable.

use crate::netns::Lan;

/// The mDNS traffic of a host since its [`Lan`] was metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metered {
    /// Datagrams with questions, all of them multicast.
    pub questions: u64,
    /// Datagrams with answers and announcements, multicast or not.
    pub responses: u64,
    /// Bytes of both, from the Ethernet header on.
    pub bytes: u64,
}

impl Metered {
    /// Returns the mDNS traffic of `lan`'s host `index`. The first call for a host starts the count.
    ///
    /// # Panics
    /// If the kernel does not count: check [`require::netns`](crate::require::netns) first.
    #[track_caller]
    #[must_use]
    pub fn read(lan: &Lan, index: usize) -> Self {
        let (switch, port) = lan.port(index);
        let table = format!("meter-{port}");
        let nft = |arguments: &[&str]| {
            let output = switch("nft").args(arguments).output().expect("nft starts");
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        if !nft(&["list", "table", "bridge", &table]).0 {
            // The flag that marks a response is the first bit of the DNS header's third byte, behind the eight bytes of UDP's.
            let rules = format!(
                "table bridge {table} {{
                    counter questions {{ }}
                    counter responses {{ }}
                    chain c {{
                        type filter hook prerouting priority 0;
                        iifname != \"{port}\" return
                        udp dport 5353 @th,80,1 0 counter name questions return
                        udp sport 5353 @th,80,1 1 counter name responses
                    }}
                }}"
            );
            let (made, _) = nft(&[&rules]);
            assert!(made, "nft counts nothing here");
            return Self::default();
        }
        let count = |counter: &str| {
            let (_, listed) = nft(&["list", "counter", "bridge", &table, counter]);
            let number = |unit: &str| -> u64 {
                let behind = listed.split(unit).nth(1).and_then(|rest| rest.split_whitespace().next());
                behind.and_then(|number| number.parse().ok()).expect("a number")
            };
            (number("packets "), number("bytes "))
        };
        let ((questions, question_bytes), (responses, response_bytes)) =
            (count("questions"), count("responses"));
        Self { questions, responses, bytes: question_bytes + response_bytes }
    }
}
