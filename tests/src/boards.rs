//! Boards that a test needs.

use mote_firmware_sim::{Availability, Board};

/// The board of that name, or `None` (with a line on stderr) where it cannot run here and that is allowed.
///
/// # Panics
/// Where the board cannot run here, unless `MOTE_ALLOW_MISSING_QEMU=1`.
pub fn board(name: &str) -> Option<&'static Board> {
    let board = Board::named(name).expect("a board of the table");
    let Availability::Missing { what, how } = board.available() else {
        return Some(board);
    };
    let line = format!(
        "{name} could not run: missing {} ({}; MOTE_ALLOW_MISSING_QEMU=1 skips it)",
        what.join(", "),
        how.join("; ")
    );
    let allowed = std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1");
    assert!(allowed, "{line}");
    eprintln!("SKIPPED: {line}");
    None
}
