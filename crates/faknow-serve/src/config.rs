//! Where a server listens, and how much it lets through.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Error, Result};

/// Where a server listens, and how much it lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address to listen on. Default 127.0.0.1, which only this machine reaches.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one. Default 8080.
    pub port: u16,
    /// Bytes that the body of a request may have, at least 1; a longer one is answered with 413. Default 1 MiB.
    pub max_body: usize,
    /// Characters that a text, or the text of a node, may have, at least 1; a longer one is answered with 422.
    /// Default 10,000.
    pub max_chars: usize,
    /// Characters of a text that is to be explained, at least 1; that takes some hundred times as long as a prediction.
    /// Default 2,000.
    pub max_explain_chars: usize,
    /// Texts, or trees, that a request may have, at least 1; more are answered with 422. Default 64.
    pub max_texts: usize,
    /// Texts of waiting requests that form one batch, at least 1. A request is never split. Default 32.
    pub batch_size: usize,
    /// Texts that may wait, at least `max_texts`; a request that finds no room is answered with 429. Default 512.
    pub queue: usize,
    /// How long a request may wait for its answer, above 0; then it is answered with 503. Default 10 seconds.
    pub timeout: Duration,
    /// How long a client may take to send the head of a request, or its body, or to take some of an answer, above 0.
    /// Default 10 seconds.
    pub read_timeout: Duration,
    /// Connections at a time, at least 1; further ones wait until one is closed. Default 512.
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
            max_texts: 64,
            batch_size: 32,
            queue: 512,
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
            ("max_texts", self.max_texts),
            ("batch_size", self.batch_size),
            ("queue", self.queue),
            ("max_connections", self.max_connections),
        ];
        let wrong = |name, expected: String, got: String| Err(Error::Setting { name, expected, got });
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return wrong(name, "at least 1".into(), "0".into());
        }
        for (name, time) in [("timeout", self.timeout), ("read_timeout", self.read_timeout)] {
            if time.is_zero() {
                return wrong(name, "more than 0 seconds".into(), "0".into());
            }
        }
        if self.queue < self.max_texts {
            let expected = format!("at least `max_texts`, which is {}", self.max_texts);
            return wrong("queue", expected, self.queue.to_string());
        }
        // More than the semaphores that count them can hold.
        let most = tokio::sync::Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        for (name, count) in [("queue", self.queue), ("max_connections", self.max_connections)] {
            if count > most {
                return wrong(name, format!("at most {most}"), count.to_string());
            }
        }
        Ok(())
    }
}
