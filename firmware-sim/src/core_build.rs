//! Compiles the firmware for a core: once for each core, optimization level and set of the runtime's parts in a process, and
//! cargo's cache across processes. The result is a static library without addresses, so every board of that core shares it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::SimError;
use crate::parts::Parts;
use crate::toolchain::Toolchain;
use mote_runtime::Feature;

/// What can be compiled: a package of the firmware's workspace, or the archive for C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Package {
    /// The firmware.
    Firmware,
    /// The firmware of models whose weights are read in blocks.
    Streamed,
    /// The firmware of two cores.
    Paired,
    /// The runtime alone, to be measured.
    Minimal,
    /// The same without the checks of a model that the build has parsed.
    MinimalTrusted,
    /// The runtime alone with every choice of a configuration, as from C.
    MinimalChoices,
    /// The archive for C, of the main workspace.
    C,
    /// The same with everything that it can do.
    CWhole,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Firmware | Self::Streamed | Self::Paired => "mote-firmware",
            Self::Minimal | Self::MinimalTrusted | Self::MinimalChoices => "mote-minimal",
            Self::C | Self::CWhole => "mote-c",
        }
    }

    /// The package whose Cargo features are the runtime's parts.
    fn owner(self) -> &'static str {
        match self {
            Self::C | Self::CWhole => "mote-c",
            _ => "mote-runtime",
        }
    }

    /// The library's name in file names.
    fn library(self) -> String {
        match self {
            Self::C | Self::CWhole => "mote".into(),
            _ => self.name().replace('-', "_"),
        }
    }

    /// Cargo features of its own.
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Firmware | Self::Minimal => &[],
            Self::Streamed => &["mote-firmware/streamed"],
            Self::Paired => &["mote-firmware/paired"],
            Self::MinimalTrusted => &["mote-minimal/trusted"],
            Self::MinimalChoices => &["mote-minimal/choices"],
            Self::C => &["mote-c/parse"],
            Self::CWhole => &["mote-c/parse", "mote-c/cooperative", "mote-c/store"],
        }
    }
}

/// What a static library is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// The package.
    pub package: Package,
    /// Rust's name for the core.
    pub target: &'static str,
    /// The compiler's name for the core, as [`crate::Board::cpu`].
    pub cpu: Option<&'static str>,
    /// The optimization level.
    pub opt_level: &'static str,
    /// The parts of the runtime.
    pub parts: Parts,
}

/// A package, compiled for one core.
#[derive(Debug)]
pub struct CoreLibrary {
    /// The static library.
    pub archive: PathBuf,
    /// Folders that hold the linker scripts of the libraries it is built on.
    pub script_folders: Vec<PathBuf>,
    /// What built it, and what links it.
    pub toolchain: Toolchain,
    /// `Toolchain::describe`, asked once.
    pub compiler: String,
}

/// The profile `device` of the main workspace, but for its level of optimization.
const DEVICE_PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

static BUILT: Mutex<Option<HashMap<Recipe, Arc<CoreLibrary>>>> = Mutex::new(None);

/// The library that `recipe` makes.
///
/// One build at a time in a process; between processes a lock file does the same, in a target directory that no outer cargo
/// holds.
///
/// # Errors
/// `Missing`, `NoSource`, `Build` or `Io`.
pub fn core_library(recipe: &Recipe) -> Result<Arc<CoreLibrary>, SimError> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_with(HashMap::new);
    if let Some(library) = built.get(recipe) {
        return Ok(library.clone());
    }
    let library = Arc::new(build(recipe)?);
    built.insert(recipe.clone(), library.clone());
    Ok(library)
}

