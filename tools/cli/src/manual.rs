//! `mote man`: manual pages, for packages. The command does not show itself.

use super::failure::Failure;
use super::print::{self, Verdict};
use clap::Command;
use clap_mangen::Man;
use mote_tools::files;
use std::path::Path;

/// Writes `mote.1` and a page of every command that shows itself, `mote-sample.1` and so on.
pub fn write(command: &Command, folder: &Path) -> Result<Verdict, Failure> {
    files::folder(folder)?;
    page(command.clone(), folder)?;
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let mut count = 1;
    for one in shown.filter(|one| one.get_name() != "help") {
        let name = format!("{}-{}", command.get_name(), one.get_name());
        page(one.clone().name(name), folder)?;
        count += 1;
    }
    print::text(&format!("{}: {count} manual pages\n", folder.display()))?;
    Ok(Verdict::Yes)
}

fn page(command: Command, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(format!("{}.1", command.get_name()));
    let mut text = Vec::new();
    let refused = |error: std::io::Error| Failure::output(format_args!("cannot write {}: {error}", path.display()));
    Man::new(command).render(&mut text).map_err(refused)?;
    std::fs::write(&path, text).map_err(|error| refused(error).help("choose a folder that may be written"))
}
