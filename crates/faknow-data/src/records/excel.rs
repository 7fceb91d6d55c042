//! Records in spreadsheets: the rows of the first visible sheet of .xlsx, .xlsb, .xls and .ods files.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvError};
use std::sync::{Mutex, PoisonError};

use calamine::{
    CellErrorType, Data, DataRef, ExcelDateTime, Ods, Reader, Sheet, SheetType, SheetVisible, Xls, Xlsb, Xlsx,
};
use serde_json::Value;

use crate::common::printable_name;
use crate::input::{Input, input_error};
use crate::records::ReadOptions;
use crate::records::table::{Row, Sender, Stop, TableReader, read_in_thread};
use crate::{Error, Result};

/// Maximum size of a decompressed part of a file: its strings, or the content of an .ods file, which are in memory.
const MAX_PART_BYTES: u64 = 2 << 30;

/// Files whose other sheets were reported.
static REPORTED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Opens a spreadsheet; its first row with a value is the header, unless `options` say otherwise.
///
/// Values are text, as in CSV: numbers without a fraction have no decimal point, dates are `2024-05-31`, and empty cells are
/// empty. Rows without a value are skipped.
pub(super) fn open(input: Input, path: &Path, options: &ReadOptions) -> Result<TableReader> {
    let file = input.into_file().map_err(|error| input_error(path, error))?;
    let rows = read_in_thread(path, {
        let path = path.to_owned();
        move |sender| read(file, &path, sender)
    })?;
    let failed = |message: String| Error::file(path, message);
    let first = match rows.recv() {
        Ok(Row::Values(first)) => first,
        Ok(Row::Failed(message) | Row::Invalid(message)) => return Err(failed(message)),
        Ok(Row::End) => return Err(failed("the sheet is empty".into())),
        Err(RecvError) => {
            return Err(failed("the file is corrupt, or uses features that are not supported".into()));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let start =
        first.iter().position(|value| !text(value).is_empty()).filter(|_| options.header).unwrap_or(0);
    let name = |(index, value): (usize, &Value)| match text(value) {
        name if name.is_empty() || !options.header => (index + 1).to_string(),
        name => name,
    };
    let columns: Vec<String> = first[start..].iter().enumerate().map(name).collect();
    let n_columns = columns.len();
    let first = (!options.header).then_some(first);
    Ok(TableReader::new(path, columns, move |selected| select(rows, first, (start, n_columns), selected)))
}

/// Passes on the selected columns of rows, which are those from `start` on.
fn select(
    rows: Receiver<Row>,
    first: Option<Vec<Value>>,
    (start, n_columns): (usize, usize),
    selected: Vec<usize>,
) -> Result<Receiver<Row>> {
    let row_of = move |mut values: Vec<Value>| {
        let is_filled = |value: &Value| value.as_str().is_none_or(|text| !text.is_empty());
        let outside = values
            .iter()
            .enumerate()
            .find(|(index, value)| !(start..start + n_columns).contains(index) && is_filled(value));
        if let Some((index, value)) = outside {
            let got = printable_name(value.as_str().unwrap_or_default());
            let column = column_name(index);
            return Row::Invalid(format!(
                "expected values in {n_columns} columns, got `{got}` in column {column}"
            ));
        }
        let mut take = |&index: &usize| values.get_mut(start + index).map_or_else(|| "".into(), Value::take);
        Row::Values(selected.iter().map(&mut take).collect())
    };
    read_in_thread(Path::new(""), move |sender| {
        if let Some(first) = first {
            sender.send(row_of(first))?;
        }
        loop {
            match rows.recv() {
                Ok(Row::Values(values)) => sender.send(row_of(values))?,
                Ok(Row::End) => return Ok(()),
                Ok(other) => sender.send(other)?,
                Err(RecvError) => return Err(Stop::Failed("the file is corrupt".into())),
            }
        }
    })
}

/// Returns the name of a column in spreadsheets: `A`, `B`, …, `AA`.
fn column_name(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        more => format!("{}{letter}", column_name(more - 1)),
    }
}

/// Reads the rows of the first sheet.
fn read(file: File, path: &Path, sender: &Sender) -> Result<(), Stop> {
    let mut file = BufReader::new(file);
    let mut start = [0; 8];
    let n = file.read(&mut start).and_then(|n| file.seek(SeekFrom::Start(0)).map(|_| n)).map_err(failed)?;
    if start[..n].starts_with(b"\xD0\xCF\x11\xE0") {
        return read_range(Xls::new(file).map_err(failed)?, path, sender);
    }
    let names = check_parts(&mut file)?;
    let has = |name: &str| names.iter().any(|it| it == name);
    if has("xl/workbook.bin") {
        let mut book = Xlsb::new(file).map_err(failed)?;
        let sheet = first_sheet(book.sheets_metadata(), path)?;
        let mut cells = book.worksheet_cells_reader(&sheet).map_err(failed)?;
        return assemble(sender, || {
            Ok(cells.next_cell().map_err(failed)?.map(|it| (it.get_position(), value(it.get_value()))))
        });
    }
    if has("content.xml") {
        return read_range(Ods::new(file).map_err(failed)?, path, sender);
    }
    let mut book = Xlsx::new(file).map_err(failed)?;
    let sheet = first_sheet(book.sheets_metadata(), path)?;
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(failed)?;
    assemble(sender, || {
        Ok(cells.next_cell().map_err(failed)?.map(|it| (it.get_position(), value(it.get_value()))))
    })
}

/// Returns the names of the parts of a file, after a check of their sizes.
fn check_parts(file: &mut (impl Read + Seek)) -> Result<Vec<String>, Stop> {
    let mut archive = zip::ZipArchive::new(&mut *file).map_err(failed)?;
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(failed)?;
        let name = part.name().map_err(failed)?.into_owned();
        if part.size() > MAX_PART_BYTES {
            let (name, size, limit) = (printable_name(&name), part.size(), MAX_PART_BYTES >> 30);
            return Err(Stop::Failed(format!(
                "expected parts of at most {limit} GiB, got {size} bytes in `{name}`"
            )));
        }
        names.push(name);
    }
    drop(archive);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(names)
}

