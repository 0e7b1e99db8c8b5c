//! A new firmware project around a model: complete, small, and built by its world's own command.
//!
//! | file | what |
//! |---|---|
//! | `kind.rs` | the worlds there are, and the files of each |
//! | `place.rs` | the board: memories, flags, what runs it, how its flash is written |
//! | `values.rs` | what the templates are filled with |
//! | `template.rs` | filling in |
//! | `name.rs` | names that a project can have |
//! | `checkout.rs` | where the project finds Mote |
//!
//! The templates are files of `tools/assets/projects/`.

mod checkout;
mod kind;
mod name;
mod place;
mod template;
mod values;

pub use kind::Kind;

use crate::backend::apart::Cut;
use crate::backend::footprint::Fit;
use crate::files::whole_folder;
use crate::target::Target;
use crate::{Error, ErrorKind, ModelFile};
use checkout::Checkout;
use mote_build::Facts;
use place::Place;
use std::path::{Path, PathBuf};
use values::Values;

/// Paths in the project's folder, and what they hold.
type Files = Vec<(String, Vec<u8>)>;

/// What a project is made of.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its folder, whose last part is its name.
    pub folder: PathBuf,
    /// Its world.
    pub kind: Kind,
    /// The model file.
    pub model: PathBuf,
    /// The board.
    pub board: Target,
    /// Denoising steps of a run; 20 by default, or what the file plans.
    pub steps: Option<u32>,
    /// A checkout of Mote; by default the one that this was built from.
    pub mote: Option<PathBuf>,
}

/// A project that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its files, relative to the folder.
    pub files: Vec<String>,
    /// The commands that build and run it, in its folder.
    pub commands: Vec<String>,
    /// What is not checked of it, if anything is.
    pub unchecked: Option<&'static str>,
}

impl NewProject {
    /// Writes the folder: all of it, or nothing.
    ///
    /// # Errors
    /// Of kind `Usage` for a name that is none; `Input` for a model that is damaged; `TooLarge` where the board is too small; `Refused`
    /// where the kind has no such board; `Unavailable` without a checkout of Mote; `Output` where the folder is there or cannot be written.
    pub fn write(&self) -> Result<Written, Error> {
        let name = name::of(&self.folder)?;
        if self.folder.symlink_metadata().is_ok() {
            return Err(
                Error::output(format_args!("{} is there already", self.folder.display()))
                    .help("give a folder that is not there yet, or remove it"),
            );
        }
        let (files, commands) = self.files(&name)?;
        write(&self.folder, &files)?;
        Ok(Written {
            name,
            files: files.into_iter().map(|(path, _)| path).collect(),
            commands,
            unchecked: self.kind.unchecked(),
        })
    }

    /// The files of the project, and the commands that build and run it.
    fn files(&self, name: &str) -> Result<(Files, Vec<String>), Error> {
        let file = ModelFile::open(&self.model)?;
        let facts = self.facts()?;
        let place = Place::of(&self.board, self.kind)?;
        let fit = Fit::of_run(&self.board, file.model(), file.bytes().len(), &facts.config);
        self.fits(&file, &fit, &facts, place.region_bytes(facts.snapshot_bytes))?;
        let checkout = Checkout::find(self.mote.as_deref())?;
        let values = Values::of(name, &self.model, &file, &facts, &place, &checkout);
        let mut files = Vec::new();
        for (path, text) in self.kind.files(&place) {
            files.push((values.fill(path)?, values.fill(text)?.into_bytes()));
        }
        files.push((
            self.kind.model_path(name, values.model_name()),
            self.kind.model_bytes(file.bytes()),
        ));
        let commands = self.kind.commands();
        let commands = commands
            .iter()
            .map(|line| values.fill(line))
            .collect::<Result<_, _>>()?;
        Ok((files, commands))
    }

    fn facts(&self) -> Result<Facts, Error> {
        let build = mote_build::model(&self.model);
        let build = match self.steps {
            Some(steps) => build.steps(steps),
            None => build,
        };
        build.facts().map_err(|error| match error {
            mote_build::Error::Run { error, .. } => error.into(),
            mote_build::Error::Model { error, .. } => error.into(),
            error => Error::input(error),
        })
    }

    /// Whether the board holds firmware, model, the saved run and the picture.
    fn fits(&self, file: &ModelFile, fit: &Fit, facts: &Facts, region: u32) -> Result<(), Error> {
        let more = facts.sample_len() + facts.snapshot_bytes + values::LOG_STACK_BYTES as usize;
        let short = |what: &str, needed: u64, has: u64| {
            (needed > has).then(|| format!("needs {needed} bytes of {what}, has {has}"))
        };
        let why: Vec<String> = [
            short("flash", fit.flash_bytes + u64::from(region), fit.flash_total_bytes),
            short("RAM", fit.ram_bytes + more as u64, fit.ram_total_bytes),
        ]
        .into_iter()
        .flatten()
        .collect();
        if why.is_empty() {
            return Ok(());
        }
        let why = why.join("; ");
        let beside = [u64::from(region), more as u64];
        let cut = Cut::remedy(fit, file.model(), file.bytes(), beside);
        let cut = cut.map_or(String::new(), |cut| format!("; {cut}"));
        Err(Error::of(
            ErrorKind::TooLarge,
            format_args!("{} does not fit {}: it {why}", self.model.display(), self.board.name),
        )
        .help(format_args!(
            "choose a larger board (`mote inspect` lists those that hold the model), or convert a smaller model{cut}"
        )))
    }
}

/// Writes all files into a new folder, which has its name once it is whole.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
    let refuse = |path: &Path, error: std::io::Error| {
        Error::output(format_args!("cannot write {}: {error}", path.display()))
            .help("give a new folder in a folder that is there and can be written, with room for the project")
    };
    let write = |name: &str, bytes: &[u8], within: &Path| {
        let path = within.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(within))
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| refuse(&folder.join(name), error))
    };
    let fill = |within: &Path| files.iter().try_for_each(|(name, bytes)| write(name, bytes, within));
    whole_folder(folder, |error| refuse(folder, error), fill)
}
