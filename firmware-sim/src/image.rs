//! A linked image: firmware, model and arena for one board.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mote_runtime::{Config, Feature, Model};

use crate::boards::{Board, Emulator};
use crate::core_build::{CoreLibrary, Package, Recipe, core_library, tail};
use crate::elf::{Elf, Sizes};
use crate::error::{Memory, SimError};
use crate::memory_x::{Layout, memory_x};
use crate::parts::{Firmware, Parts};
use crate::temporary::Folder;

/// How to lay an image out.
#[derive(Clone, Debug, Default)]
pub struct ImageOptions {
    /// Bytes of arena; `None` takes what the model needs.
    pub arena_bytes: Option<u32>,
    /// The runs that it is for: sampler and guidance say how much arena the model needs. `None` is DDIM without guidance.
    pub config: Option<Config>,
    /// Parts of the runtime that runs need beside those of the model and of `config` ([`RunRequest::features`](crate::RunRequest::features)).
    pub features: Vec<Feature>,
    /// The noise, or the clean image, that runs may start from, then the known image of inpainting runs, each where there is one:
    /// Q24, (row, col, channel). After them the condition vector of every run, in the model's fixed point, where the model takes one. It is
    /// linked into flash.
    pub state: Vec<i32>,
    /// The parts of the runtime that the image holds; `None` takes what the model needs, or every part where the environment
    /// has `MOTE_FIRMWARE_PARTS=all` (one compilation a core serves every model then) or the model cannot be read.
    pub parts: Option<Parts>,
    /// Whether an image whose parts are not given holds what makes the runtime quicker.
    pub firmware: Firmware,
    /// Bytes of the buffers, behind the arena, into which weights are read in blocks ([`mote_runtime::Streamed`]). The model is then one that
    /// was cut, padded to 16 bytes, and its file of weights behind it. `None` for a model that is addressed whole.
    pub stream_bytes: Option<u32>,
    /// Whether operators run on two cores, as the machine `mps2-an521` has them. The second one's scratch lies behind the arena.
    pub paired: bool,
    /// The least stack, in bytes, with which the image counts as fitting; `None` takes [`Footprint::least_stack_bytes`](crate::Footprint::least_stack_bytes). The image gets
    /// all the RAM that is left over, up to 64 KiB.
    pub least_stack_bytes: Option<u32>,
}

/// An image that is ready to run.
#[derive(Debug)]
pub struct Image {
    board: &'static Board,
    sizes: Sizes,
    compiler: String,
    parts: Parts,
    parsed: bool,
    elf: Vec<u8>,
    // Holds the ELF file for as long as the image lives.
    folder: Folder,
}

/// More stack than this is of no use, and painting it takes time.
const MOST_STACK_BYTES: u32 = 64 * 1024;

const ELF_NAME: &str = "firmware.elf";

impl Image {
    /// Compiles the firmware for the board's core, if that has not been done, and links it with `model`.
    ///
    /// # Errors
    /// `DoesNotFit` where the board's flash or RAM is too small, with the bytes needed; `Model` where the arena's size is
    /// left to a model file that cannot be read; otherwise what keeps the firmware from being built.
    pub fn link(board: &'static Board, model: &[u8], options: &ImageOptions) -> Result<Self, SimError> {
        let needs = needs(model, options);
        let parsed = needs.is_ok();
        let arena_bytes = match (options.arena_bytes, &needs) {
            (Some(bytes), _) => bytes,
            (None, Ok((bytes, _))) => *bytes,
            (None, Err(error)) => return Err(SimError::Model(error.clone())),
        };
        let parts = match (&options.parts, needs) {
            (Some(parts), _) => parts.clone(),
            (None, Ok((_, parts))) => held(board, parts).of_firmware(options.firmware),
            (None, Err(_)) => Parts::addressed().of_firmware(options.firmware),
        };
        let norm_conv = parts.features().contains(&Feature::NormConv);
        let recipe = recipe(board, parts, options.paired);
        let linker = Linker::new(board, core_library(&recipe)?, model, &options.state)?;
        let least = options
            .least_stack_bytes
            .unwrap_or_else(|| board.core.footprint.least_stack_bytes(norm_conv));
        let stack_bytes = least.next_multiple_of(16);
        let measured = linker
            .link(Layout {
                stack_bytes,
                arena_bytes,
                true_sizes: false,
            })?
            .1;
        check_fit(board, &measured)?;
        let left_over = u64::from(board.ram.length) - measured.ram_bytes;
        let stack_bytes = (stack_bytes + left_over as u32 / 16 * 16).min(MOST_STACK_BYTES.max(stack_bytes));
        let (elf, sizes) = linker.link(Layout {
            stack_bytes,
            arena_bytes,
            true_sizes: true,
        })?;
        Ok(Self {
            board,
            sizes,
            compiler: linker.library.compiler.clone(),
            parts: recipe.parts,
            parsed,
            elf,
            folder: linker.folder,
        })
    }

