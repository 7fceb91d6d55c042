//! Log-log plots of measurements by size.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;

/// A curve: its name and the accessor of its values.
pub(crate) type Series<P> = (&'static str, fn(&P) -> f64);

const COLORS: [RGBColor; 3] = [RGBColor(200, 60, 30), RGBColor(20, 90, 160), RGBColor(60, 130, 70)];

/// Draws two panels of curves by size as an SVG. All axes are logarithmic, so proportional growth is a line of slope 1.
pub(crate) fn draw<P>(points: &[P], size: Series<P>, panels: [(&str, &[Series<P>]); 2]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (900, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(450);
        for (area, (unit, series)) in [left, right].iter().zip(panels) {
            panel(area, points, size, unit, series)?;
        }
        area.present()?;
    }
    Ok(svg)
}

fn panel<P>(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    points: &[P],
    (size_name, size): Series<P>,
    unit: &str,
    series: &[Series<P>],
) -> Result<()> {
    let values = || series.iter().flat_map(|(_, value)| points.iter().map(value));
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let sizes = || points.iter().map(size);
    let (first, last) = (sizes().fold(f64::MAX, f64::min), sizes().fold(f64::MIN, f64::max));
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((first * 0.8..last * 1.25).log_scale(), (low * 0.7..high * 1.4).log_scale())?;
    let abbreviate =
        |n: &f64| if *n < 1e6 { format!("{:.0} k", n / 1e3) } else { format!("{:.0} M", n / 1e6) };
    chart
        .configure_mesh()
        .x_desc(size_name)
        .y_desc(unit)
        .x_label_formatter(&abbreviate)
        .light_line_style(WHITE)
        .draw()?;
    for (&(name, value), color) in series.iter().zip(COLORS) {
        let line = points.iter().map(|point| (size(point), value(point)));
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    Ok(())
}
