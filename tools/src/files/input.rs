//! Files that are read: bounded by what they hold, and never written over by the work that reads them.

use crate::Error;
use mote_import::files as regular;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a file that is read should be.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// As errors say it, such as "a model file".
    pub what: &'static str,
    /// What to do where it is something else.
    pub advice: &'static str,
    /// The most bytes of such a file.
    pub most_bytes: u64,
    /// From the first [`HEAD_BYTES`] of the file, or fewer where it has no more: how many bytes are worth reading, or what is wrong.
    pub head: fn(&[u8]) -> Result<u64, &'static str>,
}

/// Bytes that are looked at before a file is read.
pub const HEAD_BYTES: u64 = 16;

impl Expected {
    /// A file that can begin with anything.
    #[must_use]
    pub const fn any(what: &'static str, advice: &'static str, most_bytes: u64) -> Self {
        Self {
            what,
            advice,
            most_bytes,
            head: |_| Ok(u64::MAX),
        }
    }
}

/// The file `path`, as much as is worth reading. Only a regular file is read: what a pipe or a device would give has no end. The first
/// bytes are looked at before the others are read.
///
/// # Errors
/// Of kind `Input`: it cannot be read, is no regular file, is too large, or begins otherwise.
pub fn read_file(path: &Path, expected: &Expected) -> Result<Vec<u8>, Error> {
    let Expected {
        what,
        most_bytes,
        advice,
        head,
    } = *expected;
    let shown = path.display();
    let refuse = |why: std::fmt::Arguments<'_>| Error::input(why).help(advice);
    let failed = |error: std::io::Error| refuse(format_args!("cannot read {shown}: {error}"));
    let (mut file, len) = regular::open(path).map_err(failed)?;
    if len > most_bytes {
        return Err(refuse(format_args!("{shown} has {len} bytes, too many for {what}")));
    }
    let mut bytes = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let worth = head(&bytes).map_err(|why| refuse(format_args!("{shown}: {why}")))?;
    let rest = worth.min(len).saturating_sub(bytes.len() as u64);
    let mut whole = regular::room(rest + bytes.len() as u64).map_err(failed)?;
    whole.append(&mut bytes);
    file.take(rest).read_to_end(&mut whole).map_err(failed)?;
    Ok(whole)
}

/// What a work reads. Every path that it writes is held against them before it starts, by identity: through links, by any name.
#[derive(Debug, Default)]
pub struct Inputs(Vec<(PathBuf, Identity)>);

/// What a file or a folder is, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    place: (u64, u64),
    #[cfg(not(unix))]
    place: PathBuf,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            let found = std::fs::metadata(path).ok()?;
            (found.dev(), found.ino())
        };
        #[cfg(not(unix))]
        let place = path.canonicalize().ok()?;
        Some(Self { place })
    }
}

impl Inputs {
    /// Those of `paths` that are there: files, or folders with all that is in them.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let known = paths
            .into_iter()
            .filter_map(|path| Some((path.to_owned(), Identity::of(path)?)));
        Self(known.collect())
    }

    /// Refuses `output`, a file, where it is an input, or a file of a folder that is one.
    ///
    /// # Errors
    /// Of kind `Usage`, with both names.
    pub fn spare(&self, output: &Path) -> Result<(), Error> {
        let Some(found) = Identity::of(output) else {
            // What is not there yet eats nothing.
            return Ok(());
        };
        let shown = output.display();
        if let Some((input, _)) = self.0.iter().find(|(_, identity)| *identity == found) {
            let known = if input.as_path() == output {
                format!("{shown} is both input and output")
            } else {
                format!("{shown} is both input and output: it is {}", input.display())
            };
            return Err(Error::usage(known).help("give another output"));
        }
        match self.around(output) {
            Some(input) => Err(Error::usage(format_args!(
                "{shown} is a file of the input {} and would be replaced",
                input.display()
            ))
            .help("give another output")),
            None => Ok(()),
        }
    }

    /// Refuses `output`, a folder to be filled, where it is an input or in one, or an input is in it under a name that `writes`.
    ///
    /// # Errors
    /// Of kind `Usage`, with both names.
    pub fn spare_folder(&self, output: &Path, writes: impl Fn(&str) -> bool) -> Result<(), Error> {
        let Some(found) = Identity::of(output) else {
            return Ok(());
        };
        for (input, identity) in &self.0 {
            let inside = input.parent().and_then(|parent| Identity::of(&with_dot(parent))) == Some(found.clone());
            let name = input.file_name().and_then(|name| name.to_str());
            if *identity == found || (inside && input.is_file() && name.is_some_and(&writes)) {
                return Err(Error::usage(format_args!(
                    "{} is both input and output: it holds {}",
                    output.display(),
                    input.display()
                ))
                .help("give another folder"));
            }
        }
        match self.around(output) {
            Some(input) => Err(Error::usage(format_args!(
                "the folder {} lies in the input {}",
                output.display(),
                input.display()
            ))
            .help("give a folder beside it")),
            None => Ok(()),
        }
    }

    /// The input folder that `path` lies in.
    fn around(&self, path: &Path) -> Option<&Path> {
        let real = path.canonicalize().ok()?;
        let mut above = real.ancestors().skip(1).filter_map(Identity::of);
        above.find_map(|folder| {
            let input = self.0.iter().find(|(_, identity)| *identity == folder);
            input.map(|(input, _)| input.as_path())
        })
    }
}

