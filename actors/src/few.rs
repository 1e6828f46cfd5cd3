//! Long lists in messages: the first few entries, and how many more there are.

use std::fmt::Display;

/// How many are named.
const FEW: usize = 4;

/// The first few of many in words: "a, b, c, d and 3 more".
pub(crate) fn few<T: Display>(many: &[T]) -> String {
    let named: Vec<String> = many.iter().take(FEW).map(T::to_string).collect();
    match many.len().saturating_sub(FEW) {
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
    }
}
