//! TensorBoard's event files: written event by event, read back, and truncated where a run resumes.

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
    /// The curve's name, `Train/loss` for example.
    pub tag: String,
    /// Its place on the x axis: an epoch or a step.
    pub x: i64,
    /// Its value.
    pub value: f32,
}

/// Returns all points in the event files of a directory, in the order in which they were written.
///
/// An incomplete last record is left out; a corrupted one is an error.
///
/// # Errors
/// The directory or a file cannot be read, or is not an event file.
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

/// Drops all events of the files in a directory that hold a value that `keep` refuses.
pub(crate) fn retain_points(dir: &Path, keep: impl Fn(&Point<'_>) -> bool) -> Result<()> {
    for path in event_files(dir)? {
        let all = records(&path)?;
        let n = all.len();
        let stays = |event: &Event| {
            let values = event.get_summary().get_value().iter();
            values.map(|value| Point { tag: value.get_tag(), x: event.get_step() }).all(|point| keep(&point))
        };
        let kept: Vec<_> = all.into_iter().filter(|(_, event)| stays(event)).collect();
        if kept.len() == n {
            continue;
        }
        write_atomically(&path, |file| {
            let mut writer = RecordWriter::new(file);
            kept.iter().try_for_each(|(bytes, _)| writer.write(bytes))
        })
        .map_err(|error| Error::io(&path, error))?;
    }
    Ok(())
}

/// An event file that is being written.
///
/// `tensorboard_rs::summary_writer::SummaryWriter` would do, but it panics where a directory or file cannot be
/// written, hands its events to a separate thread (so a flush does not wait for them), and names its file by
/// the second, so that a second writer of the same second truncates the file of the first. Its record format and
/// messages are used, without these.
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

    /// Goes straight to the system: nothing is left to flush.
    fn write(&mut self, event: &Event) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let bytes = event.write_to_bytes().map_err(|e| failed(std::io::Error::other(e)))?;
        self.records.write(&bytes).map_err(failed)
    }
}

/// The event files of a directory in the order in which they were created.
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
        if name.contains("tfevents") && !name.ends_with(".tmp") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The records of a file, each with the event that it is: length, checksum of the length, bytes, their checksum.
fn records(path: &Path) -> Result<Vec<(Vec<u8>, Event)>> {
    let mut file = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut file)).map_err(|e| Error::io(path, e))?;
    let damaged = |what: &str| {
        let message = format!("{what}; no TensorBoard file, or a damaged one");
        Error::io(path, std::io::Error::new(ErrorKind::InvalidData, message))
    };
    let mut rest = file.as_slice();
    let mut all = Vec::new();
    // A process that is killed may leave a record that ends too early, but only as the last.
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let (length, checksum) = head.split_at(8);
        if checksum != masked_crc32c(length).to_le_bytes() {
            return Err(damaged("the checksum of a length is wrong"));
        }
        let n = u64::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        let Some((bytes, behind)) = behind.split_at_checked(n) else { break };
        let Some((checksum, behind)) = behind.split_first_chunk::<4>() else { break };
        if *checksum != masked_crc32c(bytes).to_le_bytes() {
            return Err(damaged("the checksum of an event is wrong"));
        }
        let event = Event::parse_from_bytes(bytes).map_err(|e| damaged(&e.to_string()))?;
        all.push((bytes.to_vec(), event));
        rest = behind;
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

/// Seconds since 1970.
pub(crate) fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
