//! A file and the name of something in it, given as `FILE` or `FILE:KEY`.

use std::ffi::OsStr;
use std::path::PathBuf;

/// File and key. A path may hold colons itself, and bytes that are no UTF-8: the whole is a file, or what follows the last colon is a key.
#[must_use]
pub fn keyed(given: &OsStr) -> (PathBuf, Option<String>) {
    let whole = PathBuf::from(given);
    match apart(given) {
        Some((path, key)) if !whole.exists() && !key.is_empty() => (path, Some(key)),
        _ => (whole, None),
    }
}

#[cfg(unix)]
fn apart(given: &OsStr) -> Option<(PathBuf, String)> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = given.as_bytes();
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let key = std::str::from_utf8(&bytes[colon + 1..]).ok()?;
    Some((OsStr::from_bytes(&bytes[..colon]).into(), key.to_owned()))
}

#[cfg(not(unix))]
fn apart(given: &OsStr) -> Option<(PathBuf, String)> {
    let (path, key) = given.to_str()?.rsplit_once(':')?;
    Some((path.into(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_last_colon_is_a_key_unless_the_whole_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a:b");
        std::fs::write(&file, "").unwrap();
        assert_eq!(keyed(file.as_os_str()), (file.clone(), None));
        let mut with_key = file.clone().into_os_string();
        with_key.push(":c");
        assert_eq!(keyed(&with_key), (file, Some("c".into())));
        assert_eq!(keyed(OsStr::new("none:")), ("none:".into(), None));
    }

    #[test]
    #[cfg(unix)]
    fn a_path_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let (path, key) = keyed(OsStr::from_bytes(b"none\xff:noise"));
        assert_eq!(
            (path.as_os_str().as_bytes(), key.as_deref()),
            (&b"none\xff"[..], Some("noise"))
        );
    }
}
