//! Files that plan their run: every step has the bits of the file that it was planned from, anything else is refused, and so is a row
//! that no run has.

use mote_engine::Engine;
use mote_engine::memory::AlignedBytes;
use mote_oracle::Oracle;
use mote_runtime::internals::model::plan::StoredRow;
use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::rows::Rows;
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::{
    Arena, Config, Feature, Method, Model, Network, ParseError, Portable, RunError, Sampler, Section, Start, Step,
    Unobserved,
};
use mote_tests::chains;
use mote_tests::checkpoints::{converted, digits};
use mote_tests::parts::{Parts, SCHEDULE};
use mote_tests::running::METHODS;
use mote_tests::synthetic::{self, Form};
use mote_tools::backend::oracle::{request, start as start_of};
use mote_tools::emit::planned::{PlanError, planned};
use mote_tools::quantize::scheme::Scheme;

const LEN: usize = 16;
const STEPS: u32 = 6;

/// A file, and the file that plans `config` of it.
struct Pair {
    config: Config,
    free: AlignedBytes,
    planned: AlignedBytes,
}

impl Pair {
    fn of(file: &[u8], config: impl Fn(&Model<'_>) -> Config) -> Self {
        let free = AlignedBytes::copy_of(file);
        let config = config(&Model::parse(free.bytes()).expect("a valid model"));
        let planned = planned(file, &config).expect("the run can be planned");
        let planned = AlignedBytes::copy_of(&planned);
        Self { config, free, planned }
    }

    fn models(&self) -> [Model<'_>; 2] {
        [&self.free, &self.planned].map(|memory| Model::parse(memory.bytes()).expect("a valid model"))
    }
}

/// Every sampler, with noise and without, every clipping and spacing.
fn configs(model: &Model<'_>) -> Vec<Config> {
    let spacings = [
        Spacing::Leading,
        Spacing::Trailing,
        Spacing::Linspace,
        Spacing::Quadratic,
    ];
    let each = METHODS.into_iter().flat_map(|method| [(method, 0), (method, 1 << 15)]);
    let each = each.filter(|(method, eta_q16)| *method == Method::Ddim || *eta_q16 == 0);
    let config = |(i, (method, eta_q16)): (usize, (Method, u32))| Config {
        method,
        eta_q16,
        seed: 11,
        class: Some(1),
        spacing: spacings[i % 4],
        prev: if i % 2 == 1 && method != Method::Heun {
            PrevRule::Diffusers
        } else {
            PrevRule::List
        },
        clip: [Clip::Off, Clip::Stock, Clip::Rederived][i % 3],
        ..Config::of(model.header(), STEPS)
    };
    each.enumerate().map(config).collect()
}

/// Every pair of the synthetic model in this number format.
fn pairs(form: Form) -> Vec<Pair> {
    let file = synthetic::model(form);
    let memory = AlignedBytes::copy_of(&file);
    let configs = configs(&Model::parse(memory.bytes()).expect("a valid model"));
    configs.into_iter().map(|config| Pair::of(&file, |_| config)).collect()
}

/// Steps and final state of a run by `network`.
fn run(
    model: &Model<'_>,
    config: &Config,
    start: &Start<'_>,
    known: Option<&[i32]>,
    network: &mut impl Network,
) -> Result<(Vec<Step>, Vec<i32>), RunError> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut run = Sampler::new(model, &mut arena, config, start)?;
    if let Some(known) = known {
        run.inpaint(known)?;
    }
    let mut steps = Vec::new();
    while let Some(step) = run.step_by(network, &mut Unobserved)? {
        steps.push(step);
    }
    Ok((steps, run.state().to_vec()))
}

fn portable(
    model: &Model<'_>,
    config: &Config,
    start: &Start<'_>,
    known: Option<&[i32]>,
) -> Result<(Vec<Step>, Vec<i32>), RunError> {
    run(model, config, start, known, &mut Portable)
}

fn image() -> Vec<i32> {
    (0..LEN as i32).map(|i| (i - 8) << 20).collect()
}

