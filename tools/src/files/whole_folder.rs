//! A folder that takes its name once all is in it.

use super::temporary::folder_in;
use std::io;
use std::path::Path;

/// Makes the folder `target`, with what `fill` writes into the folder that it is given: all of it, or nothing. `target` must not be there.
///
/// # Errors
/// What `fill` says, and what the system says, made an error by `refuse`; nothing is left then.
pub fn whole_folder<E>(
    target: &Path,
    refuse: impl Fn(io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let (path, _listed, lock) = folder_in(parent.unwrap_or(Path::new("."))).map_err(&refuse)?;
    let done = fill(&path).and_then(|()| renamed(&path, target).map_err(&refuse));
    if done.is_err() {
        // It was made above, so all of it is ours. What cannot be removed now is found by the next process.
        let _ = std::fs::remove_dir_all(&path);
    }
    drop(lock);
    done
}

fn renamed(path: &Path, target: &Path) -> io::Result<()> {
    if target.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already"));
    }
    std::fs::rename(path, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new");
        let fill = |path: &Path| std::fs::write(path.join("file"), "bytes");
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let fail = |path: &Path| fill(path).and_then(|()| Err(io::Error::other("no room")));
        assert_eq!(whole_folder(&target, |e| e, fail).unwrap_err().to_string(), "no room");
        assert_eq!(names(), 0);
        whole_folder(&target, |e| e, fill).unwrap();
        assert_eq!(std::fs::read(target.join("file")).unwrap(), b"bytes");
        let again = whole_folder(&target, |e| e, fill).unwrap_err();
        assert_eq!((again.kind(), names()), (io::ErrorKind::AlreadyExists, 1));
    }
}
