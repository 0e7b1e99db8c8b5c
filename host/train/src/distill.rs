//! What a student of fewer steps is taught: where several steps of its teacher lead, as one step of its own.
//!
//! Progressive distillation (Salimans and Ho, "Progressive distillation for fast sampling of diffusion models", ICLR 2022, algorithm 2).
//! The student takes N DDIM steps where the teacher takes k N, k = 2 in the paper. From `x` at the beginning of a student's step the
//! teacher goes to `x'` in k steps; the clean sample that takes the student there in one is (their equation 12)
//!
//! ```text
//! x~0 = (x' - (n' / n) x) / (s' - s n' / n)         s = sqrt(ab), n = sqrt(1 - ab)
//! v~  = (s x - x~0) / n
//! ```
//!
//! and the loss is the mean square of the velocity's error, which weighs that of x0 by SNR + 1 (their section 4).

use mote_graph::schedule::{Precision, PreviousRule};
use mote_graph::schedule::{Prediction, Schedule, ScheduleError, SchedulerConfig, Spacing};

/// A step of the student, and those of the teacher in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// The teacher's timesteps, noisiest first; the student's is the first.
    pub timesteps: Vec<usize>,
    /// `(sqrt(ab), sqrt(1 - ab))` at each, and at the end of the last.
    levels: Vec<[f64; 2]>,
}

/// The steps of a student.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// Noisiest first.
    pub rungs: Vec<Rung>,
    prediction: Prediction,
    clip: Option<f64>,
}

/// Why there is no ladder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LadderError {
    /// The teacher's schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Steps of the teacher that do not fall on those of the student.
    #[error("a teacher's {teacher} steps cannot be made {student}: give a multiple, at least twice as many")]
    Steps {
        /// The teacher's.
        teacher: usize,
        /// The student's.
        student: usize,
    },
}

impl Ladder {
    /// Of a student of `student` steps, whose teacher samples by `config` in `teacher` steps, both spread from the last timestep down.
    ///
    /// # Errors
    /// `Steps` where `teacher` is no multiple of `student`; those of the schedule.
    pub fn new(config: &SchedulerConfig, teacher: usize, student: usize) -> Result<Self, LadderError> {
        let each = teacher.checked_div(student).unwrap_or(0);
        if each < 2 || each * student != teacher {
            return Err(LadderError::Steps { teacher, student });
        }
        let trailing = SchedulerConfig {
            timestep_spacing: Spacing::Trailing,
            ..config.clone()
        };
        let schedule = Schedule::new(&trailing, Precision::F64)?;
        let steps = trailing.steps(teacher, PreviousRule::List)?;
        let level = |ab: f64| [libm::sqrt(ab), libm::sqrt(1.0 - ab)];
        let rung = |steps: &[mote_graph::schedule::Transition]| {
            let (first, last) = (steps.iter().map(|s| schedule.alphas(*s).0), steps.last());
            // Ends at the clean sample, whatever the checkpoint's own last alpha is.
            let end = last
                .and_then(|s| s.previous)
                .map_or(1.0, |t| schedule.alphas_cumprod[t]);
            Rung {
                timesteps: steps.iter().map(|s| s.timestep).collect(),
                levels: first.chain([end]).map(level).collect(),
            }
        };
        let ladder = Self {
            rungs: steps.chunks_exact(each).map(rung).collect(),
            prediction: config.prediction_type,
            clip: config.clip_sample.then_some(config.clip_sample_range),
        };
        let dark = |rung: &&Rung| rung.levels[0][0] == 0.0;
        match ladder.rungs.iter().find(dark) {
            Some(rung) if ladder.prediction == Prediction::Epsilon => {
                Err(LadderError::Schedule(ScheduleError::Singular {
                    timestep: rung.timesteps[0],
                    alpha: 0.0,
                    prediction: ladder.prediction.name(),
                }))
            }
            _ => Ok(ladder),
        }
    }

    /// Teacher's steps in each of the student's.
    #[must_use]
    pub fn each(&self) -> usize {
        self.rungs.first().map_or(0, |rung| rung.timesteps.len())
    }
}

