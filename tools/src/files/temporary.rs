//! Files that take a name once they are whole: until then they are temporary, and gone however the work ends.
//!
//! A temporary file is locked while it is written. One whose lock is free was left by a process that was killed, and is removed by
//! the next that writes into its folder. What a signal should remove is in one list: [`remove_temporaries`].

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::{NamedTempFile, TempPath};

const PREFIX: &str = ".mote-";
const SUFFIX: &str = ".tmp";
/// A file so young may not be locked yet by who has just made it.
const YOUNG: Duration = Duration::from_secs(60);

static WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn written() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of this process: for whoever handles signals, right before it exits. Until it exits no other is made:
/// who would make one waits.
pub fn remove_temporaries() {
    let list = written();
    remove(&list);
    std::mem::forget(list);
}

fn remove(list: &BTreeSet<PathBuf>) {
    for path in list {
        // What cannot be removed now is found by the next process.
        let _ = remove_one(path);
    }
}

/// Removes a temporary file, or a folder with all that is in it. A link is removed, and not what it leads to.
fn remove_one(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Temporary {
    file: NamedTempFile,
    listed: Listed,
}

/// A place in the list, for as long as it lives.
#[derive(Debug)]
pub(super) struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        written().remove(&self.0);
    }
}

impl Temporary {
    /// In the folder of `target`, whose place it is to take.
    pub fn beside(target: &Path) -> io::Result<Self> {
        replaceable(target)?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new("."));
        remove_stale(folder);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            // What a plain file would get: the process's mask still applies.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(Permissions::from_mode(0o666));
        }
        // No signal finds a file that is not listed yet.
        let mut list = written();
        let file = builder.tempfile_in(folder)?;
        // Where files cannot be locked, stale ones are told by their age alone.
        let _ = file.as_file().try_lock();
        let listed = Listed(file.path().to_owned());
        list.insert(listed.0.clone());
        drop(list);
        Ok(Self { file, listed })
    }

    /// To write into.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Takes `target`'s place, with the permissions of the file that was there.
    pub fn persist(self, target: &Path) -> io::Result<()> {
        replaceable(target)?;
        let kept: Option<Permissions> = std::fs::metadata(target).ok().map(|found| found.permissions());
        if let Some(permissions) = kept {
            self.file.as_file().set_permissions(permissions)?;
        }
        self.file.as_file().sync_all()?;
        let path: TempPath = self.file.into_temp_path();
        path.persist(target).map_err(|error| error.error)?;
        drop(self.listed);
        Ok(())
    }
}

/// A file takes the place of a file or of nothing: a device or a pipe that a link leads to would be gone for everybody.
fn replaceable(target: &Path) -> io::Result<()> {
    match std::fs::metadata(target) {
        Ok(found) if !found.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "what is there is no regular file, and is not replaced by one",
        )),
        _ => Ok(()),
    }
}

/// A new folder in `parent`, with the lock that says that it is being filled.
pub(super) fn folder_in(parent: &Path) -> io::Result<(PathBuf, Listed, Option<File>)> {
    remove_stale(parent);
    // No signal finds a folder that is not listed yet.
    let mut list = written();
    let mut number = 0u32;
    let path = loop {
        let path = parent.join(format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id()));
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => break made.map(|()| path)?,
        }
    };
    list.insert(path.clone());
    drop(list);
    // Where folders cannot be locked, a stale one stays.
    let lock = File::open(&path).ok().filter(|folder| folder.try_lock().is_ok());
    Ok((path.clone(), Listed(path), lock))
}

/// Removes what killed processes left in `folder`.
fn remove_stale(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let left = entries.flatten().filter(|entry| is_ours(&entry.file_name()));
    for entry in left.filter(|entry| !written().contains(&entry.path())) {
        let age = entry.metadata().and_then(|found| found.modified()).ok();
        let old = age.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > YOUNG);
        // Opening a pipe would wait for who writes into it.
        let regular = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
        let free = || regular && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if old && free() {
            let _ = remove_one(&entry.path());
        }
    }
}

fn is_ours(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Writes `path` whole or not at all. A link stays a link; permissions stay what they were.
///
/// # Errors
/// What the system says; nothing was replaced then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = followed(path);
    let mut temporary = Temporary::beside(&target)?;
    temporary.file().write_all(bytes)?;
    temporary.persist(&target)
}

/// The file that `path` means: links are followed, also one that leads to nothing yet.
pub(super) fn followed(path: &Path) -> PathBuf {
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&path) {
            Ok(to) => path = path.parent().map_or_else(|| to.clone(), |parent| parent.join(&to)),
            Err(_) => break,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_temporary_file_is_gone_unless_it_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("whole");
        drop(Temporary::beside(&target).unwrap());
        assert!(names(folder.path()).is_empty());
        replace(&target, b"first").unwrap();
        replace(&target, b"second").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["whole"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_another_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * YOUNG;
        let file = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
            file
        };
        std::fs::create_dir(folder.path().join(".mote-folder.tmp")).unwrap();
        std::fs::write(folder.path().join(".mote-folder.tmp/within"), "").unwrap();
        let stale = File::open(folder.path().join(".mote-folder.tmp")).unwrap();
        stale.set_modified(old).unwrap();
        let (_left, held, _other) = (file(".mote-left.tmp"), file(".mote-held.tmp"), file("other.tmp"));
        held.try_lock().unwrap();
        File::create(folder.path().join(".mote-young.tmp")).unwrap();
        replace(&folder.path().join("whole"), b"").unwrap();
        assert_eq!(
            names(folder.path()),
            [".mote-held.tmp", ".mote-young.tmp", "other.tmp", "whole"]
        );
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_file_is_not_replaced_by_one() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        symlink("pipe", at("link")).unwrap();
        for name in ["pipe", "link"] {
            let error = replace(&at(name), b"bytes").unwrap_err();
            assert!(error.to_string().contains("no regular file"), "{error}");
        }
        assert!(std::fs::metadata(at("pipe")).unwrap().file_type().is_fifo());
        assert_eq!(names(folder.path()), ["link", "pipe"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_of_what_is_replaced_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("real")).unwrap();
        symlink("real/file", at("link")).unwrap();
        // A link that leads nowhere yet, then one to a file.
        for bytes in [&b"first"[..], b"second"] {
            replace(&at("link"), bytes).unwrap();
            assert_eq!(std::fs::read(at("real/file")).unwrap(), bytes);
            assert!(at("link").is_symlink());
            std::fs::set_permissions(at("real/file"), Permissions::from_mode(0o640)).unwrap();
        }
        replace(&at("link"), b"third").unwrap();
        assert_eq!(
            std::fs::metadata(at("link")).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
}
