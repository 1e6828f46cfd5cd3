//! Similar names, to suggest corrections of misspelled ones.

/// The maximum number of names that are compared closely, so that a large mesh costs little time.
const MAX_COMPARED: usize = 512;

/// Returns the name of `received` that is nearest to `sought`, if it differs only by capitals or a few letters.
pub fn nearest<'a>(sought: &str, received: &'a [String]) -> Option<&'a str> {
    let wanted: Vec<char> = lower(sought);
    let max_distance = (wanted.len() / 4).clamp(1, 3);
    let candidates = received.iter().filter(|name| *name != sought).map(|name| (lower(name), name));
    let candidates = candidates
        .filter(|(letters, _)| letters.len().abs_diff(wanted.len()) <= max_distance)
        .take(MAX_COMPARED);
    let distances = candidates.map(|(letters, name)| (distance(&wanted, &letters), name));
    let (_, name) =
        distances.filter(|(distance, _)| *distance <= max_distance).min_by_key(|(distance, _)| *distance)?;
    Some(name)
}

fn lower(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Returns the number of letters to be inserted, removed, replaced or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut previous_row: Vec<usize> = Vec::new();
    let mut current_row: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next_row = vec![row + 1];
        for (column, other_letter) in other.iter().enumerate() {
            let replaced = current_row[column] + usize::from(letter != other_letter);
            let mut smallest = replaced.min(current_row[column + 1] + 1).min(next_row[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *other_letter && *letter == other[column - 1] {
                smallest = smallest.min(previous_row[column - 1] + 1);
            }
            next_row.push(smallest);
        }
        previous_row = std::mem::replace(&mut current_row, next_row);
    }
    current_row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_found_and_different_names_are_not() {
        let received = ["Robot/Leg", "größe", "robot/arm", "robot/arms", "weather"].map(str::to_owned);
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
            assert_eq!(nearest(sought, &received), expected, "{sought}");
        }
        assert_eq!(nearest("a", &[]), None);
    }
}
