//! The layout of the view: summary, progress, curves, log.

use faknow::callbacks::format_duration;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

use super::state::State;

/// Maximum number of log lines that fit.
pub(super) const MAX_LINES: usize = 12;
/// Minimum height for curves, in rows.
const MIN_CURVE_HEIGHT: u16 = 14;

pub(super) fn draw(frame: &mut Frame<'_>, state: &State, lines: &[String]) {
    let area = frame.area();
    let log = if area.height >= 24 { 8 } else { 4 };
    let curves = if area.height >= MIN_CURVE_HEIGHT { Constraint::Min(6) } else { Constraint::Length(0) };
    let rows = [
        Constraint::Length(2),
        Constraint::Length(1),
        curves,
        Constraint::Length(log),
        Constraint::Length(1),
    ];
    let [summary, progress, curves, log, keys] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(self::summary(state)), summary);
    let label = match state.validation {
        Some((done, total)) => format!("validation {done}/{total}"),
        None => {
            format!("epoch {}/{}, batch {}/{}", state.epoch, state.max_epochs, state.batch, state.n_batches)
        }
    };
    let gauge =
        Gauge::default().ratio(state.progress()).label(label).gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge, progress);
    if curves.height > 0 {
        draw_curves(frame, state, curves);
    }
    let n_lines = usize::from(log.height.saturating_sub(1));
    let shown = lines.iter().skip(lines.len().saturating_sub(n_lines)).map(|line| Line::raw(line.as_str()));
    let shown = Paragraph::new(shown.collect::<Vec<_>>()).block(Block::new().title("log".dim()));
    frame.render_widget(shown, log);
    let hint = if state.is_stopping {
        "stopping after this batch; press q again to exit immediately"
    } else {
        "q: stop after this batch and save"
    };
    frame.render_widget(Paragraph::new(hint.dim()), keys);
}

fn summary(state: &State) -> Vec<Line<'_>> {
    let best = state.best.as_deref().unwrap_or("none yet");
    vec![
        Line::from(vec![state.title.as_str().bold(), format!("   best {best}").into()]),
        Line::raw(format!(
            "{} elapsed, {} remaining   learning rate {:.2e}",
            format_duration(state.seconds),
            state.remaining_time(),
            state.learning_rate
        )),
    ]
}

fn draw_curves(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let losses = [
        ("batch", &state.batch_losses, Color::DarkGray),
        ("training", &state.train_losses, Color::Blue),
        ("validation", &state.valid_losses, Color::Yellow),
    ];
    match &state.monitor {
        Some((name, values)) if area.width >= 60 => {
            let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
            draw_chart(frame, "loss", &losses, state, left);
            draw_chart(frame, &format!("validation {name}"), &[(name, values, Color::Green)], state, right);
        }
        _ => draw_chart(frame, "loss", &losses, state, area),
    }
}

type Curve<'a> = (&'a str, &'a Vec<(f64, f64)>, Color);

