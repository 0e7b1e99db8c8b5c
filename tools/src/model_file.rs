//! A model file in memory, checked once.

use crate::backend::footprint::Fit;
use crate::backend::predict::{Question, predict, predict_between};
use crate::backend::{Backend, OpenModel, Trace};
use crate::condition::Images;
use crate::emit::split::Split;
use crate::files::{Expected, Format, OutputFile, read_file, sha256};
use crate::images::Shape;
use crate::import::Checkpoint;
use crate::inspect::inspect;
use crate::report::{ReportData, html};
use crate::request::{Request, RunOptions};
use crate::validate::{FloatComparison, FloatDevice, Outcome, Validation, against, exactness};
use crate::{Error, ErrorKind};
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Model, ParseError};
use self_cell::self_cell;
use std::path::{Path, PathBuf};

/// Its offsets have 32 bits. One byte more than the file says of itself is read, so that a longer file is found.
const MODEL: Expected = Expected {
    what: "a model file",
    advice: "give the path of a model file",
    most_bytes: 1 << 32,
    head: |head| match head {
        [b'M', b'O', b'T', b'E', _, _, _, _, length @ ..] => {
            let length = length.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
            Ok(u64::from(length) + 1)
        }
        // The model's own check says so.
        _ => Ok(0),
    },
};

self_cell!(
    /// The bytes, and the model that borrows from them.
    struct Checked {
        owner: AlignedBytes,
        #[covariant]
        dependent: Model,
    }

    impl {Debug}
);

/// A model file. It exists only where every check of the file passed.
///
/// ```
/// use mote_tools::{Checkpoint, Conversion, Request, Scheme};
///
/// let converted = Conversion::new(Scheme::F16).convert(&Checkpoint::bundled()?)?;
/// let file = converted.file()?;
/// let images = file.sample(&Request { seed: 7, count: Some(2), run: mote_tools::RunOptions { steps: Some(2), ..Default::default() }, ..Request::default() })?;
/// assert_eq!(images.len(), 2);
/// assert_eq!(images[0].pixels.len(), file.shape().len());
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    checked: Checked,
}

