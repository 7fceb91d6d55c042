//! A small disk that can be filled.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// A file system of a few MiB in memory, which is unmounted on drop.
pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    /// Mounts it; `None` without the permission, with a message.
    pub fn mount(path: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(path)?;
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Ok(Some(Self { path: path.to_path_buf() }));
        }
        crate::required::skip("mount", "full disks, since mounting a small one requires root")?;
        Ok(None)
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Fills the disk to the last byte.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        let block = vec![1; 1 << 16];
        let mut size = block.len();
        while size > 0 {
            if file.write_all(&block[..size]).is_err() {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Frees the space again.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}
