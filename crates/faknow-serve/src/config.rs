//! Address and limits of a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Error, Result};

/// Address and limits of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address to listen on. Default 127.0.0.1, which accepts connections from this machine only.
    pub host: IpAddr,
    /// Port to listen on; 0 selects a free one. Default 8080.
    pub port: u16,
    /// Maximum size of a request body in bytes, at least 1; larger bodies get 413. Default 1 MiB.
    pub max_body: usize,
    /// Maximum length of a text, or of the text of a node, in characters, at least 1; longer ones get 422. Default 10,000.
    pub max_chars: usize,
    /// Maximum length of a text to explain in characters, at least 1; an explanation takes about a hundred times as long as a
    /// prediction. Longer ones get 422. Default 2,000.
    pub max_explain_chars: usize,
    /// Maximum number of nodes of a tree to explain, at least 1; predictions wait for the explanation of a tree. Larger ones
    /// get 422. Default 1,000.
    pub max_explain_nodes: usize,
    /// Maximum number of texts or trees per request, at least 1; more get 422. Default 64.
    pub max_texts: usize,
    /// Maximum number of texts per batch, at least 1. A request is never split. Default 32.
    pub batch_size: usize,
    /// Maximum number of texts in the queue, at least `max_texts`; further requests get 429. Default 512.
    pub queue: usize,
    /// Maximum number of explanations in their queue, at least 1; further requests get 429. Default 16.
    pub explain_queue: usize,
    /// Maximum time until a prediction is ready, above 0; then the request gets 503. Default 10 seconds.
    pub timeout: Duration,
    /// Maximum time for a client to send the request head, to send the body, or to read part of a response, above 0.
    /// Default 10 seconds.
    pub read_timeout: Duration,
    /// Maximum number of open connections, at least 1; further ones wait until one closes. Default 512.
    pub max_connections: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            max_body: 1 << 20,
            max_chars: 10_000,
            max_explain_chars: 2_000,
            max_explain_nodes: 1_000,
            max_texts: 64,
            batch_size: 32,
            queue: 512,
            explain_queue: 16,
            timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            max_connections: 512,
        }
    }
}

impl ServeConfig {
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let counts = [
            ("max_body", self.max_body),
            ("max_chars", self.max_chars),
            ("max_explain_chars", self.max_explain_chars),
            ("max_explain_nodes", self.max_explain_nodes),
            ("max_texts", self.max_texts),
            ("batch_size", self.batch_size),
            ("queue", self.queue),
            ("explain_queue", self.explain_queue),
            ("max_connections", self.max_connections),
        ];
        let invalid = |name, expected: String, got: String| Err(Error::Setting { name, expected, got });
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return invalid(name, "at least 1".into(), "0".into());
        }
        for (name, time) in [("timeout", self.timeout), ("read_timeout", self.read_timeout)] {
            if time.is_zero() {
                return invalid(name, "more than 0 seconds".into(), "0".into());
            }
        }
        if self.queue < self.max_texts {
            let expected = format!("at least `max_texts` ({})", self.max_texts);
            return invalid("queue", expected, self.queue.to_string());
        }
        // The limit of the semaphores that count them.
        let max = tokio::sync::Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let permits = [
            ("queue", self.queue),
            ("explain_queue", self.explain_queue),
            ("max_connections", self.max_connections),
        ];
        for (name, count) in permits {
            if count > max {
                return invalid(name, format!("at most {max}"), count.to_string());
            }
        }
        Ok(())
    }
}
