//! What went wrong, on stderr and as an exit status.

pub use mote_tools::Error as Failure;

use anstyle::{AnsiColor, Style};
use mote_tools::code::Coded;
use mote_tools::{Code, ErrorKind};
use std::process::ExitCode;

/// The line that says where more is told of an error.
fn address(code: Code) -> String {
    let cyan = AnsiColor::Cyan.on_default().bold();
    format!("  {cyan}code{cyan:#}: {code}, see docs/errors.md\n")
}

/// Ends the command where its arguments cannot be read, or with the help that they ask for.
pub fn of_arguments(error: &clap::Error) -> ! {
    // Nothing is left to be said where the stream is closed.
    let _ = error.print();
    if error.use_stderr() {
        let text = address(ErrorKind::Usage.code());
        let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
    }
    std::process::exit(error.exit_code())
}

/// Says so on stderr, and on stdout as JSON where that was asked for. The status is 2 where the request cannot be, 1 otherwise.
pub fn report(error: &Failure, json: bool) -> ExitCode {
    let bold = Style::new().bold();
    let red = AnsiColor::Red.on_default().bold();
    let cyan = AnsiColor::Cyan.on_default().bold();
    let mut text = format!("{red}error{red:#}{bold}:{bold:#} {error}\n");
    if let Some(help) = error.advice() {
        text.push_str(&format!("  {cyan}help{cyan:#}: {help}\n"));
    }
    text.push_str(&address(error.code()));
    super::progress::clear();
    // Nothing is left to be said where stderr is closed.
    let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
    if json {
        let _ = super::print::json(&serde_json::json!({
            "error": error.to_string(), "help": error.advice(), "kind": error.kind().name(), "code": error.code().to_string(),
        }));
    }
    ExitCode::from(if error.kind() == ErrorKind::Usage { 2 } else { 1 })
}