fn half_known() -> Vec<i32> {
    let some = |(i, v): (usize, i32)| if i % 3 == 0 { UNKNOWN } else { v };
    image().into_iter().enumerate().map(some).collect()
}

#[test]
fn a_planned_run_has_the_bits_of_the_run() {
    let (image, known) = (image(), half_known());
    for form in Form::ALL {
        for pair in pairs(form) {
            let [free, planned] = pair.models();
            let part = Start::Between {
                second: 5,
                part_q16: 20_000,
            };
            let noise = Start::Noise(&image);
            for guidance_q16 in [None, Some(3 << 16)] {
                let config = Config {
                    guidance_q16,
                    ..pair.config
                };
                for (start, known) in [
                    (Start::Seed, None),
                    (noise, None),
                    (part, None),
                    (Start::Seed, Some(&known[..])),
                ] {
                    let expected = portable(&free, &config, &start, known);
                    assert_eq!(expected.as_ref().map(|(steps, _)| steps.len()), Ok(STEPS as usize));
                    assert_eq!(
                        portable(&planned, &config, &start, known),
                        expected,
                        "{form:?} {config:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_engine_and_the_oracle_read_a_plan_alike() {
    let (image, known) = (image(), half_known());
    let half = Start::Image {
        image_q24: &image,
        strength_q16: 1 << 15,
    };
    for form in [Form::W8A8, Form::F16] {
        for pair in pairs(form) {
            let [free, planned] = pair.models();
            let engine = Engine::prepare(&planned);
            let oracle = Oracle::new(pair.planned.bytes()).expect("a checked model");
            let follows = pair.config.method == Method::DpmSolver2M;
            for (start, known) in [(Start::Seed, Some(&known[..])), (half, None)] {
                let expected = portable(&free, &pair.config, &start, known).expect("a valid run");
                let mut steps = Vec::new();
                let last = oracle.run_known(&request(&pair.config), &start_of(&start), known, &mut |step| {
                    steps.push((step.index, step.timestep, step.digest));
                });
                let engine = run(&planned, &pair.config, &start, known, &mut engine.worker());
                if follows && matches!(start, Start::Image { .. }) {
                    assert_eq!(engine, Err(RunError::PlannedStart));
                    assert!(last.is_err());
                    continue;
                }
                let each = expected.0.iter().map(|step| (step.index, step.timestep, step.digest));
                assert_eq!(steps, each.collect::<Vec<_>>(), "{form:?} {:?}", pair.config);
                assert_eq!(last, Ok(expected.1.clone()));
                assert_eq!(engine, Ok(expected));
            }
        }
    }
}

#[test]
fn a_start_from_an_image_skips_the_rows_of_its_steps() {
    let image = image();
    for pair in pairs(Form::Mixed) {
        let [free, planned] = pair.models();
        for strength_q16 in [0, 1 << 14, 40_000, 1 << 16] {
            let start = Start::Image {
                image_q24: &image,
                strength_q16,
            };
            let expected = portable(&free, &pair.config, &start, None);
            let skips = expected
                .as_ref()
                .is_ok_and(|(steps, _)| !steps.is_empty() && steps.len() < STEPS as usize);
            let expected = if skips && pair.config.method == Method::DpmSolver2M {
                Err(RunError::PlannedStart)
            } else {
                expected
            };
            assert_eq!(portable(&planned, &pair.config, &start, None), expected);
        }
    }
}

/// A trained network, with the sampler that keeps a tensor from one step to the next.
#[test]
fn a_planned_run_is_saved_and_resumed() {
    let file = converted(&digits(), Scheme::W8A8).emitted.bytes;
    for method in METHODS {
        let pair = Pair::of(&file, |model| Config {
            method,
            ..Config::of(model.header(), 5)
        });
        let [free, planned] = pair.models();
        let (expected, state) = portable(&free, &pair.config, &Start::Seed, None).expect("a valid run");
        let mut memory = AlignedBytes::for_run(&planned, &pair.config);
        let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
        let mut run = Sampler::new(&planned, &mut arena, &pair.config, &Start::Seed).expect("a valid run");
        for _ in 0..2 {
            run.step().expect("a step");
        }
        let mut saved = vec![0; Sampler::snapshot_bytes(&planned, &pair.config)];
        let len = run.snapshot(&mut saved).expect("there is room");
        let mut memory = AlignedBytes::for_run(&planned, &pair.config);
        let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
        let mut run = Sampler::resume(&planned, &mut arena, &saved[..len]).expect("its own snapshot");
        for step in &expected[2..] {
            assert_eq!(run.step(), Ok(Some(*step)), "{method:?}");
        }
        assert_eq!((run.step(), run.state()), (Ok(None), &state[..]));
        let mut arena = Arena::new(memory.bytes_mut()).expect("aligned");
        let foreign = Sampler::resume(&free, &mut arena, &saved[..len]).map(drop);
        assert_eq!(foreign, Err(RunError::Snapshot));
    }
}

/// What the rows of a run say of every call, whether the file holds them or the sampler makes them.
fn said(model: &Model<'_>, config: &Config) -> Vec<String> {
    let rows = Rows { model, config };
    let calls = (0..=config.steps).flat_map(|step| (0..config.method.calls()).map(move |call| (step, call)));
    calls
        .map(|(step, call)| {
            let (t, noising) = (rows.time_q16(step, call), rows.noising(step, call));
            let row = rows.row(step, call, step > 0 || call > 0);
            format!("{t:?} {row:?} {noising:?}")
        })
        .collect()
}

/// So that no bit of a row is without meaning, and none is read in another place than it was written.
#[test]
fn every_bit_of_every_row_is_a_coefficient_or_refused() {
    for pair in pairs(Form::W8A8) {
        let [free, planned] = pair.models();
        let expected = said(&free, &pair.config);
        assert_eq!(said(&planned, &pair.config), expected, "{:?}", pair.config);
        let parts = Parts::of(pair.planned.bytes());
        let calls = pair.config.method.calls();
        let rows = STEPS * calls - (calls - 1);
        assert_eq!(parts.sections[SCHEDULE].len(), rows as usize * StoredRow::BYTES);
        for bit in 0..parts.sections[SCHEDULE].len() * 8 {
            let mut parts = parts.clone();
            parts.sections[SCHEDULE][bit / 8] ^= 1 << (bit % 8);
            let memory = AlignedBytes::copy_of(&parts.file());
            match Model::parse(memory.bytes()) {
                Ok(model) => assert_ne!(said(&model, &pair.config), expected, "{:?}: bit {bit}", pair.config),
                Err(error) => assert_eq!(error, ParseError::Section(Section::Schedule)),
            }
        }
    }
}

/// What is done to a file's rows.
type Change<'c> = &'c dyn Fn(&mut Vec<u8>);

#[test]
fn rows_that_no_run_has_are_refused() {
    let file = synthetic::model(Form::W8A8);
    let of = |method| {
        Pair::of(&file, |model| Config {
            method,
            ..Config::of(model.header(), STEPS)
        })
    };
    let refused = |method, change: Change<'_>| {
        let mut parts = Parts::of(of(method).planned.bytes());
        change(&mut parts.sections[SCHEDULE]);
        let memory = AlignedBytes::copy_of(&parts.file());
        let error = Model::parse(memory.bytes()).map(drop);
        error == Err(ParseError::Section(Section::Schedule))
    };
    // The mantissas of the first row's step.
    let step = |rows: &mut Vec<u8>, mants: [i32; 4]| {
        let bytes = mants.map(i32::to_le_bytes).concat();
        rows[12..28].copy_from_slice(&bytes);
    };
    let fine = |rows: &mut Vec<u8>| rows[3] = 40;
    assert!(!refused(Method::Ddim, &fine), "forty fraction bits");
    let most = |rows: &mut Vec<u8>| step(rows, [i32::MAX, i32::MIN, 4, 0]);
    assert!(!refused(Method::Ddim, &most), "mantissas of 2^32 and a little");
    let changes: [(&str, Change<'_>); 11] = [
        ("no row", &|rows| rows.clear()),
        ("a row less", &|rows| rows.truncate(rows.len() - StoredRow::BYTES)),
        ("half a row less", &|rows| rows.truncate(rows.len() - 18)),
        ("a row more", &|rows| {
            rows.extend_from_within(rows.len() - StoredRow::BYTES..)
        }),
        ("a byte more", &|rows| rows.push(0)),
        ("a timestep beyond the last", &|rows| {
            rows[..2].copy_from_slice(&(synthetic::TRAIN_STEPS as u16).to_le_bytes());
        }),
        ("rising timesteps", &|rows| {
            let later = rows[..2].to_vec();
            rows[..2].copy_from_slice(&[0; 2]);
            rows[StoredRow::BYTES..StoredRow::BYTES + 2].copy_from_slice(&later);
        }),
        ("no fraction bits of x0", &|rows| rows[2] = 0),
        ("too many", &|rows| rows[3] = 41),
        ("mantissas beyond 2^32", &|rows| step(rows, [i32::MAX, i32::MIN, 64, 0])),
        ("the lowest mantissas", &|rows| step(rows, [i32::MIN; 4])),
    ];
    for (what, change) in changes {
        assert!(refused(Method::Ddim, change), "{what}");
    }
    // The last step of Heun's method may have a second call, and no step may be without its first.
    let more: Change<'_> = &|rows| rows.extend_from_within(rows.len() - StoredRow::BYTES..);
    assert!(!refused(Method::Heun, more));
    assert!(refused(Method::Heun, &|rows| rows.truncate(rows.len() - StoredRow::BYTES)));
}

/// The largest sums that a row may hold do not overflow.
#[test]
fn the_largest_mantissas_run() {
    let file = synthetic::model(Form::W8A8);
    let pair = Pair::of(&file, |model| Config {
        clip: Clip::Stock,
        eta_q16: 1 << 16,
        ..Config::of(model.header(), STEPS)
    });
    for (p, q) in [(i32::MIN, i32::MIN), (i32::MAX, i32::MIN), (i32::MAX, i32::MAX)] {
        let mut parts = Parts::of(pair.planned.bytes());
        for row in parts.sections[SCHEDULE].chunks_exact_mut(StoredRow::BYTES) {
            let mut put = |at: usize, v: i32| row[4 * at..4 * at + 4].copy_from_slice(&v.to_le_bytes());
            for (at, v) in [(1, p), (2, q), (3, p), (4, 0), (5, q), (6, 0), (7, p), (8, q)] {
                put(at, v);
            }
            (row[2], row[3]) = (1, 1);
        }
        let memory = AlignedBytes::copy_of(&parts.file());
        let model = Model::parse(memory.bytes()).expect("within the bound");
        let known = half_known();
        for start in [
            Start::Seed,
            Start::Noise(&[i32::MIN; LEN]),
            Start::Noise(&[i32::MAX; LEN]),
        ] {
            let (_, state) = portable(&model, &pair.config, &start, Some(&known)).expect("a valid run");
            assert!(state.iter().all(|x| x.unsigned_abs() <= 1 << 30));
        }
    }
}

#[test]
fn another_run_than_the_planned_is_refused() {
    let file = synthetic::model(Form::W8A8);
    let small = Method::Ddpm(Variance::Small);
    let pair = Pair::of(&file, |model| Config {
        method: small,
        class: Some(1),
        ..Config::of(model.header(), STEPS)
    });
    let [free, planned] = pair.models();
    let plain = pair.config;
    assert_eq!(
        Config {
            class: plain.class,
            ..Config::of(planned.header(), STEPS)
        },
        plain,
        "what is planned is what a configuration of the file is"
    );
    let others = [
        Config {
            steps: STEPS + 1,
            ..plain
        },
        Config { steps: 0, ..plain },
        Config {
            spacing: Spacing::Leading,
            ..plain
        },
        Config {
            prev: PrevRule::Diffusers,
            ..plain
        },
        Config {
            clip: Clip::Stock,
            ..plain
        },
        Config {
            method: Method::Ddim,
            ..plain
        },
        Config {
            method: Method::Ddpm(Variance::Large),
            ..plain
        },
        Config {
            method: Method::Heun,
            ..plain
        },
    ];
    for other in others {
        assert_ne!(
            other.plan() == plain.plan(),
            other.clip == plain.clip,
            "one thing is another"
        );
        let refused = Err(RunError::Planned { steps: STEPS });
        let expected = if other.steps == 0 {
            Err(RunError::Steps {
                found: 0,
                max: synthetic::TRAIN_STEPS,
            })
        } else {
            refused
        };
        assert_eq!(other.validate(planned.header()), expected, "{other:?}");
        let oracle = Oracle::new(pair.planned.bytes()).expect("a checked model");
        assert!(
            oracle
                .run(&request(&other), &start_of(&Start::Seed), &mut |_| ())
                .is_err()
        );
        assert_eq!(other.validate(free.header()).is_ok(), other.steps > 0);
    }
    let noisy = |eta_q16| {
        let pair = Pair::of(&file, |model| Config {
            eta_q16,
            class: Some(0),
            ..Config::of(model.header(), STEPS)
        });
        let other = Config {
            eta_q16: 7,
            ..pair.config
        };
        other.validate(pair.models()[1].header())
    };
    assert_eq!(noisy(0), Err(RunError::Planned { steps: STEPS }));
    assert_eq!(noisy(7), Ok(()));
    let free_choices = Config {
        class: Some(0),
        guidance_q16: Some(1),
        seed: 9,
        clip_range_q24: 1 << 20,
        ..plain
    };
    assert_eq!(free_choices.validate(planned.header()), Ok(()));
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    let file = synthetic::model(Form::F16);
    let pair = Pair::of(&file, |model| Config::of(model.header(), STEPS));
    let twice = planned(pair.planned.bytes(), &pair.config);
    assert_eq!(twice, Err(PlanError::Planned));
    let heun = Config {
        method: Method::Heun,
        prev: PrevRule::Diffusers,
        ..pair.config
    };
    assert_eq!(planned(&file, &heun), Err(PlanError::TwoCallsPrev));
    let many = Config {
        steps: 1 << 20,
        ..pair.config
    };
    assert!(matches!(
        planned(&file, &many),
        Err(PlanError::Run(RunError::Steps { .. }))
    ));
    assert!(matches!(planned(&file[..100], &pair.config), Err(PlanError::Parse(_))));
    for (name, file) in chains::all(chains::SCHEMES[0]) {
        let memory = AlignedBytes::copy_of(&file);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let config = Config::of(model.header(), model.header().train_steps);
        assert_eq!(planned(&file, &config), Err(PlanError::Chain), "{name}");
        // Nor does a file that says so of a chain pass.
        let mut parts = Parts::of(&file);
        let header = mote_runtime::internals::model::header::Header {
            schedule: mote_runtime::internals::model::sampling::Schedule::Planned(config.plan()),
            ..parts.header()
        };
        parts.set_header(&header);
        let memory = AlignedBytes::copy_of(&parts.file());
        let refused = Model::parse(memory.bytes()).map(drop);
        assert_eq!(refused, Err(ParseError::Section(Section::Schedule)), "{name}");
    }
}

#[test]
fn a_planned_file_is_smaller_and_needs_no_schedule() {
    let file = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let pair = Pair::of(&file, |model| Config {
        method: Method::DpmSolver2M,
        ..Config::of(model.header(), 20)
    });
    let [free, planned] = pair.models();
    let rows = 20 * StoredRow::BYTES;
    assert_eq!((free.schedule().len(), planned.schedule().len()), (8000, rows));
    assert!(pair.planned.bytes().len() < file.len() - 7000);
    let needs = |model: &Model<'_>| [Feature::Schedule, Feature::DpmSolver].map(|part| part.needed_by(model));
    assert_eq!((needs(&free), needs(&planned)), ([true, false], [false, true]));
    assert_eq!(planned.weights(), free.weights());
    assert!(planned.ops().eq(free.ops()));
    let origin = String::from_utf8_lossy(planned.provenance()).into_owned();
    assert!(origin.contains(&format!("{:08x}", free.crc())), "{origin}");
}
