//! `mote doctor`: which tools are here, and how to get the others.

use super::failure::Failure;
use super::print::{self, Verdict, heading, table};
use mote_tools::doctor::{Finding, Need, examine, is_ready};
use serde_json::json;

/// Check the tools that Mote calls: what each is for, its version, what to install
///
/// Converting, sampling and validating on this machine need no tool. The exit status is 0 where firmware in Rust can be built for every
/// simulated board's core, and 1 where it cannot.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mote doctor\n  mote doctor --json")]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Verdict, Failure> {
    let found = examine();
    let ready = is_ready(&found);
    if args.json {
        print::json(&json!({ "version": env!("CARGO_PKG_VERSION"), "ready": ready, "tools": found }))?;
    } else {
        print::text(&text(&found, ready))?;
    }
    Ok(ready.into())
}

fn text(found: &[Finding], ready: bool) -> String {
    let mut text = String::new();
    for need in Need::ALL {
        let cells = |one: &Finding| {
            let here = match (&one.version, one.good) {
                (Some(version), true) => version.clone(),
                (Some(version), false) => format!("{version}: too old, {}", one.install),
                (None, _) => format!("missing: {}", one.install),
            };
            vec![one.name.clone(), format!("{}: {here}", one.purpose)]
        };
        let rows: Vec<Vec<String>> = found.iter().filter(|one| one.need == need).map(cells).collect();
        text += &format!("{}\n{}\n", heading(need.about()), table(&rows));
    }
    let verdict = if ready {
        "Ready: models are converted, sampled, and built into firmware here."
    } else {
        "Models are converted and sampled here; firmware cannot be built before the first group is here."
    };
    text + verdict + "\n"
}
