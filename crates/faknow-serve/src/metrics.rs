//! What is counted and measured, as Prometheus reads it.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::to_text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// Counts since the start.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    /// Texts of each batch.
    pub(crate) batch_texts: Histogram,
    pub(crate) texts: Counter,
    /// Texts that wait.
    pub(crate) queued: Gauge,
    pub(crate) connections: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("faknow"),
            requests: Family::default(),
            // From a millisecond to 16 seconds.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15))),
            batch_texts: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            texts: Counter::default(),
            queued: Gauge::default(),
            connections: Gauge::default(),
        };
        let Self { registry, requests, seconds, batch_texts, texts, queued, connections } = &mut metrics;
        registry.register("http_requests", "Requests that were answered", requests.clone());
        let help = "Time from the head of a request to its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds.clone());
        registry.register("batch_texts", "Texts or trees of a batch", batch_texts.clone());
        registry.register("predictions", "Texts or trees that were classified", texts.clone());
        registry.register("queued_texts", "Texts or trees that wait", queued.clone());
        registry.register("connections", "Connections that are open", connections.clone());
        metrics
    }

    /// Counts an answer. `path` is one of the routes, so that nobody can make up new ones.
    pub(crate) fn answered(&self, path: &str, status: u16, took: Duration) {
        let path = || ("path", path.to_owned());
        self.requests.get_or_create(&vec![path(), ("status", status.to_string())]).inc();
        self.seconds.get_or_create(&vec![path()]).observe(took.as_secs_f64());
    }

    /// All of it as text.
    pub(crate) fn to_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
