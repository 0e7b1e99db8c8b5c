//! Condition vectors that runs are given: the same bits on every backend, saved and resumed, planned, clamped and counted, or refused.

use std::sync::Arc;

use mote_engine::memory::AlignedBytes;
use mote_oracle::Extras;
use mote_runtime::{Arena, Config, Method, Model, RunError, Sampler, Start};
use mote_tests::boards::board;
use mote_tests::random::Random;
use mote_tests::running::METHODS;
use mote_tests::synthetic::{self, Form, condition, conditioned, unguided};
use mote_tools::backend::oracle::request;
use mote_tools::backend::{Sampling, Trace};
use mote_tools::condition::Images;
use mote_tools::emit::planned::planned;
use mote_tools::{Backend, ModelFile};

const STEPS: u32 = 4;

fn config(model: &Model<'_>) -> Config {
    let header = model.header();
    Config {
        seed: 3,
        class: (header.classes > 0).then_some(1),
        ..Config::of(header, STEPS)
    }
}

/// Both models in every form.
fn each(check: impl Fn(&AlignedBytes, &Model<'_>)) {
    for form in Form::ALL {
        for file in [conditioned(form), unguided(form)] {
            let memory = AlignedBytes::copy_of(&file);
            check(&memory, &Model::parse(memory.bytes()).expect("the model is valid"));
        }
    }
}

/// Digests and last state of a run that is saved and resumed after `pause` steps, if any.
fn run(
    model: &Model<'_>,
    config: &Config,
    vector: Option<&[i32]>,
    pause: Option<u32>,
) -> Result<(Vec<u64>, Vec<i32>), RunError> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut other = AlignedBytes::for_run(model, config);
    let mut saved = vec![0; Sampler::snapshot_bytes(model, config)];
    let mut digests = Vec::new();
    {
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut run = Sampler::new(model, &mut arena, config, &Start::Seed)?;
        vector.map_or(Ok(()), |vector| run.condition(vector))?;
        while pause != Some(run.index()) {
            let Some(step) = run.step()? else {
                return Ok((digests, run.state().to_vec()));
            };
            digests.push(step.digest);
        }
        let len = run.snapshot(&mut saved)?;
        saved.truncate(len);
    }
    let mut arena = Arena::new(other.bytes_mut())?;
    let mut run = Sampler::resume(model, &mut arena, &saved)?;
    vector.map_or(Ok(()), |vector| run.condition(vector))?;
    while let Some(step) = run.step()? {
        digests.push(step.digest);
    }
    Ok((digests, run.state().to_vec()))
}

/// Every way to run it: samplers, and guidance where something can be dropped.
fn configs(model: &Model<'_>) -> Vec<Config> {
    let guided = model.header().null_class.is_some();
    let plain = METHODS.map(|method| Config {
        method,
        ..config(model)
    });
    let guided = guided.then_some(Config {
        guidance_q16: Some(3 << 15),
        ..config(model)
    });
    plain.into_iter().chain(guided).collect()
}

#[test]
fn the_oracle_agrees_and_a_resumed_run_too() {
    each(|file, model| {
        let oracle = mote_oracle::Oracle::new(file.bytes()).expect("a checked model");
        for (i, config) in configs(model).iter().enumerate() {
            let vector = condition(model, i as u64 + 1);
            let found = run(model, config, Some(&vector), None).expect("the run is valid");
            let mut digests = Vec::new();
            let extras = Extras {
                condition: Some(&vector),
                ..Extras::default()
            };
            let state = oracle
                .run_with(&request(config), &mote_oracle::Start::Seed, extras, &mut |step| {
                    digests.push(step.digest)
                })
                .expect("the run is valid");
            assert_eq!(found, (digests, state), "{config:?}");
            assert_eq!(
                run(model, config, Some(&vector), Some(2)),
                Ok(found),
                "{config:?}, resumed"
            );
        }
    });
}

