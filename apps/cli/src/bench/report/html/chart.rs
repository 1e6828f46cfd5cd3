//! Charts as SVG: lines over a scale or over names, with one colour per series and values on hover.

use std::fmt::Write;

use super::escape::Escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 64.0;
/// The number of colours, distinguishable in both colour schemes and with colour blindness; the page defines them.
const COLOURS: usize = 6;

/// A chart: series of points over one scale.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) across: Axis<'a>,
    pub(super) up: Axis<'a>,
    pub(super) series: Vec<Series>,
}

/// One axis. Values are drawn by their logarithm, unless they are positions of names.
pub(super) struct Axis<'a> {
    pub(super) title: &'a str,
    pub(super) show: fn(f64) -> String,
    /// One name for each of 0, 1, 2 … in place of a scale.
    pub(super) names: Vec<String>,
}

/// One line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Axis<'_> {
    fn position(&self, value: f64) -> f64 {
        if self.names.is_empty() { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    /// Returns the range of the axis.
    fn span(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        if !self.names.is_empty() {
            return (-0.25, self.names.len() as f64 - 0.75);
        }
        let (low, high) = values
            .map(|value| self.position(value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
        if !low.is_finite() || !high.is_finite() {
            return (0.0, 1.0);
        }
        let margin = ((high - low) * 0.06).max(0.1);
        (low - margin, high + margin)
    }

    /// Returns the positions of the grid lines and their labels.
    fn ticks(&self, (low, high): (f64, f64)) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            return self.names.iter().enumerate().map(|(place, name)| (place as f64, name.clone())).collect();
        }
        let steps: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let every = ((last - first) / 8 + 1) as usize;
        all.filter(|value| (low..=high).contains(&value.log10()))
            .step_by(every)
            .map(|value| (value.log10(), (self.show)(value)))
            .collect()
    }
}

impl Chart<'_> {
    /// Draws the chart and its legend; an empty text without any points.
    pub(super) fn draw(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        if points().next().is_none() {
            return String::new();
        }
        let across = self.across.span(points().map(|(x, _)| x));
        let up = self.up.span(points().map(|(_, y)| y));
        let x = |at: f64| LEFT + (at - across.0) / (across.1 - across.0) * (WIDTH - LEFT - RIGHT);
        let y = |at: f64| HEIGHT - BOTTOM - (at - up.0) / (up.1 - up.0) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n",
            title = Escaped(self.title)
        );
        let (bottom, ceiling, end) = (HEIGHT - BOTTOM, TOP, WIDTH - RIGHT);
        for (at, name) in self.across.ticks(across) {
            let at = x(at);
            line(&mut svg, (at, bottom), (at, ceiling));
            label(&mut svg, (at, bottom + 18.0), "middle", &name);
        }
        for (at, name) in self.up.ticks(up) {
            let at = y(at);
            line(&mut svg, (LEFT, at), (end, at));
            label(&mut svg, (LEFT - 8.0, at + 4.0), "end", &name);
        }
        label(&mut svg, ((LEFT + end) / 2.0, HEIGHT - 20.0), "middle", self.across.title);
        for (number, series) in self.series.iter().enumerate() {
            let colour = number % COLOURS;
            let at = |&(across, up): &(f64, f64)| (x(self.across.position(across)), y(self.up.position(up)));
            let path: Vec<_> = series.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            _ = writeln!(svg, "<polyline class=\"line c{colour}\" points=\"{}\"/>", path.join(" "));
            for point in &series.points {
                let (x, y) = at(point);
                let told = format!("{}: {}", series.name, (self.up.show)(point.1));
                _ = writeln!(
                    svg,
                    "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                    Escaped(&told)
                );
            }
        }
        svg.push_str("</svg>\n<ul class=\"legend\">");
        for (number, series) in self.series.iter().enumerate() {
            let colour = number % COLOURS;
            _ = write!(svg, "<li><span class=\"key k{colour}\"></span>{}</li>", Escaped(&series.name));
        }
        _ = write!(svg, "</ul>\n<p class=\"axis\">{}</p></figure>\n", Escaped(self.up.title));
        svg
    }
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    _ = writeln!(svg, "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn label(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", Escaped(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(names: &[&str]) -> Axis<'static> {
        Axis {
            title: "axis",
            show: |value| value.to_string(),
            names: names.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn points_lie_inside() {
        let points = vec![(8.0, 1e-3), (1e6, 1e9), (1.0, 0.0)];
        let series = vec![Series { name: "<a>".to_owned(), points }];
        let svg = Chart { title: "t", across: axis(&[]), up: axis(&[]), series }.draw();
        for part in svg.split("cx=\"").skip(1) {
            let x: f64 = part.split('"').next().and_then(|x| x.parse().ok()).expect("a number");
            assert!((LEFT..=WIDTH).contains(&x), "{svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<a>"), "{svg}");
    }

    #[test]
    fn nothing_and_one_point_are_drawn_as_well() {
        let chart = |points| Chart {
            title: "t",
            across: axis(&["one"]),
            up: axis(&[]),
            series: vec![Series { name: "s".to_owned(), points }],
        };
        assert_eq!(chart(Vec::new()).draw(), "");
        let svg = chart(vec![(0.0, 5.0)]).draw();
        assert!(svg.contains(">one</text>") && !svg.contains("NaN"), "{svg}");
    }
}