impl Ladder {
    /// The teacher's step `step` of rung `rung`, DDIM with eta 0: moves `x` by the teacher's output.
    pub fn climb(&self, rung: usize, step: usize, x: &mut [f32], output: &[f32]) {
        let levels = &self.rungs[rung].levels;
        let ([s, n], [s_next, n_next]) = (levels[step], levels[step + 1]);
        for (x, out) in x.iter_mut().zip(output) {
            let (now, out) = (f64::from(*x), f64::from(*out));
            let (x0, eps) = match self.prediction {
                Prediction::Epsilon => ((now - n * out) / s, out),
                Prediction::Velocity => (s * now - n * out, n * now + s * out),
                Prediction::Sample => (out, (now - s * out) / n),
            };
            // As the library clips: the noise stays what was predicted.
            let x0 = self.clip.map_or(x0, |range| x0.clamp(-range, range));
            *x = (s_next * x0 + n_next * eps) as f32;
        }
    }

    /// The velocity that takes a student from `x` to where the teacher came, which `target` holds and is replaced in.
    pub fn velocity(&self, rung: usize, x: &[f32], target: &mut [f32]) {
        let levels = &self.rungs[rung].levels;
        let ([s, n], [s_next, n_next]) = (levels[0], levels[levels.len() - 1]);
        let share = s_next - s * n_next / n;
        for (target, x) in target.iter_mut().zip(x) {
            let x = f64::from(*x);
            let clean = (f64::from(*target) - n_next / n * x) / share;
            *target = ((s * x - clean) / n) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rest: &str) -> SchedulerConfig {
        SchedulerConfig::parse("test", &format!(r#"{{"_class_name": "DDIMScheduler"{rest}}}"#)).unwrap()
    }

    #[test]
    fn steps_are_shared_and_others_refused() {
        let ladder = Ladder::new(&config(""), 8, 4).unwrap();
        let timesteps: Vec<Vec<usize>> = ladder.rungs.iter().map(|rung| rung.timesteps.clone()).collect();
        assert_eq!(timesteps, [[999, 874], [749, 624], [499, 374], [249, 124]]);
        assert_eq!(ladder.rungs[3].levels[2], [1.0, 0.0]);
        for (teacher, student) in [(8, 8), (7, 2), (4, 8), (0, 0), (8, 0)] {
            assert_eq!(
                Ladder::new(&config(""), teacher, student),
                Err(LadderError::Steps { teacher, student })
            );
        }
        let zero = Ladder::new(&config(r#", "rescale_betas_zero_snr": true"#), 4, 2);
        assert!(matches!(
            zero,
            Err(LadderError::Schedule(ScheduleError::Singular { .. }))
        ));
    }

    /// A student that says what it is taught goes in one DDIM step where the teacher went in several.
    #[test]
    fn a_perfect_student_ends_where_its_teacher_does() {
        for (prediction, rest) in [
            ("epsilon", ""),
            ("v_prediction", ""),
            ("sample", r#", "clip_sample": false"#),
        ] {
            let config = config(&format!(r#", "prediction_type": "{prediction}"{rest}"#));
            let ladder = Ladder::new(&config, 9, 3).unwrap();
            for (i, rung) in ladder.rungs.iter().enumerate() {
                let start = [0.5f32, -1.25, 2.0];
                let mut taught = start.to_vec();
                for step in 0..ladder.each() {
                    let output: Vec<f32> = taught.iter().map(|x| 0.6 * x + 0.1).collect();
                    ladder.climb(i, step, &mut taught, &output);
                }
                let mut velocity = taught.clone();
                ladder.velocity(i, &start, &mut velocity);
                let ([s, n], [s_next, n_next]) = (rung.levels[0], rung.levels[3]);
                for ((x, v), end) in start.iter().zip(&velocity).zip(&taught) {
                    let (x, v) = (f64::from(*x), f64::from(*v));
                    let moved = s_next * (s * x - n * v) + n_next * (n * x + s * v);
                    assert!(
                        (moved - f64::from(*end)).abs() < 2e-5,
                        "{prediction} {i}: {moved}, not {end}"
                    );
                }
            }
        }
    }
}
