//! Folders that images are linked in: gone with the image, and with the process where it is told to end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static USED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn used() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    USED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary folders of this process: for whoever handles signals, right before it exits. Until it exits no other is made:
/// who would make one waits.
pub fn remove_temporaries() {
    let list = used();
    for path in list.iter() {
        // The system's own cleaning finds what is left.
        let _ = std::fs::remove_dir_all(path);
    }
    std::mem::forget(list);
}

/// A temporary folder.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A new one whose name begins with `prefix`.
    pub fn new(prefix: &str) -> io::Result<Self> {
        // No signal finds a folder that is not listed yet.
        let mut list = used();
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        list.insert(folder.path().to_owned());
        drop(list);
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        used().remove(self.0.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_when_it_is_dropped_and_when_the_process_is_told_to_end() {
        let [first, second] = [(); 2].map(|()| Folder::new("mote-test-").unwrap());
        let paths = [&first, &second].map(|folder| folder.path().to_owned());
        drop(first);
        assert!(!paths[0].exists() && paths[1].exists() && used().contains(&paths[1]));
    }
}
