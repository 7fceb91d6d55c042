//! A browser without a window, driven by the WebDriver protocol: as much of it as looking at our pages needs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

/// The browser's arguments: headless, as root, without anything that uses the network.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync \
    --disable-background-networking --disable-component-update --hide-scrollbars";

/// A Chromium that is driven through its own driver; both end when this is dropped.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts both; they must be on the `PATH`.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("chromedriver");
        let command =
            command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let driver = command.spawn().context("cannot start chromedriver")?;
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60)));
        let agent = config.http_status_as_error(false).build().into();
        let mut browser = Self { driver, agent, session: String::new(), _profile: tempfile::tempdir()? };
        let base = format!("http://127.0.0.1:{}/session", browser.port()?);
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<&str> = FLAGS.split_whitespace().chain([profile.as_str()]).collect();
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let response = browser.post(&base, &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        let id = response["sessionId"].as_str().context("chromedriver returned no session")?;
        browser.session = format!("{base}/{id}");
        Ok(browser)
    }

    /// Returns the port that the driver says it listens on.
    fn port(&mut self) -> Result<u16> {
        let output = self.driver.stdout.take().context("chromedriver has no output")?;
        for line in BufReader::new(output).lines() {
            if let Some((_, port)) = line?.split_once("started successfully on port ") {
                return Ok(port.trim_end_matches('.').parse()?);
            }
        }
        bail!("chromedriver ended before it was ready")
    }

    /// Sets what the page sees: a width in pixels, and whether dark colors are preferred.
    pub fn set_device(&self, width: u32, height: u32, dark: bool) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// Loads a page.
    pub fn open(&self, address: &str) -> Result<()> {
        self.to("url", &json!({ "url": address })).map(drop)
    }

    /// Returns the value of a script in the page, which ends with `return …`.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.to("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Warnings and errors of the page since the last call.
    pub fn console_errors(&self) -> Result<Vec<String>> {
        let entries = self.to("se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().into_iter().flatten();
        let bad = entries.filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        Ok(bad.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect())
    }

    /// Returns a screenshot of the page as PNG: all of it, or its visible top.
    pub fn screenshot(&self, full: bool) -> Result<Vec<u8>> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": full });
        let response = self.command("Page.captureScreenshot", &parameters)?;
        let data = response["data"].as_str().context("the browser returned no screenshot")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
    }

    /// Returns a command of the browser's own protocol.
    fn command(&self, name: &str, parameters: &Value) -> Result<Value> {
        self.to("goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    fn to(&self, path: &str, body: &Value) -> Result<Value> {
        self.post(&format!("{}/{path}", self.session), body)
    }

    fn post(&self, address: &str, body: &Value) -> Result<Value> {
        let mut response = self.agent.post(address).send_json(body)?;
        let response: Value = response.body_mut().with_config().limit(1 << 28).read_json()?;
        let value = &response["value"];
        if let Some(error) = value["error"].as_str() {
            bail!("the browser reports {error}: {}", value["message"].as_str().unwrap_or_default());
        }
        Ok(value.clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.agent.delete(&self.session).call();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
