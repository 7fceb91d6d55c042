//! The metrics of the server, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

/// The content type of [`Metrics::to_text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Name, type and help text of every metric, as `GET /metrics` exposes them.
const METRICS: [Description; 10] = [
    Description {
        name: "faknow_http_requests_total",
        kind: "counter",
        help: "HTTP requests, by path and status code",
    },
    Description {
        name: "faknow_http_request_duration_seconds",
        kind: "histogram",
        help: "Time from the head of a request to its response, by path",
    },
    Description { name: "faknow_batch_texts", kind: "histogram", help: "Texts or trees per batch" },
    Description { name: "faknow_predictions_total", kind: "counter", help: "Texts or trees classified" },
    Description {
        name: "faknow_unknown_texts_total",
        kind: "counter",
        help: "Texts or trees without any token that the model knows, a part of those classified",
    },
    Description { name: "faknow_explanations_total", kind: "counter", help: "Texts or trees explained" },
    Description {
        name: "faknow_failed_texts_total",
        kind: "counter",
        help: "Texts or trees that the model failed on",
    },
    Description {
        name: "faknow_queued_texts",
        kind: "gauge",
        help: "Texts or trees in the queue of predictions",
    },
    Description {
        name: "faknow_queued_explanations",
        kind: "gauge",
        help: "Texts or trees in the queue of explanations",
    },
    Description { name: "faknow_connections", kind: "gauge", help: "Open connections" },
];

/// A row of [`METRICS`].
struct Description {
    name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    kind: &'static str,
    help: &'static str,
}

type Labels = Vec<(&'static str, String)>;

/// Counts and durations since the start of the server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    /// Number of texts per batch.
    pub(crate) batch_texts: Histogram,
    /// Number of classified texts.
    pub(crate) predictions: Counter,
    /// Number of texts without a known token.
    pub(crate) unknown_texts: Counter,
    /// Number of explained texts.
    pub(crate) explanations: Counter,
    /// Number of texts that the model failed on.
    pub(crate) failed_texts: Counter,
    /// Number of texts in the queue of predictions.
    pub(crate) queued_texts: Gauge,
    /// Number of texts in the queue of explanations.
    pub(crate) queued_explanations: Gauge,
    /// Number of open connections.
    pub(crate) connections: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            // From a millisecond to 16 seconds.
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15))),
            batch_texts: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            predictions: Counter::default(),
            unknown_texts: Counter::default(),
            explanations: Counter::default(),
            failed_texts: Counter::default(),
            queued_texts: Gauge::default(),
            queued_explanations: Gauge::default(),
            connections: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        let [requests, durations, batches, counters @ ..] = METRICS;
        requests.register(registry, metrics.requests.clone());
        durations.register(registry, metrics.durations.clone());
        batches.register(registry, metrics.batch_texts.clone());
        let [predictions, unknown, explanations, failures, gauges @ ..] = counters;
        predictions.register(registry, metrics.predictions.clone());
        unknown.register(registry, metrics.unknown_texts.clone());
        explanations.register(registry, metrics.explanations.clone());
        failures.register(registry, metrics.failed_texts.clone());
        let [queued_texts, queued_explanations, connections] = gauges;
        queued_texts.register(registry, metrics.queued_texts.clone());
        queued_explanations.register(registry, metrics.queued_explanations.clone());
        connections.register(registry, metrics.connections.clone());
        metrics
    }

    /// Records a response. `path` is the matched route, so that clients cannot create new label values.
    pub(crate) fn record_request(&self, path: &str, status: u16, elapsed: Duration) {
        let path = || ("path", path.to_owned());
        self.requests.get_or_create(&vec![path(), ("status", status.to_string())]).inc();
        self.durations.get_or_create(&vec![path()]).observe(elapsed.as_secs_f64());
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub(crate) fn to_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Description {
    /// Registers the metric; the encoder appends `_total` to counters, and the unit.
    fn register(&self, registry: &mut Registry, metric: impl Metric) {
        let name = if self.kind == "counter" { self.name.trim_end_matches("_total") } else { self.name };
        match name.strip_suffix("_seconds") {
            Some(name) => registry.register_with_unit(name, self.help, Unit::Seconds, metric),
            None => registry.register(name, self.help, metric),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Suffixes of units that are not base units.
    const NON_BASE_UNITS: [&str; 9] =
        ["_ms", "_millis", "_milliseconds", "_us", "_minutes", "_kb", "_kilobytes", "_mib", "_percent"];

    #[test]
    fn names_follow_prometheus_conventions() {
        for Description { name, kind, help } in METRICS {
            assert!(name.starts_with("faknow_"), "{name}: expected the prefix `faknow_`");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}: expected snake case");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}: `_total` is for counters");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}: unknown type {kind}");
            let base = name.trim_end_matches("_total");
            assert!(!NON_BASE_UNITS.iter().any(|unit| base.ends_with(unit)), "{name}: expected a base unit");
            let is_time = ["duration", "latency", "time"].iter().any(|word| base.contains(word));
            assert!(!is_time || base.ends_with("_seconds"), "{name}: expected the unit `_seconds`");
            let is_size = ["memory", "size"].iter().any(|word| base.contains(word));
            assert!(!is_size || base.ends_with("_bytes"), "{name}: expected the unit `_bytes`");
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}: the encoder adds the full stop");
        }
    }

    #[test]
    fn every_metric_is_exposed_with_help_and_type() {
        let metrics = Metrics::new();
        metrics.record_request("/", 200, Duration::from_millis(3));
        let text = metrics.to_text().unwrap();
        for Description { name, kind, help } in METRICS {
            let base = name.trim_end_matches("_total");
            for line in [format!("# HELP {base} {help}."), format!("# TYPE {base} {kind}")] {
                assert!(text.lines().any(|it| it == line), "{text}\nlacks {line}");
            }
            let sample = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
            assert!(text.lines().any(|line| line.starts_with(&sample)), "{text}\nlacks {sample}");
        }
        assert_eq!(text.matches("# TYPE ").count(), METRICS.len());
    }

    #[test]
    fn documentation_lists_every_metric() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/serve.md");
        let Ok(document) = std::fs::read_to_string(&path) else {
            crate::skip::check("docs").unwrap();
            println!("SKIPPED: no documentation at {}", path.display());
            return;
        };
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `faknow_"));
        let rows = rows.map(|row| row.split('|').take(2).map(|cell| cell.trim().trim_end_matches('`')));
        let listed: BTreeSet<String> =
            rows.map(|cells| format!("faknow_{}", cells.collect::<Vec<_>>().join(" "))).collect();
        let expected = METRICS.iter().map(|it| format!("{} {}", it.name, it.kind)).collect();
        assert_eq!(listed, expected);
    }
}
