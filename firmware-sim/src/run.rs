//! Runs an image: starts QEMU, reads what comes, and decides whether the run held.

use std::time::Instant;

use crate::cycles::{Kind, Traced, Tracer};
use crate::elf::Elf;
use crate::error::SimError;
use crate::frames::{Frames, Level, LogLine};
use crate::image::Image;
use crate::qemu::{self, End, Limits};
use crate::report::{Collector, RunReport};
use crate::request::{Observe, RunRequest};

impl Image {
    /// Runs the image; as many times as the seeds need command lines.
    ///
    /// # Errors
    /// `Timeout`; `Failed` where the firmware refused, panicked, faulted or overflowed its stack; `Report` where it ended
    /// well but what it said is not complete; `Missing` without QEMU; `Request`.
    pub fn run(&self, request: &RunRequest) -> Result<RunReport, SimError> {
        self.run_with(request, &mut |_| ())
    }

    /// As [`Image::run`], and calls `on_line` with each line that the firmware writes, as it comes: log, and results,
    /// which start with `@`.
    ///
    /// # Errors
    /// As [`Image::run`].
    pub fn run_with(&self, request: &RunRequest, on_line: &mut dyn FnMut(&LogLine)) -> Result<RunReport, SimError> {
        if request.trusted && !self.is_parsed() {
            return Err(SimError::Request(
                "the model is not one that this runtime has accepted, so the firmware must check it: leave `trusted` out".into(),
            ));
        }
        let began = Instant::now();
        let mut collector = Collector::new(self.board(), request.observe == Observe::Steps);
        let mut stack_bytes = 0;
        for arguments in request.command_lines()? {
            let limits = Limits {
                time: request.limit.saturating_sub(began.elapsed()),
                bytes: request.most_output_bytes(self.sizes().arena_bytes),
            };
            self.once(&arguments, limits, request, &mut collector, on_line)?;
            stack_bytes = stack_bytes.max(self.checked_stack(&mut collector)?);
        }
        if request.drill.is_none() {
            self.check_complete(request, &collector)?;
        }
        Ok(RunReport {
            board: self.board().name,
            compiler: self.compiler().to_owned(),
            sizes: self.sizes(),
            stack_bytes,
            instruction_granularity: self.board().clock.granularity(),
            parse_instructions: collector.parse_instructions,
            images: collector.images,
            calibration: collector.calibration,
            log: collector.log,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Runs the image for the request's first seed, and counts the cycles of every instruction, start and opening of the model included, as a
    /// core of this kind takes them. `None` where QEMU's log ended too soon.
    ///
    /// # Errors
    /// `Failed` where the firmware did not end well; `Timeout`, `Missing`, `Request`.
    pub fn trace(&self, request: &RunRequest, kind: Kind) -> Result<Option<Traced>, SimError> {
        let lines = request.command_lines()?;
        let Some(arguments) = lines.first() else {
            return Ok(None);
        };
        let limits = Limits {
            time: request.limit,
            bytes: request.most_output_bytes(self.sizes().arena_bytes),
        };
        let board = self.board();
        let (end, traced) = qemu::run_traced(board, &self.path(), arguments, limits, Tracer::new(kind), &mut |_| ())?;
        match end {
            End::Exit { success: true, .. } => Ok(traced),
            End::TimedOut => Err(SimError::Timeout {
                board: board.name,
                seconds: limits.time.as_secs_f64(),
                log: String::new(),
            }),
            End::Exit { stderr, .. } | End::Aborted { stderr } => Err(SimError::Failed {
                board: board.name,
                why: abort_reason(&stderr),
                log: String::new(),
            }),
            End::Flooded => Err(self.bad_report("more than a run writes".into())),
        }
    }

    fn once(
        &self,
        arguments: &[String],
        limits: Limits,
        request: &RunRequest,
        collector: &mut Collector,
        on_line: &mut dyn FnMut(&LogLine),
    ) -> Result<(), SimError> {
        let frames = Frames::of(self.elf()).map_err(|what| self.bad_report(what))?;
        let mut decoder = frames.decoder();
        let mut not_understood = None;
        let mut heard = false;
        let end = qemu::run(self.board(), &self.path(), arguments, limits, &mut |bytes| {
            decoder.feed(bytes, &mut |line| {
                heard = true;
                on_line(&line);
                if let Err(what) = collector.take(line) {
                    not_understood.get_or_insert(what);
                }
            });
        })?;
        match end {
            End::Exit { success: true, .. } => {}
            // QEMU exits with the same status where the firmware fails and where it cannot start.
            End::Exit { success: false, stderr } if !heard => return Err(self.failed(abort_reason(&stderr), collector)),
            End::Exit { success: false, .. } => return Err(self.failed(self.reason(collector), collector)),
            End::Aborted { stderr } => return Err(self.failed(abort_reason(&stderr), collector)),
            End::Flooded => {
                let why = format!("it wrote more than {} bytes, which this work cannot", limits.bytes);
                return Err(self.failed(why, collector));
            }
            End::TimedOut => {
                let (board, seconds) = (self.board().name, request.limit.as_secs_f64());
                return Err(SimError::Timeout {
                    board,
                    seconds,
                    log: collector.last_lines(),
                });
            }
        }
        match not_understood {
            Some(what) => Err(self.bad_report(what)),
            None if decoder.malformed > 0 => Err(self.bad_report(format!("{} broken log frames", decoder.malformed))),
            None => Ok(()),
        }
    }

    /// The high-water mark, if the stack sufficed.
    fn checked_stack(&self, collector: &mut Collector) -> Result<u64, SimError> {
        let (used, total) = collector
            .stack
            .take()
            .ok_or_else(|| self.bad_report("no stack line".into()))?;
        if used >= total {
            return Err(self.failed(format!("the stack's {total} bytes were used up"), collector));
        }
        Ok(used)
    }

    fn check_complete(&self, request: &RunRequest, collector: &Collector) -> Result<(), SimError> {
        let seeds: Vec<u64> = collector.images.iter().map(|image| image.seed).collect();
        if seeds != request.seeds {
            return Err(self.bad_report(format!("images of seeds {seeds:?}, asked for {:?}", request.seeds)));
        }
        match collector
            .images
            .iter()
            .find(|image| image.steps.len() != request.steps() as usize)
        {
            Some(image) => {
                let (steps, seed) = (image.steps.len(), image.seed);
                Err(self.bad_report(format!("{steps} steps of seed {seed}, asked for {}", request.steps())))
            }
            None => Ok(()),
        }
    }

    /// The error that the firmware logged last, or where it faulted.
    fn reason(&self, collector: &Collector) -> String {
        if let Some(address) = collector.fault {
            let function = Elf::parse(self.elf()).ok().and_then(|elf| elf.function(address));
            return format!(
                "fault at {address:#x} in {}",
                function.unwrap_or_else(|| "no function".into())
            );
        }
        let error = collector.log.iter().rev().find(|line| line.level == Level::Error);
        error.map_or_else(
            || "it exited with failure and logged no error".into(),
            |line| line.text.clone(),
        )
    }

    fn failed(&self, why: String, collector: &Collector) -> SimError {
        SimError::Failed {
            board: self.board().name,
            why,
            log: collector.last_lines(),
        }
    }

    fn bad_report(&self, what: String) -> SimError {
        SimError::Report {
            board: self.board().name,
            what,
        }
    }
}

/// QEMU aborts when a fault cannot be handled; after a stack overflow the handler has no stack either.
fn abort_reason(stderr: &str) -> String {
    let lockup = stderr.lines().find(|line| line.contains("Lockup"));
    match lockup {
        Some(line) => format!("the core locked up, most likely by a stack overflow ({})", line.trim()),
        None => format!("QEMU stopped: {stderr}"),
    }
}
