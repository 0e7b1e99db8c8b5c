//! A run that is stopped, saved and resumed gives the same bits; a damaged or foreign snapshot is refused.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::{Arena, Config, Method, Model, RunError, Sampler, Start, Step};
use mote_tests::running::finish;
use mote_tests::synthetic::{self, Form};

const STEPS: u32 = 7;

fn config(model: &Model<'_>) -> Config {
    Config {
        seed: 3,
        class: Some(0),
        guidance_q16: Some(2 << 16),
        eta_q16: 1 << 15,
        ..Config::of(model.header(), STEPS)
    }
}

/// The snapshot after `after` steps.
fn snapshot(model: &Model<'_>, after: u32) -> Vec<u8> {
    snapshot_of(model, &config(model), None, after)
}

/// The same of a run under `config`, with the known image.
fn snapshot_of(model: &Model<'_>, config: &Config, known: Option<&[i32]>, after: u32) -> Vec<u8> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(model, &mut arena, config, &Start::Seed).expect("the run is valid");
    if let Some(known) = known {
        run.inpaint(known).expect("it has the sample's length");
    }
    for _ in 0..after {
        run.step().expect("the step runs");
    }
    let mut saved = vec![0xAA; Sampler::snapshot_bytes(model, config)];
    let len = run.snapshot(&mut saved).expect("there is room");
    saved.truncate(len);
    saved
}

/// Steps and state from a snapshot to the end, in memory that holds other data.
fn resume(model: &Model<'_>, saved: &[u8]) -> Result<(Vec<Step>, Vec<i32>), RunError> {
    resume_known(model, saved, None)
}

/// The same with a known image.
fn resume_known(model: &Model<'_>, saved: &[u8], known: Option<&[i32]>) -> Result<(Vec<Step>, Vec<i32>), RunError> {
    // Enough for any: guidance and a held sample.
    let largest = Config {
        method: Method::Heun,
        ..config(model)
    };
    let mut memory = AlignedBytes::for_run(model, &largest);
    memory.bytes_mut().fill(0x5A);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut run = Sampler::resume(model, &mut arena, saved)?;
    if let Some(known) = known {
        run.inpaint(known)?;
    }
    let mut steps = Vec::new();
    while let Some(step) = run.step()? {
        steps.push(step);
    }
    Ok((steps, run.state().to_vec()))
}

fn each(check: impl Fn(&Model<'_>)) {
    for form in Form::ALL {
        let memory = AlignedBytes::copy_of(&synthetic::model(form));
        check(&Model::parse(memory.bytes()).expect("the model is valid"));
    }
}

#[test]
fn resuming_after_any_step_gives_the_same_bits() {
    each(|model| {
        let whole = finish(model, &config(model), &Start::Seed).expect("the run is valid");
        for after in 0..=STEPS {
            let (steps, state) = resume(model, &snapshot(model, after)).expect("the snapshot is genuine");
            assert_eq!(steps, whole.steps[after as usize..]);
            assert_eq!(state, whole.state);
        }
    });
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_refused() {
    each(|model| {
        let mut saved = snapshot(model, 3);
        for bit in 0..saved.len() * 8 {
            saved[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(resume(model, &saved), Err(RunError::Snapshot), "bit {bit}");
            saved[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(resume(model, &saved).is_ok());
    });
}

#[test]
fn a_snapshot_of_another_length_or_model_is_refused() {
    each(|model| {
        let saved = snapshot(model, 2);
        for len in 0..saved.len() {
            assert_eq!(resume(model, &saved[..len]), Err(RunError::Snapshot), "cut at {len}");
        }
        assert_eq!(
            resume(model, &[saved.as_slice(), &[0]].concat()),
            Err(RunError::Snapshot)
        );
    });
    let files = [Form::W8A8, Form::W8A16].map(|form| AlignedBytes::copy_of(&synthetic::model(form)));
    let [a, b] = files
        .each_ref()
        .map(|file| Model::parse(file.bytes()).expect("the model is valid"));
    assert_eq!(resume(&b, &snapshot(&a, 2)), Err(RunError::Snapshot));
}

#[test]
fn genuine_checksums_do_not_make_wrong_contents_pass() {
    each(|model| {
        let saved = snapshot(model, 2);
        let resealed = |at: usize, bytes: &[u8]| {
            let mut forged = saved[..saved.len() - 4].to_vec();
            forged[at..at + bytes.len()].copy_from_slice(bytes);
            let crc = mote_runtime::internals::model::crc::crc32(&forged);
            forged.extend(crc.to_le_bytes());
            resume(model, &forged)
        };
        assert!(resealed(0, b"MSN2").is_ok());
        assert_eq!(resealed(0, b"MSNP"), Err(RunError::SnapshotVersion));
        assert_eq!(resealed(0, b"MSNQ"), Err(RunError::Snapshot));
        assert_eq!(resealed(8, &(STEPS + 1).to_le_bytes()), Err(RunError::Snapshot));
        assert_eq!(resealed(12, &u32::MAX.to_le_bytes()), Err(RunError::Snapshot));
        assert_eq!(resealed(12, &0u32.to_le_bytes()), Err(RunError::Snapshot));
        // The configuration begins with the number of steps.
        assert_eq!(
            resealed(16, &[0]),
            Err(RunError::Steps {
                found: 0,
                max: synthetic::TRAIN_STEPS
            })
        );
    });
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    each(|model| {
        let mut memory = AlignedBytes::for_run(model, &config(model));
        let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
        let run = Sampler::new(model, &mut arena, &config(model), &Start::Seed).expect("the run is valid");
        let needed = snapshot(model, 0).len();
        for found in [0, 3, 16, needed - 1] {
            assert!(
                matches!(run.snapshot(&mut vec![0; found]), Err(RunError::Length { .. })),
                "{found}"
            );
        }
        assert_eq!(run.snapshot(&mut vec![0; needed]), Ok(needed));
    });
}

#[test]
fn every_sampler_resumes_to_the_same_bits() {
    each(|model| {
        let known: Vec<i32> = (0..16).map(|i| if i % 3 == 0 { i << 18 } else { UNKNOWN }).collect();
        let other: Vec<i32> = (0..16).map(|i| if i % 3 == 0 { i << 19 } else { UNKNOWN }).collect();
        for method in [
            Method::Ddpm(Variance::Small),
            Method::Ddpm(Variance::Large),
            Method::DpmSolver2M,
            Method::Heun,
        ] {
            let config = Config {
                method,
                eta_q16: 0,
                ..config(model)
            };
            for known in [None, Some(known.as_slice())] {
                let whole =
                    resume_known(model, &snapshot_of(model, &config, known, 0), known).expect("the run is valid");
                assert_eq!(whole.0.len(), STEPS as usize);
                for after in 1..=STEPS {
                    let saved = snapshot_of(model, &config, known, after);
                    let (steps, state) = resume_known(model, &saved, known).expect("the snapshot is genuine");
                    assert_eq!(
                        (steps.as_slice(), &state),
                        (&whole.0[after as usize..], &whole.1),
                        "{method:?} {after}"
                    );
                }
            }
            let saved = snapshot_of(model, &config, Some(&known), 3);
            assert_eq!(resume(model, &saved), Err(RunError::KnownImage), "none given");
            assert_eq!(
                resume_known(model, &saved, Some(&other)),
                Err(RunError::KnownImage),
                "another given"
            );
        }
    });
}
