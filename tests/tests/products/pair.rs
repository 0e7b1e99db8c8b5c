//! Two cores: the bits of one, whatever the order in which they work.

use std::sync::atomic::{AtomicU32, Ordering};

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Arena, Config, Join, Model, Pair, RunError, Sampler, Start, Unobserved, arena_bytes, pair_bytes};
use mote_tests::checkpoints::{converted, digits};
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tools::quantize::scheme::Scheme;

use super::{configs, each, guided};

/// Two threads, or one after the other in either order, by lot.
struct Lots {
    random: Random,
    joins: u32,
}

impl Join for Lots {
    fn join(&mut self, here: impl FnOnce() + Send, there: impl FnOnce() + Send) {
        self.joins += 1;
        let lot = self.random.below(8);
        match lot {
            0 => {
                here();
                there();
            }
            1 => {
                there();
                here();
            }
            // One begins late, by as many turns as the lot says.
            _ => {
                let turns = AtomicU32::new(self.random.below(300) as u32);
                let wait =
                    || while turns.fetch_sub(1, Ordering::Relaxed) > 1 && turns.load(Ordering::Relaxed) < 1000 {};
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        if lot.is_multiple_of(2) {
                            wait();
                        }
                        there();
                    });
                    if lot % 2 == 1 {
                        wait();
                    }
                    here();
                });
            }
        }
    }
}

/// The digest of a run on two cores, and how often both worked.
fn paired(model: &Model<'_>, config: &Config, seed: u64) -> (u64, u32) {
    let (mut memory, mut spare) = (
        AlignedBytes::for_run(model, config),
        AlignedBytes::zeroed(pair_bytes(model)),
    );
    spare.bytes_mut().fill(0x6B);
    let mut spare = Arena::new(spare.bytes_mut()).expect("it is aligned");
    let lots = Lots {
        random: Random(seed),
        joins: 0,
    };
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(model, &mut arena, config, &Start::Seed).expect("the run is valid");
    let mut pair = Pair::new(model, lots, &mut spare).expect("it is large enough");
    while run.step_by(&mut pair, &mut Unobserved).expect("it runs").is_some() {}
    (run.digest(), pair.into_join().joins)
}

#[test]
fn every_form_has_the_bits_of_one_core() {
    each(|model| {
        let float = model.header().arithmetic == mote_runtime::internals::model::header::Arithmetic::F16;
        for (seed, config) in configs(model).into_iter().enumerate() {
            let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
            let (digest, joins) = paired(model, &config, seed as u64);
            assert_eq!(
                digest,
                whole.steps.last().expect("there are steps").digest,
                "{config:?}"
            );
            assert_eq!(joins == 0, float, "networks in f16 run on one core");
        }
    });
}

#[test]
fn a_thousand_schedules_of_a_trained_network_have_the_same_bits() {
    let bytes = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), 2);
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    let mut joins = 0;
    for seed in 0..40 {
        let found = paired(&model, &config, seed);
        assert_eq!(found.0, whole.steps[1].digest, "schedule {seed}");
        joins += found.1;
    }
    assert!(joins > 1000, "{joins} convolutions on two cores");
}

#[test]
fn a_scratch_that_is_too_small_is_refused() {
    each(|model| {
        let needed = pair_bytes(model);
        assert!(needed < arena_bytes(model, &guided(model)));
        let mut spare = AlignedBytes::zeroed(needed - 1);
        let mut spare = Arena::new(spare.bytes_mut()).expect("it is aligned");
        let lots = Lots {
            random: Random(1),
            joins: 0,
        };
        let (needed, found) = (needed as u32, needed as u32 - 1);
        let refused = Pair::new(model, lots, &mut spare).err();
        assert_eq!(refused, Some(RunError::ArenaTooSmall { needed, found }));
    });
}
