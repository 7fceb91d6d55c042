//! Records of files whose rows another thread reads: spreadsheets and Parquet, whose readers cannot stop between rows.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use serde_json::{Map, Value};

use crate::records::source::{RawRecord, ReadError, no_such_column, select_columns};
use crate::{Error, Result};

/// Number of rows that are read ahead.
const ROWS_AHEAD: usize = 256;

/// What the thread that reads a file sends.
pub(super) enum Row {
    /// The values of a row, in the order of the columns.
    Values(Vec<Value>),
    /// A row that is invalid, with the reason.
    Invalid(String),
    /// The rest of the file cannot be read, for this reason.
    Failed(String),
    /// The end of the file.
    End,
}

/// The thread of a file, not started before the first record is needed.
type Start = Box<dyn FnOnce(Vec<usize>) -> Result<Receiver<Row>> + Send>;

enum Rows {
    Waiting(Start),
    Running(Receiver<Row>),
    Finished,
}

/// A reader of the rows of a table.
pub(crate) struct TableReader {
    path: PathBuf,
    columns: Vec<String>,
    /// Positions of the columns that records contain.
    selected: Vec<usize>,
    rows: Rows,
    number: usize,
}

impl TableReader {
    /// Creates a reader of a file with these columns; `start` is called with the positions of the columns that are read.
    pub(super) fn new(
        path: &Path,
        columns: Vec<String>,
        start: impl FnOnce(Vec<usize>) -> Result<Receiver<Row>> + Send + 'static,
    ) -> Self {
        let selected = (0..columns.len()).collect();
        Self { path: path.to_owned(), columns, selected, rows: Rows::Waiting(Box::new(start)), number: 0 }
    }

    /// Restricts records to the columns of `required`, or includes `all`; a path into a nested column selects this column.
    pub(super) fn select(&mut self, required: &[&str], all: bool) -> Result<()> {
        self.selected = select_columns(&self.path, &self.columns, required, all, |name| {
            let prefixes = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
            let position = |name: &str| self.columns.iter().position(|column| column == name);
            let index = std::iter::once(name).chain(prefixes).find_map(position);
            index.ok_or_else(|| no_such_column(&self.path, name, &self.columns))
        })?;
        Ok(())
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn no_records(&self) -> Error {
        Error::file(&self.path, "expected records, got none")
    }

    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
        let rows = match std::mem::replace(&mut self.rows, Rows::Finished) {
            Rows::Finished => return Ok(None),
            Rows::Running(rows) => rows,
            Rows::Waiting(start) => start(self.selected.clone()).map_err(ReadError::fatal)?,
        };
        let failed = |message: String| ReadError::fatal(Error::file(&self.path, message));
        match rows.recv() {
            Ok(Row::Values(values)) => {
                self.rows = Rows::Running(rows);
                self.number += 1;
                let names = self.selected.iter().map(|&index| self.columns[index].clone());
                let fields: Map<String, Value> = names.zip(values).collect();
                Ok(Some(RawRecord { number: self.number, fields }))
            }
            Ok(Row::Invalid(message)) => {
                self.rows = Rows::Running(rows);
                self.number += 1;
                Err(ReadError::in_record(Error::record(&self.path, self.number, None, message)))
            }
            Ok(Row::Failed(message)) => Err(failed(message)),
            Ok(Row::End) => Ok(None),
            // The thread panicked, on data that its decoder does not expect.
            Err(_) => Err(failed("the file is corrupt, or uses features that are not supported".into())),
        }
    }
}

/// Reads rows in a thread; `read` ends when the receiver is gone, which `send` of [`Sender`] returns as an error.
pub(super) fn read_in_thread(
    path: &Path,
    read: impl FnOnce(&Sender) -> Result<(), Stop> + Send + 'static,
) -> Result<Receiver<Row>> {
    let (sender, receiver) = sync_channel(ROWS_AHEAD);
    let sender = Sender(sender);
    let work = move || match read(&sender) {
        Ok(()) => drop(sender.send(Row::End)),
        Err(Stop::Failed(message)) => drop(sender.send(Row::Failed(message))),
        Err(Stop::NoReceiver) => {}
    };
    Builder::new().name("rows".into()).spawn(work).map_err(|error| Error::io(path, error))?;
    Ok(receiver)
}

/// Sends rows to the reader.
pub(super) struct Sender(SyncSender<Row>);

/// The reason why a thread stops early.
pub(super) enum Stop {
    /// The file cannot be read.
    Failed(String),
    /// No further rows are needed.
    NoReceiver,
}

impl Sender {
    pub(super) fn send(&self, row: Row) -> Result<(), Stop> {
        self.0.send(row).map_err(|_| Stop::NoReceiver)
    }
}
