//! The report of a service that was closed before all its work was finished.

use std::collections::BTreeMap;
use std::fmt;

use meshzero_proto::name::ServiceName;

/// The work that a service had not finished when its time for draining was over.
///
/// ```
/// # use meshzero_actors::server::drain_report::DrainReport;
/// fn report(unfinished: &DrainReport) {
///     // "robot/arm: 4 messages (2 Move, 1 Stop, 1 of another kind)"
///     eprintln!("not finished in time: {unfinished}");
///     if unfinished.messages.contains_key("Stop") {
///         eprintln!("stop {} by hand", unfinished.service);
///     }
/// }
/// # let _ = report;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// The service's name; its address if it has none.
    pub service: ServiceName,
    /// Messages that were accepted and not finished, counted by the names of their types. Those that no handler had
    /// begun were refused, and their callers may send them to other instances; the outcome of the others is not known.
    pub messages: BTreeMap<String, usize>,
    /// The number of further messages whose types are not known: of callers in this process, or in the mailbox of an
    /// actor that the program runs itself.
    pub others: usize,
    /// Connections whose clients had not received everything: replies, or items published before the close.
    pub connections: usize,
}

impl DrainReport {
    /// The number of messages that were not finished.
    pub fn unfinished(&self) -> usize {
        self.messages.values().sum::<usize>() + self.others
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(f, "{}: ", self.service)?;
        let unfinished = self.unfinished();
        if unfinished > 0 {
            write!(f, "{unfinished} message{} (", plural(unfinished))?;
            let mut separator = "";
            for (name, count) in &self.messages {
                write!(f, "{separator}{count} {name}")?;
                separator = ", ";
            }
            if self.others > 0 {
                write!(f, "{separator}{} of another kind", self.others)?;
            }
            f.write_str(")")?;
        }
        if self.connections > 0 {
            let (count, and) = (self.connections, if unfinished > 0 { " and " } else { "" });
            write!(f, "{and}{count} connection{} that did not receive everything", plural(count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_reported_in_one_line() {
        let service = ServiceName::new("arm").expect("a name");
        let nothing = DrainReport { service, messages: BTreeMap::new(), others: 0, connections: 0 };
        let one = DrainReport { connections: 1, ..nothing.clone() };
        assert_eq!(one.to_string(), "arm: 1 connection that did not receive everything");
        let both =
            DrainReport { messages: [("Move".to_owned(), 1)].into(), connections: 2, ..nothing.clone() };
        assert_eq!(
            both.to_string(),
            "arm: 1 message (1 Move) and 2 connections that did not receive everything"
        );
        let messages = [("Move".to_owned(), 2), ("Stop".to_owned(), 1)].into();
        let several = DrainReport { messages, others: 1, ..nothing.clone() };
        assert_eq!(several.to_string(), "arm: 4 messages (2 Move, 1 Stop, 1 of another kind)");
        let unknown = DrainReport { others: 3, ..nothing };
        assert_eq!(unknown.to_string(), "arm: 3 messages (3 of another kind)");
    }
}
