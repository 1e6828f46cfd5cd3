//! Long lists in messages: the first few entries, and the number of the others.

use std::fmt::Display;

/// The number of entries shown by [`few`].
const FEW_ITEMS: usize = 4;

/// Formats the first four entries: "a, b, c, d and 3 more".
pub fn few<T: Display>(items: &[T]) -> String {
    at_most(FEW_ITEMS, items)
}

/// Formats the first `max` entries like [`few`].
pub fn at_most<T: Display>(max: usize, items: &[T]) -> String {
    let texts: Vec<String> = items.iter().take(max).map(T::to_string).collect();
    match items.len().saturating_sub(max) {
        0 => texts.join(", "),
        more => format!("{} and {more} more", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_shortened() {
        assert_eq!(few(&[1, 2, 3, 4]), "1, 2, 3, 4");
        assert_eq!(few(&[1, 2, 3, 4, 5, 6]), "1, 2, 3, 4 and 2 more");
        assert_eq!(few::<u8>(&[]), "");
        assert_eq!(at_most(2, &[1, 2, 3]), "1, 2 and 1 more");
    }
}
