//! TensorBoard event files: writing, reading, and dropping of events when a run is resumed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use faknow_data::common::write_atomically;
use protobuf::Message;
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::{Summary, Summary_Value};
use tensorboard_rs::masked_crc32c::masked_crc32c;
use tensorboard_rs::record_writer::RecordWriter;
use tensorboard_rs::summary::scalar;

use crate::{Error, Result};

/// A point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// Name of the curve, such as `Train/loss`.
    pub tag: String,
    /// Position on the x axis: an epoch or a step.
    pub x: i64,
    /// The value.
    pub value: f32,
}

/// Returns all points in the event files of a directory, in the order in which they were written.
///
/// A truncated last record is ignored.
///
/// # Errors
/// The directory or a file cannot be read, or a file is corrupted or not an event file.
pub fn read_scalars(dir: &Path) -> Result<Vec<Scalar>> {
    let mut all = Vec::new();
    for path in event_files(dir)? {
        for (_, event) in records(&path)? {
            all.extend(scalars_of(&event));
        }
    }
    Ok(all)
}

/// The tag and position of a value of any kind.
pub(crate) struct Point<'a> {
    pub(crate) tag: &'a str,
    pub(crate) x: i64,
}

/// Drops all events in the files of a directory with a value for which `keep` returns false.
pub(crate) fn retain_points(dir: &Path, keep: impl Fn(&Point<'_>) -> bool) -> Result<()> {
    for path in event_files(dir)? {
        let all = match records(&path) {
            Err(Error::Io { error, .. }) if error.kind() == ErrorKind::InvalidData => {
                // Curves are only for display: the run continues without them.
                tracing::warn!("{}: {error}; later events are not dropped from it", path.display());
                continue;
            }
            all => all?,
        };
        let n = all.len();
        let is_retained = |event: &Event| {
            let values = event.get_summary().get_value().iter();
            values.map(|value| Point { tag: value.get_tag(), x: event.get_step() }).all(|point| keep(&point))
        };
        let retained: Vec<_> = all.into_iter().filter(|(_, event)| is_retained(event)).collect();
        if retained.len() == n {
            continue;
        }
        write_atomically(&path, |file| {
            let mut writer = RecordWriter::new(file);
            retained.iter().try_for_each(|(bytes, _)| writer.write(bytes))
        })
        .map_err(|error| Error::io(&path, error))?;
    }
    Ok(())
}

/// An event file open for writing.
///
/// It uses the record format and messages of `tensorboard-rs`, but not its `SummaryWriter`, which panics if a directory or
/// file cannot be written, passes events to a separate thread (so flushing does not wait for them), and names files by the
/// second (so a second writer within a second truncates the file of the first).
pub(crate) struct EventFile {
    dir: PathBuf,
    path: PathBuf,
    records: RecordWriter<File>,
}

impl EventFile {
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let seconds = wall_time() as u64;
        let mut number = 0;
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.{}.{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(path, e)),
            }
        };
        let mut events = Self { dir: dir.to_owned(), path, records: RecordWriter::new(file) };
        let mut head = Event::new();
        head.set_wall_time(wall_time());
        head.set_file_version("brain.Event:2".to_owned());
        events.write(&head)?;
        Ok(events)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn scalars(&mut self, x: u64, values: &[(String, f64)]) -> Result<()> {
        values.iter().try_for_each(|(tag, value)| self.summary(x, scalar(tag, *value as f32)))
    }

    pub(crate) fn summary(&mut self, x: u64, summary: Summary) -> Result<()> {
        let mut event = Event::new();
        event.set_wall_time(wall_time());
        event.set_step(x as i64);
        event.set_summary(summary);
        self.write(&event)
    }

    /// Writes an event without buffering.
    fn write(&mut self, event: &Event) -> Result<()> {
        let io_error = |e| Error::io(&self.path, e);
        let bytes = event.write_to_bytes().map_err(|e| io_error(std::io::Error::other(e)))?;
        self.records.write(&bytes).map_err(io_error)
    }
}

/// Returns the event files of a directory in the order of their creation.
fn event_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(dir, e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io(dir, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("events.out.tfevents") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the records of a file with their events. A record consists of the length, its checksum, the bytes, and their
/// checksum.
fn records(path: &Path) -> Result<Vec<(Vec<u8>, Event)>> {
    let mut file = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut file)).map_err(|e| Error::io(path, e))?;
    let corrupted = |reason: &str| {
        let message = format!("not a TensorBoard event file, or corrupted: {reason}");
        Error::io(path, std::io::Error::new(ErrorKind::InvalidData, message))
    };
    let mut rest = file.as_slice();
    let mut all = Vec::new();
    // A killed process may leave a truncated record, but only at the end.
    while let Some((head, tail)) = rest.split_first_chunk::<12>() {
        let (length, checksum) = head.split_at(8);
        if checksum != masked_crc32c(length).to_le_bytes() {
            return Err(corrupted("wrong checksum of a length"));
        }
        let n = u64::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        let Some((bytes, tail)) = tail.split_at_checked(n) else { break };
        let Some((checksum, tail)) = tail.split_first_chunk::<4>() else { break };
        if *checksum != masked_crc32c(bytes).to_le_bytes() {
            return Err(corrupted("wrong checksum of an event"));
        }
        let event = Event::parse_from_bytes(bytes).map_err(|e| corrupted(&e.to_string()))?;
        all.push((bytes.to_vec(), event));
        rest = tail;
    }
    Ok(all)
}

fn scalars_of(event: &Event) -> Vec<Scalar> {
    let values = event.get_summary().get_value().iter().filter(|value| value.has_simple_value());
    let point = |value: &Summary_Value| Scalar {
        tag: value.get_tag().to_owned(),
        x: event.get_step(),
        value: value.get_simple_value(),
    };
    values.map(point).collect()
}

/// Returns the seconds since 1970.
pub(crate) fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
