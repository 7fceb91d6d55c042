//! Line-based log files of a run, which a resumed run continues.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faknow_data::common::write_atomically;

use crate::{Error, Result, Run};

/// A file to which complete lines are appended. Writes are not buffered, so they survive a crash of the program.
#[derive(Debug)]
pub(crate) struct RunFile {
    name: &'static str,
    path: Option<PathBuf>,
    open: Option<(PathBuf, Arc<File>)>,
}

impl RunFile {
    /// Creates a file with this name in the run directory.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, path: None, open: None }
    }

    /// Sets a path that is independent of the run directory.
    pub(crate) fn with_path(self, path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Opens the run's file for appending, after dropping the lines for which `keep` returns false and a truncated last
    /// line.
    pub(crate) fn open(&mut self, run: &Run, keep: impl Fn(&str) -> bool) -> Result<()> {
        self.open = None;
        let path = resolve_path(self.path.as_deref(), run, self.name)?;
        let io_error = |e| Error::io(&path, e);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let old = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(io_error(e)),
        };
        let lines = old.split_inclusive('\n');
        let retained: String = lines.filter(|line| line.ends_with('\n') && keep(line.trim_end())).collect();
        if retained.len() != old.len() {
            write_atomically(&path, |file| file.write_all(retained.as_bytes())).map_err(io_error)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io_error)?;
        self.open = Some((path, Arc::new(file)));
        Ok(())
    }

    /// Writes complete lines immediately; opens the run's file if it is not open.
    pub(crate) fn write(&mut self, run: &Run, lines: &[u8]) -> Result<()> {
        let path = resolve_path(self.path.as_deref(), run, self.name)?;
        if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
            self.open(run, |_| true)?;
        }
        let Some((path, file)) = &self.open else { return Ok(()) };
        file.as_ref().write_all(lines).map_err(|e| Error::io(path, e))
    }

    /// Replaces the content of the open file.
    pub(crate) fn replace(&mut self, content: &[u8]) -> Result<()> {
        let Some((path, _)) = self.open.take() else { return Ok(()) };
        let io_error = |e| Error::io(&path, e);
        write_atomically(&path, |file| file.write_all(content)).map_err(io_error)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(io_error)?;
        self.open = Some((path, Arc::new(file)));
        Ok(())
    }

    /// Returns whether the file is that of an earlier fit, which the current one has not opened: a fit that was refused
    /// before it started must not write to it.
    pub(crate) fn is_of_earlier_fit(&self, run: &Run) -> bool {
        self.open.is_none()
            && resolve_path(self.path.as_deref(), run, self.name).is_ok_and(|path| path.exists())
    }

    /// Closes the file.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Returns the open file and its path.
    pub(crate) fn handle(&self) -> Option<(&Path, &Arc<File>)> {
        self.open.as_ref().map(|(path, file)| (path.as_path(), file))
    }
}

/// Returns the path that a callback writes to: `path` if it is set, else `name` in the run directory.
///
/// # Errors
/// Neither is available.
pub(crate) fn resolve_path(path: Option<&Path>, run: &Run, name: &str) -> Result<PathBuf> {
    match (path, run.dir()) {
        (Some(path), _) => Ok(path.to_owned()),
        (None, Some(dir)) => Ok(dir.join(name)),
        (None, None) => Err(Error::NoRunDir { component: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::RunOwner;

    #[test]
    fn open_drops_rejected_lines_and_truncated_last_line() {
        let check = |before: Option<&str>, expected: &str| {
            let dir = tempfile::tempdir().unwrap();
            let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
            run.setup_mut().dir = Some(dir.path().join("deeper"));
            let path = dir.path().join("deeper").join("log.txt");
            if let Some(text) = before {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
            }
            let mut file = RunFile::new("log.txt");
            file.open(&run, |line| !line.starts_with('x')).unwrap();
            file.write(&run, b"new\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        };
        check(None, "new\n");
        check(Some(""), "new\n");
        check(Some("head\nb\n"), "head\nb\nnew\n");
        check(Some("head\nx1\nb\nx2\n"), "head\nb\nnew\n");
        check(Some("head\nb\nto"), "head\nb\nnew\n");
        check(Some("x only"), "new\n");
    }

    #[test]
    fn switches_to_the_file_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = RunFile::new("log.txt");
        for (name, line) in [("a", "1\n"), ("b", "2\n"), ("a", "3\n")] {
            let mut run = RunOwner::new(name, VarStore::new(Device::Cpu));
            run.setup_mut().dir = Some(dir.path().join(name));
            file.write(&run, line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("a/log.txt")).unwrap(), "1\n3\n");
        assert_eq!(fs::read_to_string(dir.path().join("b/log.txt")).unwrap(), "2\n");
    }

    #[test]
    fn errors_name_the_file_or_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
        let error = RunFile::new("log.txt").open(&run, |_| true).unwrap_err().to_string();
        assert!(error.starts_with("log.txt: the run has no directory"), "{error}");
        fs::write(dir.path().join("file"), "").unwrap();
        run.setup_mut().dir = Some(dir.path().join("file"));
        let error = RunFile::new("log.txt").open(&run, |_| true).unwrap_err().to_string();
        assert!(error.starts_with(&dir.path().join("file").display().to_string()), "{error}");
    }
}