    /// The board it is for.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// What it takes, in bytes.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// What compiled it.
    pub fn compiler(&self) -> &str {
        &self.compiler
    }

    /// The parts of the runtime that it holds.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Whether this very runtime has parsed the model on the host.
    pub(crate) fn is_parsed(&self) -> bool {
        self.parsed
    }

    /// The ELF file's content.
    pub fn elf(&self) -> &[u8] {
        &self.elf
    }

    /// The ELF file, which is removed with this value.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(ELF_NAME)
    }
}

/// Compiles what [`Image::link`] links for a model that needs `parts`, before there is the model: it then finds it done.
///
/// # Errors
/// What keeps the firmware from being compiled.
pub fn compile_ahead(board: &'static Board, parts: &Parts, firmware: Firmware) -> Result<(), SimError> {
    let parts = held(board, parts.clone()).of_firmware(firmware);
    core_library(&recipe(board, parts, false)).map(drop)
}

/// Flash that holds every part, a model and some room: 135 KB of code on a Cortex-M3.
const EVERY_PART_BYTES: u32 = 192 * 1024;

/// What an image holds for a model that needs `parts`: `MOTE_FIRMWARE_PARTS=all` asks for every one, on boards whose flash holds them.
fn held(board: &Board, parts: Parts) -> Parts {
    let every = std::env::var_os("MOTE_FIRMWARE_PARTS").is_some_and(|parts| parts == "all");
    match every && board.flash.length >= EVERY_PART_BYTES {
        true if parts.features().contains(&Feature::Streamed) => Parts::all(),
        true => Parts::addressed(),
        false => parts,
    }
}

fn recipe(board: &Board, parts: Parts, paired: bool) -> Recipe {
    Recipe {
        package: match paired {
            true => Package::Paired,
            false if parts.features().contains(&Feature::Streamed) => Package::Streamed,
            false => Package::Firmware,
        },
        target: board.core.target,
        cpu: board.core.cpu,
        opt_level: board.core.opt_level,
        parts,
    }
}

/// What the model needs on the device: bytes of arena, and parts of the runtime.
fn needs(model: &[u8], options: &ImageOptions) -> Result<(u32, Parts), String> {
    // A model is read from a multiple of 16; the caller's bytes may lie anywhere.
    let mut aligned = vec![0u128; model.len().div_ceil(16)];
    let bytes = &mut bytemuck::cast_slice_mut(&mut aligned)[..model.len()];
    bytes.copy_from_slice(model);
    let model = match options.stream_bytes {
        None => Model::parse(bytes),
        Some(_) => Model::parse_apart(Model::in_slot(bytes)),
    };
    let model = model.map_err(|error| format!("{error:?}"))?;
    let config = options.config.unwrap_or_else(|| Config::of(model.header(), 1));
    let arena_bytes = mote_runtime::arena_bytes(&model, &config) as u32;
    let arena_bytes = match options.stream_bytes {
        None => arena_bytes,
        Some(buffers) => arena_bytes.next_multiple_of(16) + buffers,
    };
    let arena_bytes = match options.paired {
        false => arena_bytes,
        true => arena_bytes.next_multiple_of(16) + mote_runtime::pair_bytes(&model) as u32,
    };
    let parts = Parts::needed_by(&model).with(
        config
            .method
            .feature()
            .into_iter()
            .chain(options.features.iter().copied()),
    );
    Ok((arena_bytes, parts))
}

