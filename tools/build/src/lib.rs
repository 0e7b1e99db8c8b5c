//! Puts a Mote model into a firmware, checked by the firmware's own build.
//!
//! `build.rs`:
//!
//! ```no_run
//! mote_build::model("digits.mote").steps(20).emit();
//! ```
//!
//! The firmware:
//!
//! ```ignore
//! mod model {
//!     include!(concat!(env!("OUT_DIR"), "/model.rs"));
//! }
//!
//! let model = model::open()?;
//! let mut arena = Arena::new(&mut memory.0)?; // memory: Aligned<[u8; model::ARENA_BYTES]>
//! let config = model::config(&model, seed);
//! ```
//!
//! The build fails where the file is damaged or of another version, where the run is none of the model's, and where a part of
//! `mote-runtime` that it needs is not among the features in `Cargo.toml`. So the device need not check it again: `open` is
//! [`Model::parse_trusted`](mote_runtime::Model::parse_trusted), which looks at alignment, versions and the checksum of all bytes,
//! and links none of the other checks.

mod aligned;
mod error;
mod facts;
mod source;

pub use error::Error;
pub use facts::Facts;
// Build scripts name samplers without a dependency of their own.
pub use mote_runtime::Method;

use std::path::{Path, PathBuf};

/// A model of a firmware, and the run that it is for.
#[derive(Debug, Clone)]
pub struct Build {
    path: PathBuf,
    run: Run,
    parsed_on_device: bool,
}

/// What of a run its memory and the runtime's features depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    pub steps: Option<u32>,
    pub method: Option<Method>,
    pub class: Option<u16>,
    pub guidance_q16: Option<i32>,
}

/// The model file at `path`, which is relative to the folder of `Cargo.toml`.
pub fn model(path: impl AsRef<Path>) -> Build {
    Build {
        path: path.as_ref().to_owned(),
        run: Run::default(),
        parsed_on_device: false,
    }
}

impl Build {
    /// Denoising steps of a run; 20 without this, or what the file plans.
    #[must_use]
    pub fn steps(mut self, steps: u32) -> Self {
        self.run.steps = Some(steps);
        self
    }

    /// The sampler; the model's own without this.
    #[must_use]
    pub fn sampler(mut self, method: Method) -> Self {
        self.run.method = Some(method);
        self
    }

    /// The class label of a conditional model; the null class without this, or 0 where there is none.
    #[must_use]
    pub fn class(mut self, class: u16) -> Self {
        self.run.class = Some(class);
        self
    }

    /// The weight of classifier-free guidance, Q16, which takes more arena.
    #[must_use]
    pub fn guidance_q16(mut self, weight: i32) -> Self {
        self.run.guidance_q16 = Some(weight);
        self
    }

    /// `open` makes every check on the device, too: for a model that is not the one of the build, such as after an update.
    #[must_use]
    pub fn parsed_on_device(mut self) -> Self {
        self.parsed_on_device = true;
        self
    }

    /// Checks the model and writes `$OUT_DIR/model.rs`. An error ends the build with its message.
    pub fn emit(&self) {
        println!("cargo::rerun-if-changed={}", self.path.display());
        if let Err(error) = self.try_emit() {
            // A message is a line each.
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
        }
    }

    /// The same, for build scripts that go on.
    ///
    /// # Errors
    /// What [`Build::facts`] says; `Outside` where this is no build script, `Io` where `OUT_DIR` cannot be written.
    pub fn try_emit(&self) -> Result<(), Error> {
        let folder = std::env::var_os("OUT_DIR").ok_or(Error::Outside("OUT_DIR"))?;
        self.write_to(Path::new(&folder))
    }

    /// Writes `model.rs` and the model beside it into another folder, for other ways of building.
    ///
    /// # Errors
    /// What [`Build::facts`] says; `Io` where it cannot be written.
    pub fn write_to(&self, folder: &Path) -> Result<(), Error> {
        let (file, facts) = self.checked()?;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|error| Error::io("writing", &path, &error))
        };
        write("model.mote", &file)?;
        write("model.rs", source::of(&facts, self.parsed_on_device).as_bytes())
    }

    /// What the model and its run need.
    ///
    /// # Errors
    /// `Io` where the file cannot be read; `Model` where it is damaged or of another version; `Run` where the model cannot be run so.
    pub fn facts(&self) -> Result<Facts, Error> {
        Ok(self.checked()?.1)
    }

    fn checked(&self) -> Result<(Vec<u8>, Facts), Error> {
        let file = std::fs::read(&self.path).map_err(|error| Error::io("reading", &self.path, &error))?;
        let facts = Facts::of(&self.path, &file, &self.run)?;
        Ok((file, facts))
    }
}
