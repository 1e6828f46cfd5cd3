//! Long lists in messages: the first few entries, and the number of the rest.

use std::fmt::Display;

/// The number of entries that are shown unless the entries are short.
const FEW: usize = 4;

/// Formats the first four entries: "a, b, c, d and 3 more".
pub fn few<T: Display>(many: &[T]) -> String {
    at_most(FEW, many)
}

/// Formats the first `most` entries like [`few`].
pub fn at_most<T: Display>(most: usize, many: &[T]) -> String {
    let named: Vec<String> = many.iter().take(most).map(T::to_string).collect();
    match many.len().saturating_sub(most) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_a_few_are_named() {
        assert_eq!(few(&[1, 2, 3, 4]), "1, 2, 3, 4");
        assert_eq!(few(&[1, 2, 3, 4, 5, 6]), "1, 2, 3, 4 and 2 more");
        assert_eq!(few::<u8>(&[]), "");
        assert_eq!(at_most(2, &[1, 2, 3]), "1, 2 and 1 more");
    }
}