fn build(recipe: &Recipe) -> Result<CoreLibrary, SimError> {
    let source = source_folder()?;
    let toolchain = Toolchain::find(recipe.target)?;
    let folder = target_folder(&source)?.join(format!("{}-{}", recipe.cpu.unwrap_or("opt"), recipe.opt_level));
    let _lock = lock(&folder)?;
    let mut command = Command::new(&toolchain.cargo);
    scrub(&mut command);
    match recipe.package {
        // With the settings of the profile `device` in place of its name: what is compiled for the firmware serves here, too.
        Package::C | Package::CWhole => command
            .current_dir(source.join("../.."))
            .args(["rustc", "--crate-type", "staticlib"])
            .envs(DEVICE_PROFILE),
        _ => command.current_dir(&source).arg("build"),
    };
    command
        .args(["--release", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--package", recipe.package.name(), "--target", recipe.target])
        .args([
            "--no-default-features",
            "--features",
            &recipe.parts.cargo_features(recipe.package.owner()),
        ])
        .args(
            recipe
                .package
                .features()
                .iter()
                .flat_map(|feature| ["--features", feature]),
        )
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTC", &toolchain.rustc)
        .env("DEFMT_LOG", "trace")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", recipe.opt_level)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&source, recipe.cpu));
    if toolchain.build_std {
        command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
    }
    let what = format!("running {}", toolchain.cargo.display());
    let output = command.output().map_err(SimError::io(what))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(SimError::Build {
            step: "compilation",
            target: recipe.target,
            output: tail(&text, 40),
        });
    }
    let (archive, script_folders) = artifacts(&output.stdout, recipe.package);
    let archive = archive.ok_or_else(|| SimError::Build {
        step: "compilation",
        target: recipe.target,
        output: "cargo named no static library".into(),
    })?;
    let archive = keep(&archive, recipe)?;
    let compiler = toolchain.describe();
    Ok(CoreLibrary {
        archive,
        script_folders,
        toolchain,
        compiler,
    })
}

/// Keeps other processes from building in `folder` until it is dropped.
pub(crate) fn lock(folder: &Path) -> Result<std::fs::File, SimError> {
    let what = || format!("locking {}", folder.display());
    std::fs::create_dir_all(folder).map_err(SimError::io(what()))?;
    let file = std::fs::File::create(folder.join("mote.lock")).map_err(SimError::io(what()))?;
    file.lock().map_err(SimError::io(what()))?;
    Ok(file)
}

/// Cargo writes every set of parts to one path: gives each a path of its own beside it. A reader of the old file keeps it.
fn keep(archive: &Path, recipe: &Recipe) -> Result<PathBuf, SimError> {
    // A name of all parts would be longer than a file's may be: a bit for each stands for them.
    let bits = recipe
        .parts
        .features()
        .iter()
        .map(|part| Feature::ALL.iter().position(|other| other == part));
    let bits: u64 = bits.flatten().map(|at| 1 << at).sum();
    let own = recipe
        .package
        .features()
        .iter()
        .map(|feature| format!("-{}", feature.replace('/', "-")));
    let name = format!("{}-{bits:x}{}", recipe.package.name(), own.collect::<String>());
    let (kept, partial) = (
        archive.with_file_name(format!("{name}.a")),
        archive.with_extension("partial"),
    );
    std::fs::copy(archive, &partial)
        .and_then(|_| std::fs::rename(&partial, &kept))
        .map_err(SimError::io(format!("writing {}", kept.display())))?;
    Ok(kept)
}

/// Where the firmware's source is: `MOTE_FIRMWARE_DIR`, or beside this crate's source.
pub(crate) fn source_folder() -> Result<PathBuf, SimError> {
    let named = std::env::var_os("MOTE_FIRMWARE_DIR").filter(|name| !name.is_empty());
    let folder = match named {
        Some(folder) => std::path::absolute(folder).map_err(SimError::io("finding MOTE_FIRMWARE_DIR"))?,
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware"),
    };
    if folder.join("Cargo.toml").is_file() {
        Ok(folder)
    } else {
        Err(SimError::NoSource(folder))
    }
}

/// Where the firmware is compiled: `MOTE_FIRMWARE_TARGET_DIR`, or `target` beside its source.
pub(crate) fn target_folder(source: &Path) -> Result<PathBuf, SimError> {
    target_folder_of(source, std::env::var_os("MOTE_FIRMWARE_TARGET_DIR"))
}

/// As cargo does it, an empty name is none. A relative one is the caller's: cargo itself runs beside the source.
fn target_folder_of(source: &Path, named: Option<OsString>) -> Result<PathBuf, SimError> {
    match named.filter(|name| !name.is_empty()) {
        None => Ok(source.join("target")),
        Some(name) => std::path::absolute(name).map_err(SimError::io("finding MOTE_FIRMWARE_TARGET_DIR")),
    }
}

/// Keeps this machine's paths out of the image, so that every machine builds the same one.
pub(crate) fn rust_flags(source: &Path, cpu: Option<&str>) -> String {
    let root = source.ancestors().nth(2).unwrap_or(source);
    let mut flags = vec![format!("--remap-path-prefix={}=mote", root.display())];
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = cargo_home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))) {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    // The runtime's build script sees that there are no DSP instructions.
    let (cpu, less) = match cpu.map(|cpu| cpu.strip_suffix("+nodsp").ok_or(cpu)) {
        Some(Ok(cpu)) => (Some(cpu), true),
        Some(Err(cpu)) => (Some(cpu), false),
        None => (None, false),
    };
    flags.extend(cpu.map(|cpu| format!("-Ctarget-cpu={cpu}")));
    flags.extend(less.then(|| "-Ctarget-feature=-dsp".to_owned()));
    flags.join("\u{1f}")
}

