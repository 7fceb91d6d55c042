//! Line and bar charts as SVG whose colors follow the report: light, dark or printed.

use std::error::Error as StdError;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::series::DashedLineSeries;

use crate::format::short;

const SIZE: (u32, u32) = (440, 270);
/// Number of distinct line colors.
pub(crate) const N_COLORS: usize = 8;
// Placeholder colors: each is replaced by a variable of the style sheet.
const INK: RGBColor = RGBColor(2, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 1);

/// A chart: lines over a common axis, with optional bars and vertical markers.
#[derive(Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) lines: Vec<Line>,
    /// Vertical markers: position on the horizontal axis, label.
    pub(crate) markers: Vec<(f64, String)>,
    /// Bars: left edge, right edge, height.
    pub(crate) bars: Vec<(f64, f64, f64)>,
    /// Ranges of the axes; `None` fits them to the values.
    pub(crate) x_range: Option<(f64, f64)>,
    pub(crate) y_range: Option<(f64, f64)>,
    /// Whether the values of the horizontal axis are integers, as epochs are.
    pub(crate) is_integer_x: bool,
}

/// A line of a chart, with a gap at each missing value.
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Index of its color.
    pub(crate) color: usize,
    pub(crate) dashed: bool,
}

impl Line {
    /// Creates a line through points that all have a value.
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

    /// Returns the segments between gaps.
    fn segments(&self) -> Vec<Vec<(f64, f64)>> {
        let parts = self.points.split(|(_, y)| !y.is_some_and(f64::is_finite));
        parts
            .filter(|part| !part.is_empty())
            .map(|part| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect())
            .collect()
    }
}

impl Chart {
    /// Renders the figure with title and legend; empty if there is nothing to draw.
    pub(crate) fn render(&self) -> Markup {
        if self.bars.is_empty() && self.lines.iter().all(|line| line.segments().is_empty()) {
            return html! {};
        }
        let Ok(svg) = self.svg() else {
            return html! { p { "Could not draw this chart: " (self.title) } };
        };
        html! {
            figure {
                figcaption { (self.title) }
                (PreEscaped(svg))
                @if self.lines.len() > 1 || !self.markers.is_empty() {
                    ul.legend {
                        @for line in &self.lines {
                            li { span.key.dashed[line.dashed] style=(format!("--c:var(--s{})", line.color % N_COLORS)) {} (line.label) }
                        }
                        @for (_, label) in &self.markers {
                            li { span.key.dotted {} (label) }
                        }
                    }
                }
            }
        }
    }

    fn svg(&self) -> Result<String, Box<dyn StdError + '_>> {
        let mut svg = String::new();
        let (x, y) = self.ranges();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .margin_right(18)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let n_labels = if self.is_integer_x { ((x.end - x.start) as usize + 1).clamp(2, 8) } else { 6 };
        let label = |value: &f64| {
            if self.is_integer_x && value.fract() != 0.0 { String::new() } else { short(*value) }
        };
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
        for (x, _) in &self.markers {
            chart.draw_series(DashedLineSeries::new(
                [(*x, y.start), (*x, y.end)],
                2,
                4,
                INK.stroke_width(1),
            ))?;
        }
        for line in &self.lines {
            let color = series_color(line.color);
            for points in line.segments() {
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
        Ok(themed(&svg, &self.title))
    }

    /// Returns the ranges of both axes: everything drawn, with padding above and below.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points: Vec<(f64, f64)> = self.lines.iter().flat_map(Line::segments).flatten().collect();
        let bars = self.bars.iter().flat_map(|&(from, to, height)| [(from, 0.0), (to, height)]);
        let all: Vec<(f64, f64)> = points.into_iter().chain(bars).collect();
        let extent = |value: fn(&(f64, f64)) -> f64| {
            let low = all.iter().map(value).fold(f64::INFINITY, f64::min);
            let high = all.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let padded = |(low, high): (f64, f64), share: f64| {
            let size = if high > low { high - low } else { low.abs().max(1e-3) };
            (low - share * size, high + share * size)
        };
        let x = self.x_range.unwrap_or_else(|| {
            let (low, high) = extent(|point| point.0);
            if high > low { (low, high) } else { (low - 0.5, high + 0.5) }
        });
        let y = self.y_range.unwrap_or_else(|| padded(extent(|point| point.1), 0.06));
        (x.0..x.1, y.0..y.1)
    }
}

/// Returns the placeholder of a line color.
fn series_color(index: usize) -> RGBColor {
    RGBColor(1, 0, (index % N_COLORS) as u8)
}

/// Replaces placeholders by the colors of the report, adds a label for screen readers and lets the image scale to its container.
fn themed(svg: &str, title: &str) -> String {
    let mut svg = svg.replace("#020000", "var(--muted)").replace("#020001", "var(--grid)").replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(title)),
        1,
    );
    for index in 0..N_COLORS {
        svg = svg.replace(&format!("#01000{index}"), &format!("var(--s{index})"));
    }
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    svg.replacen(&size, "", 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_report_colors_and_keeps_gaps() {
        let mut line = Line::new("loss & <more>", 3, [(1.0, 0.5), (2.0, 0.4), (3.0, 0.3), (4.0, 0.2)]);
        line.points[2].1 = None;
        assert_eq!(line.segments(), [vec![(1.0, 0.5), (2.0, 0.4)], vec![(4.0, 0.2)]]);
        let chart = Chart { title: "A \"title\"".into(), lines: vec![line], ..Chart::default() };
        let html = chart.render().into_string();
        assert!(html.contains("var(--s3)") && html.contains("var(--grid)"), "{html}");
        assert!(html.contains("aria-label=\"A &quot;title&quot;\"") && html.contains("viewBox"), "{html}");
        assert!(!html.contains("#0") && !html.contains("width=\"440\""), "{html}");
        assert_eq!(Chart::default().render().into_string(), "");
    }
}
