//! What the runtime alone takes of flash.
//!
//! The package `firmware/minimal` is one function that parses a model, samples and writes the pixels. Linked with nothing but that
//! function as its root, with the linker's garbage collection, the image holds the runtime, what it uses of its libraries and of the
//! compiler's, and no start-up code, log, clock or model: what a firmware grows by when it calls the runtime, provided that it uses
//! none of those libraries already. The size is that of the image's loaded sections.
//!
//! The parts of the sum are sizes of symbols, by the module that a symbol's name begins with. Inlining crosses modules and crates, so
//! a function that was inlined counts where it ended up; what has no symbol (string and switch constants, padding, unwind
//! tables) is a part of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSymbol, SymbolKind};

use crate::boards::Board;
use crate::core_build::{CoreLibrary, Package, Recipe, core_library, tail};
use crate::elf::is_allocated;
use crate::error::SimError;
use crate::image::emulation;
use crate::parts::Parts;
use crate::temporary::Folder;
use object::ObjectSection;

/// A module's share of [`RuntimeFlash`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FlashPart {
    /// The module, such as `ops::conv`, or what else it is.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// What the runtime takes of flash on one core.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuntimeFlash {
    /// The core.
    pub core: &'static str,
    /// Rust's name for it.
    pub target: &'static str,
    /// The optimization level.
    pub opt_level: &'static str,
    /// Cargo features of the runtime that were compiled in.
    pub features: Vec<&'static str>,
    /// Whether the model was parsed by the build, and is opened by `Model::parse_trusted`.
    pub trusted: bool,
    /// Code and constants, bytes.
    pub bytes: u64,
    /// The same by module, the largest first; they add up to `bytes`.
    pub parts: Vec<FlashPart>,
}

/// Measures `parts` of the runtime, compiled for `board`'s core at `opt_level`; `trusted` without the checks of a model that the build
/// of the firmware has parsed.
///
/// # Errors
/// What keeps the code from being compiled or linked.
pub fn runtime_flash(
    board: &'static Board,
    opt_level: &'static str,
    parts: &Parts,
    trusted: bool,
) -> Result<RuntimeFlash, SimError> {
    let recipe = Recipe {
        package: if trusted {
            Package::MinimalTrusted
        } else {
            Package::Minimal
        },
        target: board.core.target,
        cpu: board.core.cpu,
        opt_level,
        parts: parts.clone(),
    };
    let elf = link(board, &*core_library(&recipe)?, &["mote_minimal"])?;
    let (bytes, parts) = sizes(&elf).map_err(|error| failure(board, error.to_string()))?;
    Ok(RuntimeFlash {
        core: board.core.name,
        target: board.core.target,
        opt_level,
        features: recipe.parts.names(),
        trusted,
        bytes,
        parts,
    })
}

/// The image that is left of a library's code for these roots.
pub(crate) fn link(board: &Board, library: &CoreLibrary, roots: &[&str]) -> Result<Vec<u8>, SimError> {
    const ELF_NAME: &str = "minimal.elf";
    let folder = Folder::new("mote-minimal-").map_err(SimError::io("making a folder for the image"))?;
    let (program, arguments) = &library.toolchain.linker;
    let output = Command::new(program)
        .current_dir(folder.path())
        .args(arguments)
        .args(["-m", emulation(board.emulator), "--gc-sections"])
        .args(["-e", roots.first().copied().unwrap_or_default()])
        .args(roots.iter().flat_map(|root| ["-u", root]))
        .args(["--nmagic", "-o", ELF_NAME])
        .arg(&library.archive)
        .output()
        .map_err(SimError::io("running the linker"))?;
    if !output.status.success() {
        return Err(failure(board, tail(&String::from_utf8_lossy(&output.stderr), 20)));
    }
    let path: &Path = &folder.path().join(ELF_NAME);
    std::fs::read(path).map_err(SimError::io("reading the image"))
}

pub(crate) fn failure(board: &Board, output: String) -> SimError {
    SimError::Build {
        step: "linking",
        target: board.core.target,
        output,
    }
}

/// Bytes of all loaded sections, and their parts.
pub(crate) fn sizes(elf: &[u8]) -> Result<(u64, Vec<FlashPart>), object::Error> {
    let file = object::File::parse(elf)?;
    let total = file.sections().filter(is_allocated).map(|section| section.size()).sum();
    let mut by_module: BTreeMap<String, u64> = BTreeMap::new();
    // Identical functions are folded into one: an address counts once.
    let mut seen = std::collections::BTreeSet::new();
    let sized = file.symbols().filter(|symbol| {
        symbol.is_definition() && symbol.size() > 0 && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data)
    });
    for symbol in sized {
        if seen.insert(symbol.address() & !1) {
            *by_module.entry(module(symbol.name().unwrap_or_default())).or_default() += symbol.size();
        }
    }
    let named: u64 = by_module.values().sum();
    by_module.insert(
        "(constants without a name, padding)".into(),
        u64::saturating_sub(total, named),
    );
    let mut parts: Vec<FlashPart> = by_module
        .into_iter()
        .map(|(name, bytes)| FlashPart { name, bytes })
        .collect();
    parts.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    Ok((total, parts))
}

/// The module that a symbol counts for: two levels of the runtime's, the crate's name of anything else.
fn module(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    if name == "mote_minimal" || symbol == "mote_minimal" {
        return "(inlined into the caller: parse and sampler)".into();
    }
    // `<a::b::Type as c::Trait>::method` and `<a::b::Type>::method` count for a::b.
    let path = name.trim_start_matches(['<', '&', '*', '[', '(']);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    let end = path.find([' ', '>', '<', '(', '{', ',']).unwrap_or(path.len());
    let segments: Vec<&str> = path[..end].split("::").collect();
    match segments[..] {
        ["mote_runtime", family @ ("ops" | "model"), module, _, ..] => format!("{family}::{module}"),
        ["mote_runtime", family, ..] => family.to_owned(),
        [krate, _, ..] => format!("crate {krate}"),
        // Names without a path are the compiler's support routines: __aeabi_lmul.
        _ => "crate compiler_builtins".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_count_for_the_module_they_come_from() {
        for (symbol, expected) in [
            ("mote_runtime::ops::conv::integer::blocks::conv", "ops::conv"),
            ("<mote_runtime::ops::list::Op>::slots", "ops::list"),
            (
                "<mote_runtime::ops::norm::GroupNorm as mote_runtime::ops::Operator>::run_integer",
                "ops::norm",
            ),
            (
                "mote_runtime::model::exec::forward::<mote_runtime::Unobserved>",
                "model::exec",
            ),
            ("mote_runtime::family::native::rows8", "family"),
            ("mote_runtime::numeric::table::SINE_Q30", "numeric"),
            (
                "postcard::de::take_from_bytes::<mote_runtime::ops::list::Op>",
                "crate postcard",
            ),
            ("__aeabi_lmul", "crate compiler_builtins"),
        ] {
            assert_eq!(module(symbol), expected, "{symbol}");
        }
    }
}
