//! A firmware developer's own project, built as its author would, with whichever toolchain is here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::boards::Board;
use crate::core_build::{lock, rust_flags, scrub, source_folder, tail, target_folder};
use crate::error::SimError;
use crate::toolchain::Toolchain;

/// Builds the binary `name` of the project in `folder`, which is for `board`'s core, by `cargo build --release` and nothing from the
/// network; gives the image. It shares the target folder of the firmware, so that the core's own library is compiled once.
///
/// # Errors
/// `Missing`, `NoSource`, `Build` with what cargo says, or `Io`.
pub fn build_project(board: &Board, folder: &Path, name: &str) -> Result<PathBuf, SimError> {
    let (target, core) = (board.core.target, board.core);
    let source = source_folder()?;
    let toolchain = Toolchain::find(target)?;
    let built = target_folder(&source)?.join(format!("{}-{}", core.cpu.unwrap_or("opt"), core.opt_level));
    let _lock = lock(&built)?;
    let mut command = Command::new(&toolchain.cargo);
    scrub(&mut command);
    command
        .current_dir(folder)
        .args(["build", "--release", "--offline", "--target-dir"])
        .arg(&built)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&source, core.cpu));
    if toolchain.build_std {
        command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
    }
    // Debian's compiler does not know where a toolchain of rustup has its linker.
    let triple = target.to_uppercase().replace(['-', '.'], "_");
    command.env(format!("CARGO_TARGET_{triple}_LINKER"), &toolchain.linker.0);
    let what = format!("running {}", toolchain.cargo.display());
    let output = command.output().map_err(SimError::io(what))?;
    if !output.status.success() {
        return Err(SimError::Build {
            step: "compilation",
            target,
            output: tail(&String::from_utf8_lossy(&output.stderr), 60),
        });
    }
    // Cargo writes every project of that name to one path: the caller gets a copy.
    let (image, kept) = (
        built.join(target).join("release").join(name),
        folder.join(format!("{name}.elf")),
    );
    std::fs::copy(&image, &kept).map_err(SimError::io(format!("copying {}", image.display())))?;
    Ok(kept)
}
