//! Accepts connections until it is asked to stop, and ends in good order.

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
use crate::{Error, Predictor, Result, ServeConfig};

/// How often is looked whether the end was asked for.
const TICK: Duration = Duration::from_millis(50);

/// After the system refused a connection, as when all file descriptors are in use.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Headers that a request may have, and bytes of all of them; more is answered with 431.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 16 << 10;

/// A server that has its address, and does not answer yet.
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
    /// Takes the address, where clients wait from now on.
    ///
    /// # Errors
    /// A setting is out of its range, or the system refuses the address.
    pub fn bind(config: ServeConfig) -> Result<Self> {
        config.check()?;
        let refused = |source| Error::Bind { address: config.address(), source };
        let listener = StdListener::bind(config.address()).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { config, listener, address })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the end is asked for: then no connection is taken any more, requests that came before are
    /// answered, and it returns. `run` is what `GET /v1/model` calls the run.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn run(self, run: &str, predictor: Box<dyn Predictor>, stop: &Interrupt) -> Result<()> {
        let start = |source| Error::Start { source };
        // The first signal is a request as long as this lives; without it, it would end the program.
        let _guard = stop.install();
        let metrics = Arc::new(Metrics::new());
        let info = predictor.info();
        let (queue, worker) = Queue::start(predictor, &self.config, &metrics)?;
        let (config, run, stop) = (self.config, run.to_owned(), stop.clone());
        let app = Arc::new(App { config, info, run, queue, metrics, stop });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(start)?;
        runtime.block_on(serve(self.listener, app)).map_err(start)?;
        // Ends all that still holds the queue open.
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
    let mut asked = pin!(asked_to_stop(&app.stop));
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = &mut asked => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a connection was refused: {error}");
                    sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            },
            () = &mut asked => break,
        };
        let connection = graceful.watch(connection(stream, peer, &router, &app.config));
        let open = Open::new(&app.metrics);
        tokio::spawn(async move {
            // Clients break off, send what is no HTTP, or are too slow: nothing to trouble anybody with.
            if let Err(error) = connection.await {
                tracing::debug!(%peer, "connection: {error}");
            }
            drop((slot, open));
        });
    }
    drop(listener);
    tracing::info!(connections = graceful.count(), "stopping: what has come is answered");
    graceful.shutdown().await;
    Ok(())
}

/// A connection whose client must take answers in time.
type Io = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    config: &ServeConfig,
) -> http1::Connection<Io, TowerToHyperService<Router>> {
    // Answers are small and written at once: waiting to send more of them together helps nobody.
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

async fn asked_to_stop(stop: &Interrupt) {
    let mut ticks = interval(TICK);
    while !stop.is_requested() {
        ticks.tick().await;
    }
}

/// A connection is counted as long as this lives.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
