//! Plots of learning-rate range tests.

use std::error::Error as StdError;

use plotters::prelude::*;
use plotters::series::DashedLineSeries;

use crate::{LrCurve, LrPoint};

const SIZE: (u32, u32) = (900, 540);
const PER_UPDATE: RGBColor = RGBColor(185, 200, 215);
const SMOOTHED: RGBColor = RGBColor(20, 90, 160);
const SUGGESTED: RGBColor = RGBColor(200, 60, 30);
const STEEPEST: RGBColor = RGBColor(60, 130, 70);

impl LrCurve {
    pub(super) fn svg(&self) -> Result<String, Box<dyn StdError + '_>> {
        let mut svg = String::new();
        let (rates, losses) = (self.rate_range(), self.loss_range());
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .caption("Learning-rate range test", ("sans-serif", 20))
            .build_cartesian_2d((rates.0..rates.1).log_scale(), losses.0..losses.1)?;
        chart
            .configure_mesh()
            .x_desc("learning rate")
            .y_desc("loss")
            .x_label_formatter(&|rate| format_rate(*rate))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .draw()?;
        let clipped = |rate: f64, loss: f64| (rate, loss.clamp(losses.0, losses.1));
        let per_update = self.points.iter().map(|point| clipped(point.learning_rate, point.loss));
        chart
            .draw_series(LineSeries::new(per_update, PER_UPDATE.stroke_width(1)))?
            .label("loss of each update")
            .legend(|position| legend_line(position, PER_UPDATE));
        let smoothed = self.points.iter().map(|point| clipped(point.learning_rate, point.smoothed));
        chart
            .draw_series(LineSeries::new(smoothed, SMOOTHED.stroke_width(3)))?
            .label("smoothed")
            .legend(|position| legend_line(position, SMOOTHED));
        let marks = [
            (self.suggestion(), "suggestion (a tenth of the minimum)", SUGGESTED),
            (self.steepest(), "steepest descent", STEEPEST),
        ];
        for (rate, label, color) in marks {
            let Some(rate) = rate else { continue };
            let line = [(rate, losses.0), (rate, losses.1)];
            chart
                .draw_series(DashedLineSeries::new(line, 6, 4, color.stroke_width(2)))?
                .label(format!("{label}: {}", format_rate(rate)))
                .legend(move |position| legend_line(position, color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font(("sans-serif", 14))
            .draw()?;
        area.present()?;
        drop(chart);
        drop(area);
        Ok(svg)
    }

    /// Returns the range of learning rates to show: that of the points, or a default with less than two points.
    fn rate_range(&self) -> (f64, f64) {
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) if first.learning_rate < last.learning_rate => {
                (first.learning_rate, last.learning_rate)
            }
            (Some(only), _) => (only.learning_rate / 10.0, only.learning_rate * 10.0),
            _ => (1e-7, 10.0),
        }
    }

    /// Returns the range of losses to show: that of the points up to the minimum of the smoothed loss, with a margin.
    fn loss_range(&self) -> (f64, f64) {
        let smoothed = |point: &LrPoint| point.smoothed;
        let Some(lowest) = self.points.iter().map(smoothed).min_by(f64::total_cmp) else { return (0.0, 1.0) };
        let after =
            self.points.iter().position(|point| point.smoothed == lowest).map_or(0, |index| index + 1);
        let before = self.points[..after].iter().flat_map(|point| [point.loss, point.smoothed]);
        let (low, high) = before.fold((lowest, lowest), |(low, high), loss| (low.min(loss), high.max(loss)));
        let span = if high > low { high - low } else { low.abs().max(1e-3) };
        (low - 0.1 * span, high + 0.2 * span)
    }
}

/// Returns the line of a legend entry.
fn legend_line((x, y): (i32, i32), color: RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3))
}

/// Formats a learning rate with two digits: `3.2e-4`, `1e-3`.
fn format_rate(rate: f64) -> String {
    format!("{rate:.1e}").replace(".0e", "e")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LrRangeEnd;

    fn curve(n: i32) -> LrCurve {
        let point = |step: i32| {
            let x = f64::from(step);
            let smoothed = if step < 16 { 0.7 - 0.03 * x } else { 0.25 + (x - 15.0).powi(3) };
            LrPoint { learning_rate: 1e-6 * 10f64.powf(x / 4.0), loss: smoothed + 0.05, smoothed }
        };
        LrCurve { points: (0..n).map(point).collect(), stop_reason: LrRangeEnd::Diverged }
    }

    #[test]
    fn plot_labels_axes_and_marks_learning_rates() {
        let svg = curve(20).svg().unwrap();
        let text = svg.replace('\n', "");
        for part in [
            "<svg ",
            ">learning rate</text>",
            ">loss</text>",
            ">1e-5</text>",
            ">suggestion (a tenth of the minimum): 5.6e-4</text>",
            ">steepest descent: ",
            "</svg>",
        ] {
            assert!(text.contains(part), "expected {part} in\n{svg}");
        }
    }

    #[test]
    fn plots_curves_with_few_points() {
        for n in 0..4 {
            let svg = curve(n).svg().unwrap();
            assert!(svg.contains("smoothed") && !svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn write_error_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/curve.svg");
        let error = curve(20).write_svg(&path).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
}