/// The vector decides, every number of it, and guidance takes the null condition.
#[test]
fn every_number_counts() {
    each(|_, model| {
        let vector = condition(model, 7);
        let base = run(model, &config(model), Some(&vector), None).expect("the run is valid");
        let facts = model.condition().expect("it takes one");
        for i in 0..vector.len() {
            let mut other = vector.clone();
            other[i] = if other[i] > facts.low / 2 + facts.high / 2 {
                facts.low
            } else {
                facts.high
            };
            assert_ne!(
                run(model, &config(model), Some(&other), None),
                Ok(base.clone()),
                "number {i}"
            );
        }
    });
    let memory = AlignedBytes::copy_of(&conditioned(Form::W8A8));
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let null = vec![0; model.condition_len()];
    let weight = |guidance_q16| Config {
        class: model.header().null_class,
        guidance_q16,
        ..config(&model)
    };
    // Of the null condition and the null class both calls say the same.
    let [plain, guided] = [None, Some(5 << 16)].map(|w| run(&model, &weight(w), Some(&null), None));
    assert_eq!(plain, guided);
    let [plain, none, guided] =
        [None, Some(0), Some(5 << 16)].map(|w| run(&model, &weight(w), Some(&condition(&model, 1)), None));
    assert_ne!(plain, guided);
    let unconditional = run(&model, &weight(None), Some(&null), None);
    assert_eq!(none, unconditional, "weight 0 is the unconditional model");
}

#[test]
fn numbers_out_of_range_are_clamped_and_counted() {
    each(|_, model| {
        let facts = model.condition().expect("it takes one");
        let mut vector = condition(model, 1);
        vector[0] = i32::MAX;
        vector[3] = i32::MIN;
        let inside: Vec<i32> = vector.iter().map(|n| (*n).clamp(facts.low, facts.high)).collect();
        let outside = vector.iter().zip(&inside).filter(|(a, b)| a != b).count() as u32;
        let count = |vector: &[i32]| {
            let mut memory = AlignedBytes::for_run(model, &config(model));
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::new(model, &mut arena, &config(model), &Start::Seed).expect("the run is valid");
            assert_eq!(run.clamped(), 0);
            run.condition(vector).expect("it has the model's length");
            while run.step().expect("the step runs").is_some() {}
            run.clamped()
        };
        assert!(outside >= 2);
        assert_eq!((count(&vector), count(&inside)), (outside, 0));
        let [a, b] = [&vector, &inside].map(|vector| run(model, &config(model), Some(vector), None));
        assert!(a.is_ok());
        assert_eq!(a, b);
    });
}

#[test]
fn what_is_missing_or_wrong_is_refused() {
    each(|_, model| {
        let (plain, vector) = (config(model), condition(model, 1));
        let expected = vector.len() as u32;
        let refused = |given: Option<&[i32]>| run(model, &plain, given, None).unwrap_err();
        assert_eq!(refused(None), RunError::Condition { expected, found: 0 });
        for wrong in [&vector[1..], &[]] {
            let found = wrong.len() as u32;
            assert_eq!(refused(Some(wrong)), RunError::Condition { expected, found });
        }
        let guided = Config {
            guidance_q16: Some(1 << 17),
            ..plain
        };
        let dropped = model.condition().is_some_and(|condition| condition.null.is_some());
        assert_eq!(run(model, &guided, Some(&vector), None).is_ok(), dropped);
        if !dropped {
            assert_eq!(guided.validate_for(model), Err(RunError::GuidanceUnsupported));
        }
    });
    let memory = AlignedBytes::copy_of(&synthetic::model(Form::W8A8));
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    assert_eq!(
        run(&model, &config(&model), Some(&[0]), None).unwrap_err(),
        RunError::Condition { expected: 0, found: 1 }
    );
}

