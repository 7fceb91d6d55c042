//! The records of several files, one file after the other.

use std::path::PathBuf;

use faknow_data::{Classes, RawLabel, Record, RecordReader};

use crate::config::DataFiles;
use crate::data::layout::LayoutRules;
use crate::data::left_out::LeftOutRecords;
use crate::{Error, Result};

/// An iterator over the records of files; the number of a record is that in its file.
pub(crate) struct FileRecords {
    /// The files that are not open yet, with the class of their records, if a file has a label.
    rest: std::vec::IntoIter<(PathBuf, Option<usize>)>,
    current: Option<(PathBuf, RecordReader, Option<usize>)>,
    rules: LayoutRules,
    classes: Option<Classes>,
    left_out: LeftOutRecords,
}

impl FileRecords {
    /// Opens the first of the files.
    ///
    /// # Errors
    /// The label of a file is unknown; or the first file cannot be opened, see [`RecordReader::open`].
    pub(crate) fn open(files: &DataFiles, rules: &LayoutRules, classes: Option<&Classes>) -> Result<Self> {
        let class_of = |label: &String| match classes {
            Some(classes) => classes.parse(&RawLabel::Text(label)).map(Some),
            None => Ok(None),
        };
        let class = |label: &Option<String>| label.as_ref().map_or(Ok(None), class_of);
        let rest = files.files().iter().map(|file| Ok((file.path.clone(), class(&file.label)?)));
        let rest: Result<Vec<_>, faknow_data::UnknownLabel> = rest.collect();
        let rest = rest.map_err(|error| Error::config("data.classes", error.to_string()))?.into_iter();
        let (rules, classes) = (rules.clone(), classes.cloned());
        let left_out = LeftOutRecords::default();
        let mut records = Self { rest, current: None, rules, classes, left_out };
        records.open_next()?;
        Ok(records)
    }

    /// Opens each of the files, to find errors before a large one is read.
    ///
    /// # Errors
    /// As [`open`](Self::open), for any of the files.
    pub(crate) fn check(files: &DataFiles, rules: &LayoutRules, classes: Option<&Classes>) -> Result<()> {
        let mut records = Self::open(files, rules, classes)?;
        while records.current.is_some() {
            records.open_next()?;
        }
        Ok(())
    }

    /// Adds the records that are left out of each file to `left_out`.
    pub(crate) fn with_left_out(self, left_out: &LeftOutRecords) -> Self {
        Self { left_out: left_out.clone(), ..self }
    }

    /// Returns the columns of the file that is open, the first one at the start.
    pub(crate) fn columns(&self) -> &[String] {
        self.current.as_ref().map_or(&[], |(_, reader, _)| reader.columns())
    }

    fn open_next(&mut self) -> faknow_data::Result<()> {
        self.current = None;
        if let Some((path, class)) = self.rest.next() {
            // A file with a label needs no label column.
            let classes = self.classes.as_ref().filter(|_| class.is_none());
            let options = self.rules.options_for(&path)?;
            let reader = RecordReader::open(&path, &options, classes)?;
            self.current = Some((path, reader, class));
        }
        Ok(())
    }
}

impl Iterator for FileRecords {
    type Item = faknow_data::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, reader, class) = self.current.as_mut()?;
            match reader.next() {
                Some(Ok(record)) => {
                    return Some(Ok(match class {
                        Some(class) => record.with_label(*class),
                        None => record,
                    }));
                }
                Some(Err(error)) => {
                    self.current = None;
                    return Some(Err(error));
                }
                None => {
                    self.left_out.add(path, reader.left_out());
                    if let Err(error) = self.open_next() {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}
