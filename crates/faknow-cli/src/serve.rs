//! `faknow serve`: serves a trained detector over HTTP.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::models::Registry;
use faknow::trainer::Interrupt;
use faknow_serve::{ServeConfig, Server};

use crate::console;

/// Serve a trained detector over HTTP
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow serve runs/first              # then open http://127.0.0.1:8080 in a browser
  curl 127.0.0.1:8080/v1/predict -H 'content-type: application/json' -d '{\"text\": \"Aliens endorse the mayor\"}\'")]
#[command(
    after_help = "Prints the address when the server is ready, and logs one line per request to standard error. Ctrl-C, SIGTERM and
the other signals that stop a run shut the server down gracefully: accepted requests get their responses. There is no
TLS or authentication: see docs/serve.md."
)]
pub(crate) struct ServeArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Address to listen on; 0.0.0.0 accepts connections from any host
    #[arg(long, value_name = "ADDRESS", default_value_t = defaults().host)]
    host: IpAddr,
    /// Port to listen on; 0 selects a free one
    #[arg(long, default_value_t = defaults().port)]
    port: u16,
    /// Device: cpu, cuda, cuda:N, or auto for CUDA if available
    #[arg(long, default_value = "auto")]
    device: String,
    /// Maximum request body size in bytes
    #[arg(long, value_name = "BYTES", default_value_t = defaults().max_body, help_heading = "Limits")]
    max_body: usize,
    /// Maximum length of a text in characters
    #[arg(long, value_name = "N", default_value_t = defaults().max_chars, help_heading = "Limits")]
    max_chars: usize,
    /// Maximum length of a text to be explained, in characters
    #[arg(long, value_name = "N", default_value_t = defaults().max_explain_chars, help_heading = "Limits")]
    max_explain_chars: usize,
    /// Maximum number of nodes of a tree to be explained
    #[arg(long, value_name = "N", default_value_t = defaults().max_explain_nodes, help_heading = "Limits")]
    max_explain_nodes: usize,
    /// Maximum number of texts, or trees, per request
    #[arg(long, value_name = "N", default_value_t = defaults().max_texts, help_heading = "Limits")]
    max_texts: usize,
    /// Maximum number of texts per batch
    #[arg(long, value_name = "N", default_value_t = defaults().batch_size, help_heading = "Limits")]
    batch_size: usize,
    /// Maximum queue length in texts; further requests get 429
    #[arg(long, value_name = "N", default_value_t = defaults().queue, help_heading = "Limits")]
    queue: usize,
    /// Maximum number of explanations in their queue; further requests get 429
    #[arg(long, value_name = "N", default_value_t = defaults().explain_queue, help_heading = "Limits")]
    explain_queue: usize,
    /// Maximum waiting time of a request in seconds; then it gets 503
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", help_heading = "Limits")]
    timeout: Duration,
    /// Maximum time to receive a request or to send a response, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10", help_heading = "Limits")]
    read_timeout: Duration,
    /// Maximum number of open connections; further ones wait
    #[arg(long, value_name = "N", default_value_t = defaults().max_connections, help_heading = "Limits")]
    max_connections: usize,
}

impl ServeArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let interrupt = Interrupt::on_signals()?;
        // A signal during the loading of the model stops the server after it.
        let _guard = interrupt.install();
        // Binds first, so that an address in use is reported before the model is loaded.
        let server = Server::bind(self.to_config())?;
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let detector = registry.load_detector(&self.run, device)?;
        if !self.host.is_loopback() {
            tracing::warn!(
                "every client that can reach {} can use this server: it has no authentication",
                server.address()
            );
        }
        console::print(&format!("listening on http://{}", server.address()))?;
        Ok(server.run(&self.run_name(), Box::new(detector), &interrupt)?)
    }

    fn to_config(&self) -> ServeConfig {
        ServeConfig {
            host: self.host,
            port: self.port,
            max_body: self.max_body,
            max_chars: self.max_chars,
            max_explain_chars: self.max_explain_chars,
            max_explain_nodes: self.max_explain_nodes,
            max_texts: self.max_texts,
            batch_size: self.batch_size,
            queue: self.queue,
            explain_queue: self.explain_queue,
            timeout: self.timeout,
            read_timeout: self.read_timeout,
            max_connections: self.max_connections,
        }
    }

    /// Returns the name of the run directory without its path, which is not shown to clients.
    fn run_name(&self) -> String {
        let dir = self.run.canonicalize().unwrap_or_else(|_| self.run.clone());
        dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn defaults() -> ServeConfig {
    ServeConfig::default()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "expected a number of seconds above 0".to_owned())
}
