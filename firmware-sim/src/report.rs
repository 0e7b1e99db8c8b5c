//! What a run reported, rebuilt from the firmware's lines.

use crate::boards::{Board, Clock};
use crate::elf::Sizes;
use crate::frames::LogLine;

/// One denoising step.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StepRecord {
    /// Number of the step, from 0.
    pub index: u32,
    /// The training timestep that it starts from.
    pub t: u32,
    /// Digest of the sampler's state after it.
    pub digest: u64,
    /// Instructions of the step; with an observer they include its work, so none are given.
    pub instructions: Option<u64>,
}

/// One operator of one step.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OpRecord {
    /// Number of the step, from 0.
    pub step: u32,
    /// Number of the operator in the model, from 0; with guidance each operator runs twice a step.
    pub op: u32,
    /// Digest of its output, under `Observe::OpDigests`.
    pub digest: Option<u64>,
    /// Its instructions, under `Observe::OpInstructions`.
    pub instructions: Option<u64>,
}

/// One image.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageRecord {
    /// The seed that it came from.
    pub seed: u64,
    /// Instructions to start the run: the first noise.
    pub start_instructions: u64,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
    /// Operators of its steps, in order, if they were asked for.
    pub ops: Vec<OpRecord>,
    /// Its pixels, if they were asked for: (row, col, channel).
    pub pixels: Vec<u8>,
    /// The final state, Q24, if it was asked for: (row, col, channel).
    pub state: Vec<i32>,
    /// Digest of the picture that the model's decoder made, where it has one: its pixels are then [`ImageRecord::pixels`].
    pub picture: Option<u64>,
    /// Instructions of the decoder, pixels sent included.
    pub picture_instructions: u64,
}

/// What a run reported.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunReport {
    /// The board's name.
    pub board: &'static str,
    /// What compiled the firmware.
    pub compiler: String,
    /// What the image takes.
    pub sizes: Sizes,
    /// High-water mark of the stack, in bytes, over the whole run: the lowest word that no longer holds the paint that
    /// start-up code put there.
    pub stack_bytes: u64,
    /// Instructions a tick of the board's clock: every count is right to within one of these.
    pub instruction_granularity: f64,
    /// Instructions to check the model file, once after reset.
    pub parse_instructions: u64,
    /// The images, in the order of the seeds.
    pub images: Vec<ImageRecord>,
    /// Measured and true instructions of the calibration loop, after `Drill::Calibrate`.
    pub calibration: Option<(u64, u64)>,
    /// What the firmware logged besides.
    pub log: Vec<LogLine>,
    /// Host seconds that QEMU took.
    pub seconds: f64,
}

/// Takes lines until a run ends.
#[derive(Debug)]
pub(crate) struct Collector {
    clock: Clock,
    timed_steps: bool,
    pub images: Vec<ImageRecord>,
    pub log: Vec<LogLine>,
    pub stack: Option<(u64, u64)>,
    pub parse_instructions: u64,
    pub calibration: Option<(u64, u64)>,
    /// Program counter of a fault.
    pub fault: Option<u64>,
}

impl Collector {
    pub fn new(board: &Board, timed_steps: bool) -> Self {
        Self {
            clock: board.clock,
            timed_steps,
            images: Vec::new(),
            log: Vec::new(),
            stack: None,
            parse_instructions: 0,
            calibration: None,
            fault: None,
        }
    }

    /// Takes a line: one that starts with `@` is a result, any other is kept as log. The error names the line.
    pub fn take(&mut self, line: LogLine) -> Result<(), String> {
        match line.text.strip_prefix('@') {
            Some(result) => self
                .result(result)
                .ok_or_else(|| format!("result line not understood: {}", line.text)),
            None => {
                self.log.push(line);
                Ok(())
            }
        }
    }

    fn result(&mut self, text: &str) -> Option<()> {
        let (word, rest) = text.split_once(' ')?;
        if let "pixels" | "state" = word {
            return self.bytes(word, rest);
        }
        let numbers: Vec<u64> = rest
            .split(' ')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let instructions = |ticks| self.clock.instructions(ticks);
        match (word, numbers.as_slice()) {
            ("model", &[ticks]) => self.parse_instructions = instructions(ticks),
            ("start", &[seed, ticks]) => {
                let start_instructions = instructions(ticks);
                self.images.push(ImageRecord {
                    seed,
                    start_instructions,
                    ..ImageRecord::default()
                });
            }
            ("step", &[index, t, digest, ticks]) => {
                let instructions = self.timed_steps.then(|| instructions(ticks));
                let record = StepRecord {
                    index: index as u32,
                    t: t as u32,
                    digest,
                    instructions,
                };
                self.images.last_mut()?.steps.push(record);
            }
            ("digest", &[op, digest]) => self.op(op, Some(digest), None)?,
            ("ticks", &[op, ticks]) => self.op(op, None, Some(instructions(ticks)))?,
            ("picture", &[digest, ticks]) => {
                let instructions = instructions(ticks);
                let image = self.images.last_mut()?;
                (image.picture, image.picture_instructions) = (Some(digest), instructions);
            }
            ("stack", &[used, total]) => self.stack = Some((used, total)),
            ("calibrate", &[ticks, truth]) => self.calibration = Some((instructions(ticks), truth)),
            ("fault", &[address]) => self.fault = Some(address),
            _ => return None,
        }
        Some(())
    }

    /// An operator's line comes before the line of its step.
    fn op(&mut self, op: u64, digest: Option<u64>, instructions: Option<u64>) -> Option<()> {
        let image = self.images.last_mut()?;
        let step = image.steps.len() as u32;
        image.ops.push(OpRecord {
            step,
            op: op as u32,
            digest,
            instructions,
        });
        Some(())
    }

    /// `[0a, ff, ...]`, appended to what came before.
    fn bytes(&mut self, word: &str, list: &str) -> Option<()> {
        let list = list.strip_prefix('[')?.strip_suffix(']')?;
        let bytes: Vec<u8> = list
            .split(", ")
            .map(|byte| u8::from_str_radix(byte.trim(), 16).ok())
            .collect::<Option<_>>()?;
        let image = self.images.last_mut()?;
        if word == "pixels" {
            image.pixels.extend(bytes);
        } else {
            let words = bytes.chunks_exact(4);
            words.remainder().is_empty().then_some(())?;
            image
                .state
                .extend(words.map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]])));
        }
        Some(())
    }

    /// The last log lines, one a line.
    pub fn last_lines(&self) -> String {
        let first = self.log.len().saturating_sub(8);
        let lines: Vec<String> = self.log[first..].iter().map(|line| format!("  {line}")).collect();
        if lines.is_empty() {
            "  (none)".into()
        } else {
            lines.join("\n")
        }
    }
}
