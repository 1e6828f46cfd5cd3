//! Formatting of numbers for people.

/// Formats a count or a rate with commas: `1,234,567`; small ones with one decimal.
pub(crate) fn count(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let places = digits.len();
    let comma = |place: usize| if place > 0 && (places - place).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(place, digit)| format!("{}{digit}", comma(place))).collect()
}

/// Formats a number to three digits: `0.123`, `1.23`, `12.3`, `123`, `12,345`.
pub(crate) fn short(number: f64) -> String {
    match number {
        100.0.. => count(number.round()),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Formats a time given in microseconds.
pub(crate) fn time(micros: f64) -> String {
    match micros {
        1e6.. => format!("{} s", short(micros / 1e6)),
        1e3.. => format!("{} ms", short(micros / 1e3)),
        _ => format!("{} µs", short(micros)),
    }
}

/// Formats a length in bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{} {name}", short(bytes as f64 / unit as f64)),
        None => format!("{bytes} B"),
    }
}

/// Formats a ratio: `1.15 ×`.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{} ×", short(ratio))
}

/// Formats a known value, or a dash.
pub(crate) fn or_dash<T>(known: Option<T>, show: impl FnOnce(T) -> String) -> String {
    known.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [0.0, 7.5, 99.0, 1_234.5, 1_234_567.0].map(count),
            ["0", "7.5", "99", "1,234", "1,234,567"]
        );
        assert_eq!([0.1234, 1.0, 12.34, 123.4, 1e5].map(short), ["0.123", "1.00", "12.3", "123", "100,000"]);
        assert_eq!([0.5, 80.0, 1_500.0, 2e6].map(time), ["0.500 µs", "80.0 µs", "1.50 ms", "2.00 s"]);
        assert_eq!([8, 1_024, 1_536, 1 << 20].map(bytes), ["8 B", "1 KiB", "1.50 KiB", "1 MiB"]);
        assert_eq!(or_dash(None, ratio), "-");
        assert_eq!(ratio(1.149), "1.15 ×");
    }
}
