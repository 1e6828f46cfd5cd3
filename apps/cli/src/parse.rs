//! Parsers of durations, rates and sizes on the command line.

use std::time::Duration;

/// The longest duration: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a duration: `5s`, `500ms`, `2m`, `1.5h`, `2d`, or seconds without a unit; a year at most.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 5s, 500ms, 2m, 1h or 2d; 365d is the longest");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * seconds).ok().filter(|time| *time <= LONGEST);
    time.ok_or_else(|| format!("{text:?} is too long; 365d is the longest"))
}

/// Parses a time limit, 1 ms at least.
pub(crate) fn limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(1) => {
            Err(format!("{text:?} is too short for a program to run; write 1ms or more, such as 5s"))
        }
        time => Ok(time),
    }
}

/// Parses a rate per second. Returns the interval.
pub(crate) fn rate(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a rate; write items per second, such as 50 or 0.5, up to 100000");
    let rate: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(rate > 0.0 && rate <= 100_000.0) {
        return Err(wrong());
    }
    Ok(Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LONGEST).min(LONGEST))
}

/// Parses the time of a measurement: 50 ms to 24 h.
pub(crate) fn run_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_millis(50)..=Duration::from_secs(86_400)).contains(&time) {
        Ok(time)
    } else {
        Err(format!("{text:?} is not a measuring time; write 50ms to 24h, such as 3s"))
    }
}

/// Parses a spin time in whole microseconds.
pub(crate) fn spin(text: &str) -> Result<Duration, String> {
    let number = text.trim().strip_suffix("us").or_else(|| text.trim().strip_suffix("µs"));
    let micros = number.and_then(|number| number.trim().parse().ok()).filter(|micros| *micros <= 10_000);
    micros
        .map(Duration::from_micros)
        .ok_or_else(|| format!("{text:?} is not a spin time; write 50us, up to 10000us"))
}

/// Parses a rate of messages per second: `500`, `20k`, `1.5M`.
pub(crate) fn per_second(text: &str) -> Result<f64, String> {
    let wrong =
        || format!("{text:?} is not a rate; write messages per second, such as 500, 20k or 1.5M, up to 100M");
    let text = text.trim();
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let rate = number.parse::<f64>().map_err(|_| wrong())? * unit;
    if rate > 0.0 && rate <= 100e6 { Ok(rate) } else { Err(wrong()) }
}

/// Parses a number of bytes: `64`, `4KiB`, `1MiB`; `kB` and `MB` are thousands, `k` and `M` alone as `KiB` and `MiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of bytes; write 64, 4KiB or 1MiB");
    let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
    let (number, unit) = text.trim().split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
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
            ("2d", 172_800_000),
            ("1.5d", 129_600_000),
            ("365d", 31_536_000_000),
            (" 3 s ", 3_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for huge in ["9".repeat(400), format!("{}h", u64::MAX), "9000h".to_owned(), "365.1d".to_owned()] {
            assert!(duration(&huge).expect_err(&huge).contains("365d is the longest"), "{huge}");
        }
        assert_eq!(duration("0.0000000001"), Ok(Duration::ZERO));
        assert_eq!(limit("1ms"), Ok(Duration::from_millis(1)));
        assert!(limit("0").expect_err("none at all").contains("1ms"));
    }

    #[test]
    fn what_is_no_duration_says_what_one_looks_like() {
        for text in [
            "", "s", "-1s", "5 days", "1.2.3", "NaN", "5s5", "never", "inf", "1e300s", "1ns", "-0", "+1", ".",
        ] {
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

    #[test]
    fn rates_and_lengths_of_measurements_are_read() {
        assert_eq!(
            [per_second("500"), per_second("20k"), per_second("1.5M")],
            [Ok(500.0), Ok(20e3), Ok(1.5e6)]
        );
        for text in ["0", "-5", "NaN", "inf", "1G", "", "k", "101M"] {
            assert!(per_second(text).expect_err(text).contains("20k"), "{text}");
        }
        assert_eq!([bytes("64"), bytes("4KiB"), bytes("1 MiB")], [Ok(64), Ok(4_096), Ok(1 << 20)]);
        assert_eq!([bytes("2k"), bytes("2kB")], [Ok(2_048), Ok(2_000)]);
        for text in ["", "x", "-1", "1.5k", "1TB", "99999999999G"] {
            assert!(bytes(text).expect_err(text).contains("4KiB"), "{text}");
        }
        assert_eq!(spin("50us"), Ok(Duration::from_micros(50)));
        for text in ["", "50", "us", "-1us", "1s", "20000us"] {
            assert!(spin(text).expect_err(text).contains("50us"), "{text}");
        }
        assert!(run_time("1ms").expect_err("too short").contains("50ms"));
    }
}