#[test]
fn a_resumed_run_asks_for_its_own_vector() {
    let memory = AlignedBytes::copy_of(&conditioned(Form::W8A8));
    let model = &Model::parse(memory.bytes()).expect("the model is valid");
    let (config, vector) = (config(model), condition(model, 1));
    let mut saved = vec![0; Sampler::snapshot_bytes(model, &config)];
    let mut first = AlignedBytes::for_run(model, &config);
    let mut arena = Arena::new(first.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    // Saved before its vector was given, it takes any.
    let early = run.snapshot(&mut saved).expect("there is room");
    let early = saved[..early].to_vec();
    run.condition(&vector).expect("it fits");
    run.step().expect("the step runs");
    let len = run.snapshot(&mut saved).expect("there is room");
    let resumed = |from: &[u8], vector: Option<&[i32]>| {
        let mut memory = AlignedBytes::for_run(model, &config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut run = Sampler::resume(model, &mut arena, from)?;
        vector.map_or(Ok(()), |vector| run.condition(vector))?;
        run.step().map(drop)
    };
    let mut other = vector.clone();
    other[1] ^= 1;
    let late = &saved[..len];
    assert_eq!(resumed(late, Some(&vector)), Ok(()));
    assert_eq!(resumed(late, Some(&other)), Err(RunError::ConditionChanged));
    assert_eq!(resumed(late, None), Err(RunError::ConditionChanged));
    assert_eq!(resumed(&early, Some(&other)), Ok(()));
    assert_eq!(
        resumed(&early, None),
        Err(RunError::Condition { expected: 5, found: 0 })
    );
}

#[test]
fn a_planned_file_takes_the_same_vector() {
    each(|file, model| {
        for method in [Method::Ddim, Method::Heun] {
            let config = Config {
                method,
                ..config(model)
            };
            let planned = AlignedBytes::copy_of(&planned(file.bytes(), &config).expect("the run can be planned"));
            let planned = Model::parse(planned.bytes()).expect("the model is valid");
            let vector = condition(model, 2);
            let [a, b] = [model, &planned].map(|model| run(model, &config, Some(&vector), None));
            assert!(a.is_ok());
            assert_eq!(a, b);
        }
    });
}

/// Several operators may read the vector, but what they say of it is one.
#[test]
fn a_file_says_one_thing_of_its_condition() {
    use mote_runtime::internals::ops::Op;
    let file = conditioned(Form::W8A8);
    let parts = mote_tests::parts::Parts::of(&file);
    let changed = |change: &dyn Fn(&mut mote_runtime::internals::ops::Condition)| {
        let mut parts = parts.clone();
        let mut ops = parts.ops();
        for op in &mut ops {
            if let Op::Condition(condition) = op {
                change(condition);
            }
        }
        parts.set_ops(&ops);
        let memory = AlignedBytes::copy_of(&parts.file());
        Model::parse(memory.bytes()).is_ok()
    };
    assert!(changed(&|_| ()));
    assert!(changed(&|c| c.null = None));
    assert!(!changed(&|c| c.bits = 31));
    assert!(!changed(&|c| c.high = c.low));
    assert!(!changed(&|c| c.null = Some(c.high + 1)));
    assert!(!changed(&|c| c.requant.shift = 0));
}

/// This machine, the oracle and simulated boards, each image on a vector of its own.
#[test]
fn backends_make_the_same_images() {
    let names = ["netduinoplus2", "virt"];
    let boards: Vec<Backend> = names
        .iter()
        .filter(|name| board(name).is_some())
        .map(|name| Backend::parse(&format!("board:{name}")).expect("a board"))
        .collect();
    for form in [Form::W8A8, Form::F16] {
        let file = ModelFile::from_bytes(&conditioned(form)).expect("the model is valid");
        let conditions: Vec<Arc<[i32]>> = (0..3u64).map(|i| condition(file.model(), i / 2).into()).collect();
        let images = Images {
            seeds: &[4, 5, 6],
            conditions: &conditions,
        };
        let guided = Config {
            guidance_q16: Some(1 << 17),
            ..config(file.model())
        };
        let sampling = Sampling::of_images(guided, images);
        let digests = |backend: Backend| -> Vec<u64> {
            let traces: Vec<Trace> = backend
                .run(file.opened(), &sampling, &|| ())
                .unwrap_or_else(|error| panic!("{backend}: {error}"));
            traces
                .iter()
                .flat_map(|trace| trace.steps.iter().map(|step| step.digest))
                .collect()
        };
        let expected = digests(Backend::Cpu);
        for backend in [Backend::Portable, Backend::Oracle(None)].iter().chain(&boards) {
            assert_eq!(digests(*backend), expected, "{backend}, {form:?}");
        }
    }
}

/// A rounding of the operator that is wrong shows.
#[test]
fn a_fault_in_the_operator_is_found() {
    let file = conditioned(Form::W8A16);
    let options = |broken_rounding| mote_oracle::OracleOptions {
        op_digests: false,
        broken_rounding,
    };
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let vector: Vec<i32> = {
        let mut random = Random(9);
        (0..model.condition_len()).map(|_| random.bits() as i32 >> 8).collect()
    };
    let state = |broken| {
        let oracle = mote_oracle::Oracle::with_options(&file, options(broken)).expect("a checked model");
        let extras = Extras {
            condition: Some(&vector),
            ..Extras::default()
        };
        oracle
            .run_with(
                &request(&config(&model)),
                &mote_oracle::Start::Seed,
                extras,
                &mut |_| (),
            )
            .expect("the run is valid")
    };
    assert_ne!(state(None), state(Some("condition")));
}
