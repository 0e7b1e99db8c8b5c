//! Finds a compiler and a linker for a core.
//!
//! A toolchain will do if it has the core's library built (rustup's `target add`), or the library's source (rustup's
//! `component add rust-src`, Debian's `rust-web-src`) to build it from. The active toolchain is asked first, then `/usr`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::SimError;

/// A compiler for one core.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// Its build tool.
    pub cargo: PathBuf,
    /// Whether `core` must be built from source.
    pub build_std: bool,
    /// The linker and the arguments that make it an ELF linker.
    pub linker: (PathBuf, Vec<OsString>),
}

impl Toolchain {
    /// The toolchain for `target`.
    ///
    /// # Errors
    /// `Missing` where nothing here can build for it.
    pub fn find(target: &str) -> Result<Self, SimError> {
        let sysroots = sysroots();
        let linker = linker(&sysroots).ok_or_else(|| SimError::Missing {
            what: "a linker for bare metal (rust-lld or ld.lld)".into(),
            how: "apt-get install lld (or run .ci/setup)".into(),
        })?;
        sysroots
            .iter()
            .find_map(|sysroot| Self::in_sysroot(sysroot, target, &linker))
            .ok_or_else(|| SimError::Missing {
                what: format!("a Rust compiler for {target}"),
                how: format!(
                    "rustup target add {target}; or apt-get install rustc-web cargo-web rust-web-src (or run .ci/setup)"
                ),
            })
    }

    fn in_sysroot(sysroot: &Path, target: &str, linker: &(PathBuf, Vec<OsString>)) -> Option<Self> {
        let (rustc, cargo) = (sysroot.join("bin/rustc"), sysroot.join("bin/cargo"));
        let rustlib = sysroot.join("lib/rustlib");
        let prebuilt = has_core(&rustlib.join(target).join("lib"));
        let source = rustlib.join("src/rust/library/core/Cargo.toml").is_file();
        (rustc.is_file() && cargo.is_file() && (prebuilt || source)).then(|| Self {
            rustc,
            cargo,
            build_std: !prebuilt,
            linker: linker.clone(),
        })
    }

    /// What `rustc --version` says, and where `core` comes from.
    pub fn describe(&self) -> String {
        let version = output_line(Command::new(&self.rustc).arg("--version")).unwrap_or_else(|| "rustc".into());
        let core = if self.build_std {
            "core built from source"
        } else {
            "core from the toolchain"
        };
        format!("{version}, {core}")
    }
}

/// The active toolchain's folder, then Debian's.
fn sysroots() -> Vec<PathBuf> {
    let active = output_line(Command::new("rustc").args(["--print", "sysroot"])).map(PathBuf::from);
    let mut sysroots: Vec<PathBuf> = active.into_iter().chain([PathBuf::from("/usr")]).collect();
    sysroots.dedup();
    sysroots
}

fn has_core(library_folder: &Path) -> bool {
    let Ok(entries) = library_folder.read_dir() else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// The newest first: rust-lld of a toolchain, then the system's lld.
fn linker(sysroots: &[PathBuf]) -> Option<(PathBuf, Vec<OsString>)> {
    let bundled = sysroots.iter().find_map(|sysroot| {
        let hosts = sysroot.join("lib/rustlib").read_dir().ok()?;
        hosts
            .flatten()
            .map(|host| host.path().join("bin/rust-lld"))
            .find(|path| path.is_file())
    });
    match bundled {
        Some(path) => Some((path, vec!["-flavor".into(), "gnu".into()])),
        None => on_path("ld.lld").map(|path| (path, Vec::new())),
    }
}

/// The first program of that name in `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The first line that a command prints, if it succeeds and prints one.
pub fn output_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .next()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_sysroot_has_no_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let linker = (PathBuf::from("ld.lld"), Vec::new());
        assert!(Toolchain::in_sysroot(folder.path(), "thumbv6m-none-eabi", &linker).is_none());
    }

    #[test]
    fn a_sysroot_with_the_target_needs_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib/rustlib/thumbv6m-none-eabi/lib");
        std::fs::create_dir_all(&library).unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        for file in [
            "bin/rustc",
            "bin/cargo",
            "lib/rustlib/thumbv6m-none-eabi/lib/libcore-0123.rlib",
        ] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let linker = (PathBuf::from("ld.lld"), Vec::new());
        let found = Toolchain::in_sysroot(folder.path(), "thumbv6m-none-eabi", &linker).unwrap();
        assert!(!found.build_std);
        assert!(Toolchain::in_sysroot(folder.path(), "thumbv7m-none-eabi", &linker).is_none());
    }
}
