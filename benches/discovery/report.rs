//! The results, as a table.

use std::time::Duration;

/// The values of one measurement.
pub(crate) struct Row {
    what: &'static str,
    times: Vec<Duration>,
    aim: Option<(Measure, Duration)>,
    notes: Vec<String>,
}

#[derive(Clone, Copy)]
enum Measure {
    Median,
    Most,
}

impl Row {
    /// A row for these values.
    pub(crate) fn of(what: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { what, times, aim: None, notes: Vec::new() }
    }

    /// Sets the target of the median.
    pub(crate) fn median_below(self, aim: Duration) -> Self {
        Self { aim: Some((Measure::Median, aim)), ..self }
    }

    /// Sets the target of the largest value.
    pub(crate) fn most_below(self, aim: Duration) -> Self {
        Self { aim: Some((Measure::Most, aim)), ..self }
    }

    /// Adds a note below the row.
    pub(crate) fn noting(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    fn median(&self) -> Duration {
        self.times[self.times.len() / 2]
    }

    fn most(&self) -> Duration {
        self.times[self.times.len() - 1]
    }

    fn verdict(&self) -> String {
        let Some((measure, aim)) = self.aim else { return String::new() };
        let (name, reached) = match measure {
            Measure::Median => ("median", self.median()),
            Measure::Most => ("most", self.most()),
        };
        let met = if reached < aim { "met" } else { "MISSED" };
        format!("{met}: {name} < {} ms", aim.as_millis())
    }
}

/// Prints the table.
pub(crate) fn print(rows: impl Iterator<Item = Row>) {
    println!("{:<42} {:>5} {:>10} {:>10} {:>10}  aim", "milliseconds", "runs", "least", "median", "most");
    for row in rows {
        let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1_000.0);
        let (least, median, most) = (ms(row.times[0]), ms(row.median()), ms(row.most()));
        println!(
            "{:<42} {:>5} {least:>10} {median:>10} {most:>10}  {}",
            row.what,
            row.times.len(),
            row.verdict()
        );
        for note in &row.notes {
            println!("  {note}");
        }
    }
}