impl ModelFile {
    /// Reads and checks the file `path`.
    ///
    /// # Errors
    /// Of kind `Input` where it cannot be read or is no model file of this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::checked(path, &read_file(path, &MODEL)?)
    }

    /// Checks the bytes of a model file. It has no path.
    ///
    /// # Errors
    /// As [`ModelFile::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::checked(Path::new(""), bytes)
    }

    fn checked(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let refused = |error: ParseError| {
            let failure = Error::coded(ErrorKind::Input, error);
            let failure = if path.as_os_str().is_empty() {
                failure
            } else {
                failure.about(path.display())
            };
            match error {
                ParseError::NotAModel => failure.help("give a file that `mote convert` wrote"),
                _ => failure.help("copy it again, or convert the checkpoint again"),
            }
        };
        Ok(Self {
            checked: Checked::try_new(AlignedBytes::copy_of(bytes), |memory| Model::parse(memory.bytes()))
                .map_err(refused)?,
            path: path.to_owned(),
        })
    }

    /// The model: header, operators, tensors, weights.
    #[must_use]
    pub fn model(&self) -> &Model<'_> {
        self.checked.borrow_dependent()
    }

    /// The file's bytes, aligned to 16.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.checked.borrow_owner().bytes()
    }

    /// Where it was read from; empty for a model that was not.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What backends run.
    #[must_use]
    pub fn opened(&self) -> OpenModel<'_> {
        OpenModel {
            model: self.model(),
            bytes: self.bytes(),
        }
    }

    /// Extents of its samples.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::of(self.model().header())
    }

    /// Extents of what its runs end in: its decoder's picture, or its sample.
    #[must_use]
    pub fn picture_shape(&self) -> Shape {
        Shape::of_picture(self.model())
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(self.bytes())
    }

    /// What the file says of where it came from; `null` where that is no JSON.
    #[must_use]
    pub fn provenance(&self) -> serde_json::Value {
        serde_json::from_slice(self.model().provenance()).unwrap_or_default()
    }

    /// Writes the file to `path`, whole or not at all.
    ///
    /// # Errors
    /// Of kind `Output`; of kind `Usage` where the name has another ending than `.mote`.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        OutputFile::prepare(path.as_ref(), Format::Model, &[])?.write(self.bytes())
    }

    /// Makes the images of `request` on this machine, in the order of their seeds. The same request gives the same bytes everywhere.
    ///
    /// # Errors
    /// Of kind `Usage` or `Refused`, see [`Request::sampling`].
    pub fn sample(&self, request: &Request) -> Result<Vec<Trace>, Error> {
        self.sample_on(Backend::Cpu, request, &|| ())
    }

    /// The same on any backend; `on_step` is called after each step.
    ///
    /// # Errors
    /// As [`ModelFile::sample`]; of kind `Unavailable` where the backend cannot run here.
    pub fn sample_on(
        &self,
        backend: Backend,
        request: &Request,
        on_step: &(dyn Fn() + Sync),
    ) -> Result<Vec<Trace>, Error> {
        let sampling = request.sampling(self.model())?;
        Ok(backend.run(self.opened(), &sampling, on_step)?)
    }

    /// Single network calls on this machine, for a sampler of the caller's own: see [`predict`](crate::backend::predict::predict).
    ///
    /// # Errors
    /// Of kind `Refused` for a question that is none of this model's.
    pub fn predict(&self, questions: &[Question]) -> Result<Vec<Vec<i32>>, Error> {
        predict(self.opened(), questions)
    }

    /// The same at any number between the training timesteps: see [`predict_between`](crate::backend::predict::predict_between).
    ///
    /// # Errors
    /// As [`ModelFile::predict`].
    pub fn predict_between(&self, questions: &[Question]) -> Result<Vec<Vec<i32>>, Error> {
        predict_between(self.opened(), questions)
    }

    /// The file for a product that samples in one way: it holds the steps of this run in place of the schedule.
    ///
    /// # Errors
    /// Of kind `Refused` where the model cannot be run so, or plans a run already.
    pub fn planned(&self, run: &RunOptions) -> Result<Self, Error> {
        let config = run.with_variance_of(self.model())?.config(self.model().header())?;
        Self::from_bytes(&crate::emit::planned::planned(self.bytes(), &config)?)
    }

    /// The file in two: what a core addresses, and the weights that a reader fetches in blocks.
    ///
    /// # Errors
    /// Of kind `Refused` for a file with a decoder.
    pub fn split(&self) -> Result<Split, Error> {
        Ok(crate::emit::split::split(self.bytes())?)
    }

    /// What it takes of a board, a chip or a described board, and whether it fits; an estimate, the same on every machine.
    #[must_use]
    pub fn fit(&self, board: impl Into<crate::target::Target>) -> Fit {
        Fit::of(&board.into(), self.model(), self.bytes().len(), false)
    }

    /// The same of every board.
    #[must_use]
    pub fn fits(&self) -> Vec<Fit> {
        Fit::of_all(self.model(), self.bytes().len(), false)
    }

    /// What it holds, and which boards hold it, as one object: that of `mote inspect --json`.
    #[must_use]
    pub fn inspect(&self) -> serde_json::Value {
        inspect(self)
    }

    /// A page about the file: operators, memory, boards. `command` is what it says it was made by.
    #[must_use]
    pub fn report(&self, command: &str) -> String {
        html(&ReportData::with_boards(self.opened(), command))
    }

    /// A few lines of HTML about the file, for notebooks: memory, boards, and samples that are made here.
    #[must_use]
    pub fn card(&self) -> String {
        crate::report::card(self)
    }

    /// Runs every backend of `validation` and compares their states bit by bit, step by step.
    ///
    /// # Errors
    /// As [`Request::sampling`]. A backend that differs or cannot run is no error: its outcome says so.
    pub fn validate(&self, validation: &Validation) -> Result<Vec<Outcome>, Error> {
        let runs = validation.runs(self.opened())?;
        Ok(exactness(self.opened(), &runs, &|_| ())?)
    }

    /// How far the images of `request`'s first `seeds` seeds are from those that the float network of `checkpoint` makes of the same noise.
    ///
    /// # Errors
    /// Of kind `Input` where `checkpoint` is another model's, of kind `Unavailable` where `device` cannot run here.
    pub fn compare(
        &self,
        checkpoint: &Checkpoint,
        request: &Request,
        seeds: usize,
        device: FloatDevice,
    ) -> Result<FloatComparison, Error> {
        device.available()?;
        let config = request.config(self.model())?;
        let (seeds, conditions) = (request.seeds(seeds), request.conditions(self.model(), seeds)?);
        let images = Images {
            seeds: &seeds,
            conditions: &conditions,
        };
        Ok(against(self.opened(), checkpoint, &config, images, device, &|| ())?)
    }
}
