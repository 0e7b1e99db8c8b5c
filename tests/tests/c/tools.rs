//! What the tests need of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A path below the repository's root.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Whether this program is here; a line on stderr where it is not and that is allowed.
///
/// # Panics
/// Where it is not here, unless `MOTE_ALLOW_MISSING_QEMU=1`.
pub fn have(program: &str) -> bool {
    if Command::new(program).arg("--version").output().is_ok() {
        return true;
    }
    let line = format!("{program} is missing (bash .ci/setup; MOTE_ALLOW_MISSING_QEMU=1 skips it)");
    let allowed = std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1");
    assert!(allowed, "{line}");
    eprintln!("SKIPPED: {line}");
    false
}

/// Runs a command to its end; what it wrote.
///
/// # Panics
/// Where it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out
}
