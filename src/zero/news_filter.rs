//! The filter of the news that a thread waits for: some addresses, and some prefixes.

use super::address::Address;
use super::error::ZeroError;

/// A set of publishers' addresses and of topic prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewsFilter {
    pub(super) addresses: Vec<Address>,
    prefixes: Vec<String>,
}

impl NewsFilter {
    /// A filter in normal form: in order, without duplicates, and without a prefix that another one covers.
    pub(super) fn new(mut addresses: Vec<Address>, prefixes: Vec<String>) -> Result<Self, ZeroError> {
        if addresses.is_empty() {
            return Err(ZeroError::Nothing { what: "addresses" });
        }
        if prefixes.is_empty() {
            return Err(ZeroError::Nothing { what: "prefixes" });
        }
        addresses.sort();
        addresses.dedup();
        Ok(Self { addresses, prefixes: without_covered(prefixes) })
    }

    /// Returns true for a topic that begins with one of the prefixes.
    pub(super) fn includes(&self, topic: &str) -> bool {
        self.prefixes.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// The longest text that all prefixes begin with.
    pub(super) fn common_prefix(&self) -> &str {
        // In order, so the first and the last differ the most.
        let (Some(first), Some(last)) = (self.prefixes.first(), self.prefixes.last()) else { return "" };
        let pairs = first.char_indices().zip(last.chars());
        let common =
            pairs.take_while(|((_, one), other)| one == other).map(|((at, one), _)| at + one.len_utf8());
        &first[..common.last().unwrap_or(0)]
    }
}

/// Removes each prefix that begins with another one.
fn without_covered(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort();
    let mut kept: Vec<String> = Vec::new();
    for prefix in prefixes {
        if kept.last().is_none_or(|last| !prefix.starts_with(last)) {
            kept.push(prefix);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(prefixes: &[&str]) -> Vec<String> {
        without_covered(prefixes.iter().map(|prefix| prefix.to_string()).collect())
    }

    #[test]
    fn prefixes_that_others_cover_are_left_out() {
        assert_eq!(kept(&["b", "a/x", "a", "ab", "b"]), ["a", "b"]);
        assert_eq!(kept(&["a", "", "b"]), [""]);
        assert_eq!(kept(&["a/1", "a/2", "a/10"]), ["a/1", "a/2"]);
    }

    #[test]
    fn what_prefixes_have_in_common_is_found() {
        let address: Address = "127.0.0.1:1".parse().expect("an address");
        for (prefixes, common) in [
            (vec!["wind/speed", "wind/gust", "wind/"], "wind/"),
            (vec!["wind/speed", "wind/gust"], "wind/"),
            (vec!["wind", "rain"], ""),
            (vec!["größe", "grüße"], "gr"),
            (vec!["über/a", "über/ä"], "über/"),
            (vec!["only"], "only"),
        ] {
            let prefixes = prefixes.into_iter().map(str::to_owned).collect();
            assert_eq!(NewsFilter::new(vec![address], prefixes).expect("a filter").common_prefix(), common);
        }
    }

    #[test]
    fn a_subject_is_the_same_however_it_is_written() {
        let [one, two]: [Address; 2] =
            ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().expect("an address"));
        let first = NewsFilter::new(vec![two, one, two], vec!["b".into(), "a".into()]).expect("a filter");
        let second =
            NewsFilter::new(vec![one, two], vec!["a".into(), "b".into(), "bc".into()]).expect("a filter");
        assert_eq!(first, second);
        assert!(first.includes("bcd") && !first.includes("c") && !first.includes(""));
        assert!(NewsFilter::new(vec![], vec!["".into()]).is_err());
        assert!(NewsFilter::new(vec![one], vec![]).is_err());
    }
}
