//! What went wrong, where, and what to do about it.

use anstyle::{AnsiColor, Style};
use mote_runtime::{ParseError, RunError};
use mote_tools::backend::BackendError;
use std::fmt::Display;
use std::process::ExitCode;

/// A command that could not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    help: Option<String>,
    status: u8,
}

impl Failure {
    /// The work failed.
    pub fn new(what: impl Display) -> Self {
        Self {
            what: what.to_string(),
            help: None,
            status: 1,
        }
    }

    /// What was asked for cannot be: exit status 2.
    pub fn usage(what: impl Display) -> Self {
        Self {
            status: 2,
            ..Self::new(what)
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(self, help: impl Display) -> Self {
        Self {
            help: Some(help.to_string()),
            ..self
        }
    }

    /// Says so on stderr, and on stdout as JSON where that was asked for.
    pub fn report(&self, json: bool) -> ExitCode {
        let bold = Style::new().bold();
        let red = AnsiColor::Red.on_default().bold();
        let cyan = AnsiColor::Cyan.on_default().bold();
        let mut text = format!("{red}error{red:#}{bold}:{bold:#} {}\n", self.what);
        if let Some(help) = &self.help {
            text.push_str(&format!("  {cyan}help{cyan:#}: {help}\n"));
        }
        // Nothing is left to be said where stderr is closed.
        let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
        if json {
            let _ = super::print::json(&serde_json::json!({ "error": self.what, "help": self.help }));
        }
        ExitCode::from(self.status)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let help = match error {
            RunError::ChainSteps { needed, .. } => format!("give --steps {needed}"),
            RunError::Steps { max, .. } => format!("give --steps from 1 to {max}"),
            RunError::Class { classes: 0, .. } => "leave --class out".into(),
            RunError::Class { classes, .. } => format!("give --class from 0 to {}", classes - 1),
            RunError::Planned { .. } => {
                "leave the sampler's options out; `mote inspect` says what is planned, `mote plan` plans another".into()
            }
            RunError::ClassMissing => "give --class".into(),
            RunError::GuidanceUnsupported => "leave --guidance out: this model was trained without a null class".into(),
            RunError::ZeroSnr => "choose --spacing leading, which does not visit the last timestep".into(),
            _ => return Self::new(error),
        };
        Self::new(error).help(help)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Run(error) => error.into(),
            BackendError::Unavailable { ref how, .. } => {
                let how = how.clone();
                Self::new(error).help(how)
            }
            error => Self::new(error),
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::new(error)
    }
}