/// Removes what an outer cargo, or a developer's settings for the desktop build, would leak into this build. What says
/// where to download from stays.
pub(crate) fn scrub(command: &mut Command) {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const DROPPED: [&str; 9] = [
        "CARGO",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION",
        "MAKEFLAGS",
        "OUT_DIR",
        "DEFMT",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = KEPT.iter().any(|prefix| text.starts_with(prefix));
        if !kept && DROPPED.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    // Cargo points these at the outer toolchain's libraries.
    command
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("DYLD_FALLBACK_LIBRARY_PATH");
}

/// The static library and the link search folders, from cargo's messages.
fn artifacts(messages: &[u8], package: Package) -> (Option<PathBuf>, Vec<PathBuf>) {
    let library = package.library();
    let mut archive = None;
    let mut folders = Vec::new();
    for line in messages.split(|&byte| byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else {
            continue;
        };
        let strings = |key: &str| -> Vec<String> {
            let list = message[key].as_array();
            list.into_iter()
                .flatten()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["target"]["name"] == library.as_str() => {
                archive = strings("filenames")
                    .into_iter()
                    .find(|name| name.ends_with(".a"))
                    .map(PathBuf::from);
            }
            Some("build-script-executed") => folders.extend(strings("linked_paths").into_iter().map(|path| {
                // "native=/folder", or the folder alone.
                PathBuf::from(path.split_once('=').map_or(path.as_str(), |(_, folder)| folder))
            })),
            _ => {}
        }
    }
    (archive, folders)
}

/// The last `lines` lines of `text`.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_messages_name_library_and_scripts() {
        let messages = br#"{"reason":"build-script-executed","linked_paths":["native=/a/out","/b/out"]}
{"reason":"compiler-artifact","target":{"name":"defmt"},"filenames":["/x/libdefmt.rlib"]}
not json
{"reason":"compiler-artifact","target":{"name":"mote_firmware"},"filenames":["/x/libmote_firmware.a"]}"#;
        let (archive, folders) = artifacts(messages, Package::Firmware);
        assert_eq!(archive, Some(PathBuf::from("/x/libmote_firmware.a")));
        assert_eq!(folders, [PathBuf::from("/a/out"), PathBuf::from("/b/out")]);
    }

    #[test]
    fn an_empty_target_folder_is_none_and_a_relative_one_is_the_callers() {
        let source = Path::new("/source");
        let of = |name: Option<&str>| target_folder_of(source, name.map(OsString::from)).unwrap();
        let own = source.join("target");
        assert_eq!((of(None), of(Some(""))), (own.clone(), own));
        let here = std::env::current_dir().unwrap();
        assert_eq!(of(Some("built")), here.join("built"));
        assert_eq!(of(Some("/built")), Path::new("/built"));
    }

    #[test]
    fn tail_keeps_the_end() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
