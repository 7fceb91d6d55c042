//! Charts of lines and bars as SVG whose colors follow the page: light, dark or printed.

use std::error::Error as StdError;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::series::DashedLineSeries;

use crate::format::short;

const SIZE: (u32, u32) = (440, 270);
/// Lines that have a color of their own.
pub(crate) const N_COLORS: usize = 8;
// Colors that no page has: each is replaced by a variable of the style sheet.
const INK: RGBColor = RGBColor(2, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 1);

/// A chart: lines over a common axis, perhaps with marked places and bars behind them.
#[derive(Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) lines: Vec<Line>,
    /// Places of the horizontal axis with what is there.
    pub(crate) marks: Vec<(f64, String)>,
    /// Bars: from, to, height.
    pub(crate) bars: Vec<(f64, f64, f64)>,
    /// What the axes span, where the values should not say it.
    pub(crate) x_range: Option<(f64, f64)>,
    pub(crate) y_range: Option<(f64, f64)>,
    /// Whether the horizontal axis counts something whole.
    pub(crate) counts: bool,
}

/// A line of a chart; where there is no value, it has a gap.
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Number of its color.
    pub(crate) color: usize,
    pub(crate) dashed: bool,
}

impl Line {
    /// A line through points that all have a value.
    pub(crate) fn new(
        label: impl Into<String>,
        color: usize,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let points = points.into_iter().map(|(x, y)| (x, Some(y))).collect();
        Self { label: label.into(), points, color, dashed: false }
    }

    pub(crate) fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }

    /// Its stretches without gaps.
    fn stretches(&self) -> Vec<Vec<(f64, f64)>> {
        let finite = |y: &Option<f64>| y.filter(|y| y.is_finite());
        let parts = self.points.split(|(_, y)| finite(y).is_none());
        parts
            .filter(|part| !part.is_empty())
            .map(|part| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect())
            .collect()
    }
}

impl Chart {
    /// The figure with its title and what its lines are; nothing if there is nothing to draw.
    pub(crate) fn render(&self) -> Markup {
        if self.bars.is_empty() && self.lines.iter().all(|line| line.stretches().is_empty()) {
            return html! {};
        }
        let Ok(svg) = self.svg() else {
            return html! { p { "This chart could not be drawn: " (self.title) } };
        };
        html! {
            figure {
                figcaption { (self.title) }
                (PreEscaped(svg))
                @if self.lines.len() > 1 || !self.marks.is_empty() {
                    ul.legend {
                        @for line in &self.lines {
                            li { span.key.dashed[line.dashed] style=(format!("--c:var(--s{})", line.color % N_COLORS)) {} (line.label) }
                        }
                        @for (_, label) in &self.marks {
                            li { span.key.dotted {} (label) }
                        }
                    }
                }
            }
        }
    }

    fn svg(&self) -> Result<String, Box<dyn StdError + '_>> {
        let mut picture = String::new();
        let (x, y) = self.ranges();
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .margin_right(18)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let n_labels = if self.counts { ((x.end - x.start) as usize + 1).clamp(2, 8) } else { 6 };
        let label =
            |value: &f64| if self.counts && value.fract() != 0.0 { String::new() } else { short(*value) };
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(n_labels)
            .y_labels(6)
            .x_label_formatter(&label)
            .y_label_formatter(&|value| short(*value))
            .label_style(("sans-serif", 15).into_font().color(&INK))
            .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        let bars = self.bars.iter().map(|&(from, to, height)| {
            Rectangle::new([(from, y.start), (to, height)], series_color(0).mix(0.35).filled())
        });
        chart.draw_series(bars)?;
        for (at, _) in &self.marks {
            chart.draw_series(DashedLineSeries::new(
                [(*at, y.start), (*at, y.end)],
                2,
                4,
                INK.stroke_width(1),
            ))?;
        }
        for line in &self.lines {
            let color = series_color(line.color);
            for points in line.stretches() {
                if let [point] = points[..] {
                    chart.draw_series([Circle::new(point, 4, color.filled())])?;
                } else if line.dashed {
                    chart.draw_series(DashedLineSeries::new(points, 6, 4, color.stroke_width(2)))?;
                } else {
                    chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
                }
            }
        }
        area.present()?;
        drop(chart);
        drop(area);
        Ok(themed(&picture, &self.title))
    }

    /// What both axes span: all that is drawn, with some room above and below.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points: Vec<(f64, f64)> = self.lines.iter().flat_map(Line::stretches).flatten().collect();
        let bars = self.bars.iter().flat_map(|&(from, to, height)| [(from, 0.0), (to, height)]);
        let all: Vec<(f64, f64)> = points.into_iter().chain(bars).collect();
        let span = |value: fn(&(f64, f64)) -> f64| {
            let low = all.iter().map(value).fold(f64::INFINITY, f64::min);
            let high = all.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let room = |(low, high): (f64, f64), share: f64| {
            let size = if high > low { high - low } else { low.abs().max(1e-3) };
            (low - share * size, high + share * size)
        };
        let x = self.x_range.unwrap_or_else(|| {
            let (low, high) = span(|point| point.0);
            if high > low { (low, high) } else { (low - 0.5, high + 0.5) }
        });
        let y = self.y_range.unwrap_or_else(|| room(span(|point| point.1), 0.06));
        (x.0..x.1, y.0..y.1)
    }
}

/// Placeholder of a line's color.
fn series_color(number: usize) -> RGBColor {
    RGBColor(1, 0, (number % N_COLORS) as u8)
}

/// The picture with the page's colors, as wide as there is room, and with its name for who cannot see it.
fn themed(picture: &str, title: &str) -> String {
    let mut picture = picture.replace("#020000", "var(--muted)").replace("#020001", "var(--grid)").replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(title)),
        1,
    );
    for number in 0..N_COLORS {
        picture = picture.replace(&format!("#01000{number}"), &format!("var(--s{number})"));
    }
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    picture.replacen(&size, "", 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_those_of_the_page_and_gaps_stay_gaps() {
        let mut line = Line::new("loss & <more>", 3, [(1.0, 0.5), (2.0, 0.4), (3.0, 0.3), (4.0, 0.2)]);
        line.points[2].1 = None;
        assert_eq!(line.stretches(), [vec![(1.0, 0.5), (2.0, 0.4)], vec![(4.0, 0.2)]]);
        let chart = Chart { title: "A \"title\"".into(), lines: vec![line], ..Chart::default() };
        let page = chart.render().into_string();
        assert!(page.contains("var(--s3)") && page.contains("var(--grid)"), "{page}");
        assert!(page.contains("aria-label=\"A &quot;title&quot;\"") && page.contains("viewBox"), "{page}");
        assert!(!page.contains("#0") && !page.contains("width=\"440\""), "{page}");
        assert_eq!(Chart::default().render().into_string(), "");
    }
}