fn draw_chart(frame: &mut Frame<'_>, title: &str, curves: &[Curve<'_>], state: &State, area: Rect) {
    let values = curves.iter().flat_map(|(_, points, _)| points.iter().map(|(_, value)| *value));
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = match (low <= high, high > low) {
        (false, _) => (0.0, 1.0),
        (true, false) => (low - 0.5, high + 0.5),
        _ => (low, high),
    };
    let sets = curves.iter().filter(|(_, points, _)| !points.is_empty()).map(|(_, points, color)| {
        // A single point has no line.
        let (graph, marker) = if points.len() > 1 {
            (GraphType::Line, Marker::Braille)
        } else {
            (GraphType::Scatter, Marker::Dot)
        };
        Dataset::default().data(points).graph_type(graph).marker(marker).style(Style::new().fg(*color))
    });
    let end = (state.max_epochs.max(1)) as f64;
    let x = Axis::default().bounds([0.0, end]).labels(["0".to_owned(), format!("{end} epochs")]);
    let y = Axis::default().bounds([low, high]).labels([format!("{low:.3}"), format!("{high:.3}")]);
    // The names are in the title: a legend would hide the curves.
    let names = curves.iter().flat_map(|(name, _, color)| [" ".into(), (*name).to_owned().fg(*color)]);
    let title: Vec<_> =
        [title.to_owned().into()].into_iter().chain(names.filter(|_| curves.len() > 1)).collect();
    let block = Block::bordered().title(Line::from(title));
    let chart = Chart::new(sets.collect()).block(block).x_axis(x).y_axis(y).legend_position(None);
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn state() -> State {
        State {
            title: "textcnn-1".into(),
            epoch: 3,
            max_epochs: 10,
            batch: 50,
            n_batches: 100,
            seconds: 30.0,
            learning_rate: 1e-3,
            train_losses: vec![(1.0, 0.7), (2.0, 0.4)],
            valid_losses: vec![(1.0, 0.6), (2.0, 0.5)],
            monitor: Some(("accuracy".into(), vec![(1.0, 0.7), (2.0, 0.8)])),
            best: Some("accuracy 0.8000 in epoch 2".into()),
            ..State::default()
        }
    }

    fn render(width: u16, height: u16, state: &State) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let lines: Vec<String> = (0..20).map(|line| format!("line {line}")).collect();
        terminal.draw(|frame| draw(frame, state, &lines)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn shows_summary_progress_curves_and_log() {
        let screen = render(100, 30, &state());
        let parts = [
            "textcnn-1   best accuracy 0.8000 in epoch 2",
            "30.0 s elapsed",
            "learning rate 1.00e-3",
            "epoch 3/10, batch 50/100",
            "validation accuracy",
            "10 epochs",
            "line 19",
            "q: stop after this batch",
        ];
        for part in parts {
            assert!(screen.contains(part), "no {part} in\n{screen}");
        }
        let validating = State { validation: Some((2, 9)), is_stopping: true, ..state() };
        let screen = render(100, 30, &validating);
        assert!(
            screen.contains("validation 2/9") && screen.contains("again to exit immediately"),
            "{screen}"
        );
    }

    /// Compares the image of the documentation with the view; `UPDATE_EXPECT=1` updates it.
    #[test]
    fn documentation_image_is_up_to_date() {
        let curve = |from: f64, to: f64, speed: f64| move |x: f64| (x, to + (from - to) * (-speed * x).exp());
        let epochs = || (1..=6).map(f64::from);
        let wobble = |(x, loss): (f64, f64)| (x, loss + 0.06 * (37.0 * x).sin() * (12.9 * x).cos());
        let state = State {
            title: "textcnn-20261127-024700-3f2a".into(),
            epoch: 7,
            batch_losses: (0..260)
                .map(|step| wobble(curve(0.72, 0.1, 0.5)(f64::from(step) / 40.0)))
                .collect(),
            train_losses: epochs().map(curve(0.7, 0.1, 0.45)).collect(),
            valid_losses: epochs().map(curve(0.65, 0.22, 0.8)).collect(),
            monitor: Some(("accuracy".into(), epochs().map(curve(0.62, 0.945, 0.7)).collect())),
            best: Some("accuracy 0.9402 in epoch 6".into()),
            ..state()
        };
        let mut terminal = Terminal::new(TestBackend::new(104, 28)).unwrap();
        let lines = [
            "INFO training: 6420 texts (3360 real, 3060 fake)",
            "INFO epoch=6/10 valid loss=0.223 accuracy=0.940",
        ];
        terminal.draw(|frame| draw(frame, &state, &lines.map(str::to_owned))).unwrap();
        let buffer = terminal.backend().buffer();
        let (width, height) = (9 * u32::from(buffer.area.width), 18 * u32::from(buffer.area.height));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"15\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#16181d\"/>\n"
        );
        for (index, cell) in buffer.content.iter().enumerate() {
            let (column, row) =
                (index % usize::from(buffer.area.width), index / usize::from(buffer.area.width));
            let color = match cell.fg {
                Color::Blue => "#6ea8fe",
                Color::Yellow => "#e6c55c",
                Color::Green => "#7fd18b",
                Color::DarkGray => "#6b7280",
                _ => "#d7dae0",
            };
            let (x, y) = (9 * column, 18 * row);
            match cell.symbol() {
                " " => {}
                "█" => {
                    svg +=
                        &format!("<rect x=\"{x}\" y=\"{y}\" width=\"9\" height=\"18\" fill=\"{color}\"/>\n")
                }
                symbol => {
                    svg += &format!("<text x=\"{x}\" y=\"{}\" fill=\"{color}\">{symbol}</text>\n", y + 14)
                }
            }
        }
        svg += "</svg>\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/tui.svg");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &svg).unwrap();
        }
        match std::fs::read_to_string(&path) {
            Ok(image) => {
                assert!(
                    image == svg,
                    "docs/images/tui.svg is out of date: run this test with UPDATE_EXPECT=1"
                )
            }
            Err(_) => {
                crate::skip::check("docs").unwrap();
                println!("SKIPPED: {} does not exist", path.display());
            }
        }
    }

    #[test]
    fn renders_at_any_size() {
        for (width, height) in [(1, 1), (5, 2), (20, 8), (40, 14), (59, 20), (300, 100)] {
            render(width, height, &state());
            render(width, height, &State::default());
        }
    }
}