/// Reads the first sheet of a file that is in memory.
fn read_range<R>(mut book: R, path: &Path, sender: &Sender) -> Result<(), Stop>
where
    R: Reader<BufReader<File>>,
    R::Error: std::fmt::Display,
{
    let sheet = first_sheet(book.sheets_metadata(), path)?;
    let range = book.worksheet_range(&sheet).map_err(failed)?;
    let (row, column) = range.start().unwrap_or_default();
    let cells =
        range.used_cells().map(|(r, c, data)| ((row + r as u32, column + c as u32), data_value(data)));
    let mut cells = cells.filter(|(_, value)| value.as_str() != Some(""));
    assemble(sender, || Ok(cells.next()))
}

/// Returns the name of the first visible sheet; others are reported once.
fn first_sheet(sheets: &[Sheet], path: &Path) -> Result<String, Stop> {
    let visible =
        |sheet: &&Sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible;
    let mut names = sheets.iter().filter(visible).map(|sheet| sheet.name.clone());
    let first = names.next().ok_or_else(|| Stop::Failed("expected a visible sheet, got none".into()))?;
    let others: Vec<String> = names.collect();
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !others.is_empty() && !reported.iter().any(|it| it == path) {
        reported.push(path.to_owned());
        let others = crate::common::printable_names(&others);
        tracing::warn!(
            "{}: only the first sheet, `{}`, is read; others: {others}",
            path.display(),
            printable_name(&first)
        );
    }
    Ok(first)
}

/// Assembles rows from cells, which are in the order of rows.
fn assemble(
    sender: &Sender,
    mut next: impl FnMut() -> Result<Option<((u32, u32), Value)>, Stop>,
) -> Result<(), Stop> {
    let (mut row, mut values) = (0, Vec::<Value>::new());
    let has_value = |values: &[Value]| values.iter().any(|value| value.as_str() != Some(""));
    while let Some(((number, column), value)) = next()? {
        if number != row {
            if has_value(&values) {
                sender.send(Row::Values(std::mem::take(&mut values)))?;
            }
            values.clear();
            row = number;
        }
        // The formats have at most 16,384 columns.
        let column = column as usize;
        if column >= 1 << 14 {
            return Err(Stop::Failed(format!("expected at most 16384 columns, got column {}", column + 1)));
        }
        if values.len() <= column {
            values.resize(column + 1, Value::from(""));
        }
        values[column] = value;
    }
    if has_value(&values) {
        sender.send(Row::Values(values))?;
    }
    Ok(())
}

fn value(data: &DataRef<'_>) -> Value {
    match data {
        DataRef::SharedString(text) => (*text).into(),
        other => data_value(&Data::from(other.clone())),
    }
}

/// Returns the text of a cell; null for an error.
fn data_value(data: &Data) -> Value {
    match data {
        Data::Empty => "".into(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.as_str().into(),
        Data::Int(number) => number.to_string().into(),
        Data::Float(number) => number.to_string().into(),
        Data::Bool(boolean) => boolean.to_string().into(),
        Data::DateTime(time) => time_text(time).into(),
        Data::Error(CellErrorType::NA) => "".into(),
        Data::Error(_) => Value::Null,
    }
}

/// Returns a date, a time or both.
fn time_text(time: &ExcelDateTime) -> String {
    let value = time.as_f64();
    if time.is_duration() || (0.0..1.0).contains(&value) {
        let seconds = (value * 86_400.0).round() as i64;
        return format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match value.fract() {
        0.0 => date,
        _ => format!("{date} {hour:02}:{minute:02}:{second:02}"),
    }
}

fn failed(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(format!("invalid spreadsheet: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let names = [0, 25, 26, 51, 52, 701, 702].map(column_name);
        assert_eq!(names, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn values_are_as_a_spreadsheet_shows_them() {
        let date =
            |value| Data::DateTime(ExcelDateTime::new(value, calamine::ExcelDateTimeType::DateTime, false));
        let check = |data: Data, expected: &str| assert_eq!(data_value(&data), Value::from(expected));
        check(Data::Float(5.0), "5");
        check(Data::Float(0.25), "0.25");
        check(Data::Float(1.234e18), "1234000000000000000");
        check(Data::Bool(true), "true");
        check(date(45943.0), "2025-10-13");
        check(date(45943.5), "2025-10-13 12:00:00");
        check(date(0.75), "18:00:00");
        check(Data::Error(CellErrorType::NA), "");
        assert_eq!(data_value(&Data::Error(CellErrorType::Ref)), Value::Null);
    }
}
