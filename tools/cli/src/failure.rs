//! What went wrong, on stderr and as an exit status.

pub use mote_tools::Error as Failure;

use anstyle::{AnsiColor, Style};
use mote_tools::ErrorKind;
use std::process::ExitCode;

/// Says so on stderr, and on stdout as JSON where that was asked for. The status is 2 where the request cannot be, 1 otherwise.
pub fn report(error: &Failure, json: bool) -> ExitCode {
    let bold = Style::new().bold();
    let red = AnsiColor::Red.on_default().bold();
    let cyan = AnsiColor::Cyan.on_default().bold();
    let mut text = format!("{red}error{red:#}{bold}:{bold:#} {error}\n");
    if let Some(help) = error.advice() {
        text.push_str(&format!("  {cyan}help{cyan:#}: {help}\n"));
    }
    // Nothing is left to be said where stderr is closed.
    let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
    if json {
        let _ = super::print::json(&serde_json::json!({
            "error": error.to_string(), "help": error.advice(), "kind": error.kind().name(),
        }));
    }
    ExitCode::from(if error.kind() == ErrorKind::Usage { 2 } else { 1 })
}
