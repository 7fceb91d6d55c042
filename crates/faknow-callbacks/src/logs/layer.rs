//! A `tracing` layer that writes the events of a run into its log file.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use faknow_data::common::printable_lines;
use tracing::field::{Field, Visit};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::format;

/// Target of the span of a run, see [`Run::span`](crate::Run::span), and of events that are only for the log of the run:
/// [`console_subscriber`](crate::console_subscriber) does not show them on the terminal.
///
/// ```
/// # use faknow_callbacks::{RUN_TARGET, RunOwner};
/// # let run = RunOwner::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
/// # let _inside = run.span().entered();
/// tracing::info!(target: RUN_TARGET, "a long table");
/// ```
pub const RUN_TARGET: &str = "faknow::run";

/// Writes each event inside the span of a run into the log of that run, and ignores other events.
///
/// [`RunLog`](crate::RunLog) attaches its file to the span when the run starts, and the stateless layer finds it there,
/// so concurrent runs of a process have separate logs. The layer requires a [`Registry`], as all layers of
/// `tracing-subscriber` do.
///
/// ```
/// use faknow_callbacks::RunLogLayer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(RunLogLayer);
/// # let _ = subscriber;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RunLogLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RunLogLayer {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let log = context.event_scope(event).into_iter().flatten().find_map(|span| {
            span.extensions().get::<AttachedLog>().and_then(|AttachedLog(file)| file.upgrade())
        });
        let Some(log) = log else { return };
        let mut message = Message::default();
        event.record(&mut message);
        let line = line(SystemTime::now(), event.metadata().level().as_str(), &message.finish());
        // Logging must not stop a run; errors such as a full disk are reported by the lines of `RunLog` itself.
        let _ = log.as_ref().write_all(line.as_bytes());
    }
}

/// The log file attached to a run's span; closed when the `RunLog` is dropped.
struct AttachedLog(Weak<File>);

/// Attaches `file` to the current span of a run, if there is one.
pub(crate) fn attach(file: &Arc<File>) {
    Span::current().with_subscriber(|(id, dispatch)| {
        let current = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id));
        let mut spans = current.iter().flat_map(|span| span.scope());
        if let Some(span) = spans.find(|span| span.metadata().target() == RUN_TARGET) {
            span.extensions_mut().replace(AttachedLog(Arc::downgrade(file)));
        }
    });
}

/// Formats a line of the log; further lines of the message are indented, so that each event starts with its time.
pub(crate) fn line(time: SystemTime, level: &str, message: &str) -> String {
    format!("{} {level} {}\n", format::format_utc(time), message.trim_end().replace('\n', "\n    "))
}

/// Collects the message of an event and its other fields as `name=value`.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Message {
    fn finish(self) -> String {
        self.text + &self.fields
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = printable_lines(&format!("{value:?}"));
        let _ = match field.name() {
            "message" => write!(self.text, "{text}"),
            name => write!(self.fields, " {name}={text}"),
        };
    }
}
