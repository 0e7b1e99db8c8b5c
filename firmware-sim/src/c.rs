//! The runtime's archive for C (`runtime/c`), and images that a C compiler linked with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use crate::boards::Board;
use crate::core_build::{CoreLibrary, Package, Recipe, core_library};
use crate::cycles::{Kind, Traced, Tracer};
use crate::error::SimError;
use crate::minimal::{failure, link, sizes};
use crate::parts::Parts;
use crate::qemu::{self, End, Limits};

/// `libmote.a` for one core.
#[derive(Clone, Debug)]
pub struct CArchive {
    board: &'static Board,
    library: Arc<CoreLibrary>,
}

impl CArchive {
    /// Compiles it with these parts of the runtime, at the firmware's level of optimization.
    ///
    /// # Errors
    /// What keeps the code from being compiled.
    pub fn build(board: &'static Board, parts: &Parts) -> Result<Self, SimError> {
        let library = core_library(&recipe(board, Package::C, parts))?;
        Ok(Self { board, library })
    }

    /// The same with steps in pieces and the store.
    ///
    /// # Errors
    /// As of [`CArchive::build`].
    pub fn build_whole(board: &'static Board, parts: &Parts) -> Result<Self, SimError> {
        let library = core_library(&recipe(board, Package::CWhole, parts))?;
        Ok(Self { board, library })
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.library.archive.clone()
    }

    /// What compiled it.
    pub fn compiler(&self) -> &str {
        &self.library.compiler
    }

    /// The names of all symbols, and whether it defines them for others.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn symbols(&self) -> Result<Vec<(String, bool)>, SimError> {
        let bytes = std::fs::read(&self.library.archive).map_err(SimError::io("reading the archive"))?;
        let wrong = |error: object::Error| failure(self.board, error.to_string());
        let archive = ArchiveFile::parse(&*bytes).map_err(wrong)?;
        let mut symbols = Vec::new();
        for member in archive.members() {
            // A copy begins where a member need not: at a multiple of what the format asks for.
            let data = member.and_then(|member| member.data(&*bytes)).map_err(wrong)?.to_vec();
            // The library's own metadata are no object.
            if !data.starts_with(&object::elf::ELFMAG) {
                continue;
            }
            let file = object::File::parse(&*data).map_err(wrong)?;
            symbols.extend(file.symbols().filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                let exported = symbol.is_definition() && symbol.is_global();
                Some((format!("{:#}", rustc_demangle::demangle(name)), exported))
            }));
        }
        Ok(symbols)
    }

    /// Bytes of code and constants that a firmware grows by when it calls these functions.
    ///
    /// # Errors
    /// What keeps them from being linked.
    pub fn flash_bytes(&self, functions: &[&str]) -> Result<u64, SimError> {
        let elf = link(self.board, &self.library, functions)?;
        let (bytes, _) = sizes(&elf).map_err(|error| failure(self.board, error.to_string()))?;
        Ok(bytes)
    }
}

/// Bytes of code and constants of a firmware in Rust that does what one in C does with `mote_open`, `mote_config_init`, `mote_start`,
/// `mote_step` and `mote_image`.
///
/// # Errors
/// What keeps it from being compiled or linked.
pub fn rust_flash_bytes(board: &'static Board, parts: &Parts) -> Result<u64, SimError> {
    let library = core_library(&recipe(board, Package::MinimalChoices, parts))?;
    let elf = link(board, &library, &["mote_minimal"])?;
    let (bytes, _) = sizes(&elf).map_err(|error| failure(board, error.to_string()))?;
    Ok(bytes)
}

/// As [`run_elf`], with the instructions and cycles of all that ran, as a core of this kind takes them; `None` of these where QEMU's log ended too soon.
///
/// # Errors
/// As of [`run_elf`].
pub fn trace_elf(
    board: &Board,
    elf: &Path,
    limits: Limits,
    kind: Kind,
) -> Result<(End, Vec<u8>, Option<Traced>), SimError> {
    let mut output = Vec::new();
    let mut take = |bytes: &[u8]| output.extend_from_slice(bytes);
    let (end, traced) = qemu::run_traced(board, elf, &[], limits, Tracer::new(kind), &mut take)?;
    Ok((end, output, traced))
}

fn recipe(board: &'static Board, package: Package, parts: &Parts) -> Recipe {
    Recipe {
        package,
        target: board.core.target,
        cpu: board.core.cpu,
        opt_level: board.core.opt_level,
        parts: parts.clone(),
    }
}

/// Runs the image in `elf` on `board`; gives how it ended, and what it wrote to the host's standard output.
///
/// # Errors
/// `Missing` without QEMU; `Io` where it cannot be started.
pub fn run_elf(board: &Board, elf: &Path, limits: Limits) -> Result<(End, Vec<u8>), SimError> {
    let mut output = Vec::new();
    let end = qemu::run(board, elf, &[], limits, &mut |bytes| output.extend_from_slice(bytes))?;
    Ok((end, output))
}