fn check_fit(board: &'static Board, sizes: &Sizes) -> Result<(), SimError> {
    let flash_parts = format!("model {}, code {}", sizes.flash_model_bytes, sizes.flash_code_bytes);
    let ram_parts = format!(
        "arena {}, statics {}, stack at least {}",
        sizes.arena_bytes, sizes.statics_bytes, sizes.stack_reserved_bytes
    );
    let memories = [
        (Memory::Flash, sizes.flash_bytes, board.flash, flash_parts),
        (Memory::Ram, sizes.ram_bytes, board.ram, ram_parts),
    ];
    for (memory, needed, region, parts) in memories {
        let available = u64::from(region.length);
        if needed > available {
            return Err(SimError::DoesNotFit {
                board: board.name,
                memory,
                needed,
                available,
                parts,
            });
        }
    }
    Ok(())
}

/// One board's link, in a folder of its own.
struct Linker {
    board: &'static Board,
    library: Arc<CoreLibrary>,
    folder: Folder,
}

impl Linker {
    fn new(board: &'static Board, library: Arc<CoreLibrary>, model: &[u8], state: &[i32]) -> Result<Self, SimError> {
        let folder = Folder::new("mote-image-").map_err(SimError::io("making a folder for the image"))?;
        let write = |name, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes)
                .map_err(SimError::io(format!("writing {name} for the linker")))
        };
        write("model.bin", model)?;
        write(
            "start.bin",
            &state.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
        )?;
        Ok(Self { board, library, folder })
    }

    fn link(&self, layout: Layout) -> Result<(Vec<u8>, Sizes), SimError> {
        let folder = self.folder.path();
        let map = memory_x(self.board, layout);
        std::fs::write(folder.join("memory.x"), map).map_err(SimError::io("writing memory.x"))?;
        let output = self
            .command(folder)
            .output()
            .map_err(SimError::io("running the linker"))?;
        if !output.status.success() {
            return Err(self.failure(tail(&String::from_utf8_lossy(&output.stderr), 20)));
        }
        let elf = std::fs::read(folder.join(ELF_NAME)).map_err(SimError::io("reading the image"))?;
        let sizes = Elf::parse(&elf).ok().and_then(|parsed| parsed.sizes(self.board));
        let sizes = sizes.ok_or_else(|| self.failure("the image lacks the firmware's symbols".into()))?;
        Ok((elf, sizes))
    }

    fn command(&self, folder: &Path) -> Command {
        let (program, arguments) = &self.library.toolchain.linker;
        let mut command = Command::new(program);
        command.current_dir(folder).args(arguments).args([
            "-m",
            emulation(self.board.emulator),
            "-o",
            ELF_NAME,
            "-L",
            ".",
        ]);
        for scripts in &self.library.script_folders {
            command.arg("-L").arg(scripts);
        }
        command
            .args(["-T", "link.x", "-T", "defmt.x", "--gc-sections", "--nmagic"])
            .arg(&self.library.archive);
        command.args(["--format=binary", "model.bin", "start.bin", "--format=default"]);
        command
    }

    fn failure(&self, output: String) -> SimError {
        SimError::Build {
            step: "linking",
            target: self.board.core.target,
            output,
        }
    }
}

pub(crate) fn emulation(emulator: Emulator) -> &'static str {
    match emulator {
        Emulator::Arm => "armelf",
        Emulator::Riscv32 => "elf32lriscv",
    }
}