/// The folder of a bare name is this one.
fn with_dot(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Expected = Expected {
        what: "a file of four letters",
        advice: "give four letters",
        most_bytes: 4,
        head: |head| match head {
            [b'a', ..] => Ok(3),
            _ => Err("it begins without an a"),
        },
    };

    fn message(error: Error) -> String {
        format!("{error} ({})", error.advice().unwrap_or_default())
    }

    #[test]
    fn a_file_is_read_where_it_is_what_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            read_file(&path, &FOUR).map_err(message)
        };
        assert_eq!(read(b"ab").unwrap(), b"ab");
        for (bytes, why) in [
            (&b""[..], "file: it begins without an a"),
            (b"bbcd", "file: it begins without an a"),
            (b"abcde", "file has 5 bytes, too many for a file of four letters"),
        ] {
            let found = read(bytes).unwrap_err();
            assert!(found.contains(why) && found.contains("give four letters"), "{found}");
        }
    }

    #[test]
    fn no_more_is_read_than_the_head_says_is_worth_it() {
        const LONG: Expected = Expected {
            what: "a file",
            advice: "",
            most_bytes: 1 << 40,
            head: |_| Ok(40),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        // Takes no room on the disk.
        std::fs::File::create(&path).unwrap().set_len(1 << 34).unwrap();
        assert_eq!(read_file(&path, &LONG).unwrap(), [0; 40]);
    }

    #[test]
    fn a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let found = message(read_file(folder.path(), &FOUR).unwrap_err());
        assert!(found.contains("is a folder"), "{found}");
    }

    #[test]
    #[cfg(unix)]
    fn what_has_no_end_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        for (path, kind) in [(pipe.as_path(), "a pipe"), (Path::new("/dev/zero"), "a device")] {
            let found = message(read_file(path, &Expected::any("a file", "", 1 << 32)).unwrap_err());
            assert!(found.contains(&format!("is no regular file but {kind}")), "{found}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_output_is_no_input_by_whatever_name() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("ck/unet")).unwrap();
        for name in ["in.png", "ck/unet/weights", "other"] {
            std::fs::write(at(name), name).unwrap();
        }
        symlink(at("in.png"), at("soft")).unwrap();
        std::fs::hard_link(at("in.png"), at("hard")).unwrap();
        symlink(at("ck"), at("link")).unwrap();
        let paths = [at("in.png"), at("ck"), at("absent")];
        let inputs = Inputs::of(paths.iter().map(PathBuf::as_path));
        for name in [
            "in.png",
            "soft",
            "hard",
            "ck/unet/weights",
            "link/unet/weights",
            "ck/../in.png",
        ] {
            let found = message(inputs.spare(&at(name)).unwrap_err());
            assert!(
                found.contains("input") && found.contains("give another output"),
                "{found}"
            );
        }
        for name in ["other", "new", "ck/new"] {
            inputs.spare(&at(name)).unwrap();
        }
        let writes = |name: &str| name.ends_with(".png");
        for name in ["ck", "link", "ck/unet", "."] {
            let found = message(inputs.spare_folder(&at(name), writes).unwrap_err());
            assert!(found.contains("input"), "{found}");
        }
        inputs.spare_folder(&at("."), |name| name == "7.png").unwrap();
        inputs.spare_folder(&at("absent"), writes).unwrap();
    }
}
