//! Reading what people type for durations and rates.

use std::time::Duration;

/// The longest time that makes sense to wait: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `5s`, `500ms`, `2m`, `1.5h`, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write 5s, 500ms, 2m or 1h");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::try_from_secs_f64(number * seconds).unwrap_or(LONGEST).min(LONGEST))
}

/// How often a second; the time from one to the next is what is returned.
pub(crate) fn rate(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no rate; write how often a second, such as 50 or 0.5, up to 100000");
    let rate: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(rate > 0.0 && rate <= 100_000.0) {
        return Err(wrong());
    }
    Ok(Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LONGEST).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("5s", 5_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5", 1_500),
            ("0", 0),
            ("1h", 3_600_000),
            (" 3 s ", 3_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration(&"9".repeat(400)), Ok(LONGEST));
    }

    #[test]
    fn what_is_no_duration_says_what_one_looks_like() {
        for text in ["", "s", "-1s", "5 days", "1.2.3", "NaN", "5s5"] {
            assert!(duration(text).expect_err(text).contains("500ms"), "{text}");
        }
    }

    #[test]
    fn rates_are_read() {
        assert_eq!(rate("50"), Ok(Duration::from_millis(20)));
        assert_eq!(rate("0.5"), Ok(Duration::from_secs(2)));
        for text in ["0", "-1", "inf", "NaN", "", "1e9"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
