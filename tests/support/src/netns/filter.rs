//! The firewall of a host: rules that drop, accept, lose and count packets.

use super::command::{output, run};
use super::host::Host;

/// The programs that set up a firewall, one for each family.
const TABLES: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];

impl Host {
    /// Adds a rule to the firewall of this host, for both families, such as `INPUT -p tcp -j DROP`.
    ///
    /// # Panics
    /// If the rule is not valid.
    #[track_caller]
    pub fn rule(&self, rule: &str) {
        for tables in TABLES {
            self.configure(&format!("{tables} -w -A {rule}"));
        }
    }

    /// Accepts what ufw's default rules accept: loopback, replies, and mDNS by multicast.
    #[track_caller]
    pub fn guard(&self) {
        self.rule("INPUT -i lo -j ACCEPT");
        self.rule("INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
        self.configure(
            "iptables-legacy -w -A INPUT -p udp -d 224.0.0.251 --dport 5353 -j ACCEPT
             ip6tables-legacy -w -A INPUT -p udp -d ff02::fb --dport 5353 -j ACCEPT
             ip6tables-legacy -w -A INPUT -p ipv6-icmp -j ACCEPT",
        );
        self.rule("INPUT -j DROP");
    }

    /// Loses arriving UDP datagrams at random, with this probability from 0 (none) to 1 (all).
    #[track_caller]
    pub fn loss(&self, probability: f64) {
        self.lose(&["-p", "udp"], probability);
    }

    /// Loses arriving packets of all kinds at random, with this probability from 0 (none) to 1 (all).
    #[track_caller]
    pub fn loss_of_all(&self, probability: f64) {
        self.lose(&[], probability);
    }

    /// Counts the connection attempts of this host's programs from now on: each SYN packet.
    #[track_caller]
    pub fn count_dials(&self) {
        for tables in TABLES {
            run(self.command(tables).args(["-w", "-F", "OUTPUT"]));
            for cable in &self.cables {
                let rule = ["-w", "-A", "OUTPUT", "-o", cable.interface, "-p", "tcp", "--syn"];
                run(self.command(tables).args(rule));
            }
        }
    }

    /// Returns the number of attempts since [`count_dials`](Self::count_dials).
    #[must_use]
    #[track_caller]
    pub fn dials(&self) -> u64 {
        TABLES
            .iter()
            .map(|tables| counted(&output(self.command(tables).args(["-w", "-nvxL", "OUTPUT"]))))
            .sum()
    }

    #[track_caller]
    fn lose(&self, what: &[&str], probability: f64) {
        assert!((0.0..=1.0).contains(&probability), "{probability} is not a probability");
        for tables in TABLES {
            run(self.command(tables).args(["-w", "-F", "INPUT"]));
            for cable in self.cables.iter().filter(|_| probability > 0.0) {
                let rule = [&["-w", "-A", "INPUT", "-i", cable.interface], what, &["-j", "DROP"]].concat();
                let chance =
                    ["-m", "statistic", "--mode", "random", "--probability", &probability.to_string()];
                run(self.command(tables).args(rule).args(chance));
            }
        }
    }
}

/// The sum of the packet counters of a chain, from `iptables -nvxL`: its first line names the chain, its second the columns.
fn counted(chain: &str) -> u64 {
    let rules = chain.lines().skip(2).filter_map(|rule| rule.split_whitespace().next());
    rules.filter_map(|packets| packets.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_all_rules_are_counted() {
        let chain = "Chain OUTPUT (policy ACCEPT 9 packets, 99 bytes)\n    pkts      bytes target     prot\n      12      720            tcp\n       3      180            tcp\n";
        assert_eq!(counted(chain), 15);
    }
}
