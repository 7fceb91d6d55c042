//! The server: accepts connections until it is asked to stop, then shuts down gracefully.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use faknow::trainer::Interrupt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep};
use tokio_io_timeout::TimeoutStream;

use crate::app::{App, Peer, router};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::{Error, Predictor, Result, ServeConfig, openapi};

/// Interval at which the stop request is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Pause after a failed accept, for example when all file descriptors are in use.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Maximum number of request headers; more get 431.
const MAX_HEADERS: usize = 100;
/// Maximum size of the request head in bytes; larger ones get 431.
const MAX_HEAD: usize = 16 << 10;

/// A server that is bound to its address and does not accept requests yet.
///
/// ```no_run
/// use std::path::Path;
///
/// use faknow::Detector;
/// use faknow::tch::Device;
/// use faknow::trainer::Interrupt;
/// use faknow_serve::{ServeConfig, Server};
///
/// let server = Server::bind(ServeConfig { port: 0, ..ServeConfig::default() })?;
/// let detector = Detector::load(Path::new("runs/first"), Device::Cpu)?;
/// println!("listening on http://{}", server.address());
/// server.run("first", Box::new(detector), &Interrupt::on_signals()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    config: ServeConfig,
    listener: StdListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address; connections are accepted by [`run`](Self::run).
    ///
    /// # Errors
    /// A setting is out of range, or the address cannot be bound.
    pub fn bind(config: ServeConfig) -> Result<Self> {
        config.check()?;
        let bind_error = |source| Error::Bind { address: config.address(), source };
        let listener = StdListener::bind(config.address()).map_err(bind_error)?;
        listener.set_nonblocking(true).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Self { config, listener, address })
    }

    /// Returns the address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `stop` is requested, then finishes the accepted requests and returns. `run` is the name of the
    /// run in `GET /v1/model`.
    ///
    /// # Errors
    /// The system cannot create the threads.
    pub fn run(self, run: &str, predictor: Box<dyn Predictor>, stop: &Interrupt) -> Result<()> {
        let start_error = |source| Error::Start { source };
        // While the guard lives, the first signal only requests the stop.
        let _guard = stop.install();
        let metrics = Arc::new(Metrics::new());
        let info = predictor.info();
        let (queue, worker) = Queue::start(predictor, &self.config, &metrics)?;
        let openapi = openapi::document(&self.config, info.input)
            .map_err(|error| start_error(std::io::Error::other(error)))?;
        let (config, run, stop) = (self.config, run.to_owned(), stop.clone());
        let app = Arc::new(App { config, info, openapi, run, queue, metrics, stop });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(start_error)?;
        runtime.block_on(serve(self.listener, app)).map_err(start_error)?;
        // Drops the remaining tasks, which hold the queue open.
        drop(runtime);
        // The worker catches errors and panics of the predictor and logs them.
        let _ = worker.join();
        Ok(())
    }
}

async fn serve(listener: StdListener, app: Arc<App>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = router(&app);
    let slots = Arc::new(Semaphore::new(app.config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut stop_requested = pin!(wait_for_stop(&app.stop));
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = &mut stop_requested => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            },
            () = &mut stop_requested => break,
        };
        let connection = graceful.watch(connection(stream, peer, &router, &app.config));
        let open = OpenConnection::new(&app.metrics);
        tokio::spawn(async move {
            // The client disconnected, sent invalid HTTP, or was too slow.
            if let Err(error) = connection.await {
                tracing::debug!(%peer, "connection: {error}");
            }
            drop((slot, open));
        });
    }
    drop(listener);
    let cause = app.stop.signal().map_or_else(|| "a request".to_owned(), ToString::to_string);
    tracing::info!(connections = graceful.count(), "stopped by {cause}: finishing accepted requests");
    graceful.shutdown().await;
    Ok(())
}

/// A connection with a write timeout.
type Io = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    config: &ServeConfig,
) -> http1::Connection<Io, TowerToHyperService<Router>> {
    // Responses are small and written in one piece, so delaying them gains nothing.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(config.read_timeout));
    let service = TowerToHyperService::new(router.clone().layer(Extension(Peer(peer))));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.read_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

async fn wait_for_stop(stop: &Interrupt) {
    let mut ticks = interval(POLL_INTERVAL);
    while !stop.is_requested() {
        ticks.tick().await;
    }
}

/// Counts a connection as open while it lives.
struct OpenConnection(Arc<Metrics>);

impl OpenConnection {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
