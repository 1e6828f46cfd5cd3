//! Similar names, to suggest corrections of misspelled ones.

/// The maximum number of names that are compared closely, so that a large mesh costs little time.
const MAX_COMPARED: usize = 512;

/// Returns the name of `heard` that is nearest to `sought`, if it differs only by capitals or a few letters.
pub fn nearest<'a>(sought: &str, heard: &'a [String]) -> Option<&'a str> {
    let wanted: Vec<char> = lower(sought);
    let most = (wanted.len() / 4).clamp(1, 3);
    let near = heard.iter().filter(|name| *name != sought).map(|name| (lower(name), name));
    let near = near.filter(|(letters, _)| letters.len().abs_diff(wanted.len()) <= most).take(MAX_COMPARED);
    let distances = near.map(|(letters, name)| (distance(&wanted, &letters), name));
    let (_, name) =
        distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance)?;
    Some(name)
}

fn lower(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Returns the number of letters to be inserted, removed, replaced or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, with) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != with);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *with && *letter == other[column - 1] {
                least = least.min(before_last[column - 1] + 1);
            }
            next.push(least);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_found_and_different_names_are_not() {
        let heard = ["Robot/Leg", "größe", "robot/arm", "robot/arms", "weather"].map(str::to_owned);
        for (sought, expected) in [
            ("robot/amr", Some("robot/arm")),
            ("robot/ar", Some("robot/arm")),
            ("robot/leg", Some("Robot/Leg")),
            ("robto/arms", Some("robot/arms")),
            ("grösse", None),
            ("große", Some("größe")),
            ("wether", Some("weather")),
            ("camera", None),
            ("", None),
            ("robot/arm", Some("robot/arms")),
        ] {
            assert_eq!(nearest(sought, &heard), expected, "{sought}");
        }
        assert_eq!(nearest("a", &[]), None);
    }
}
