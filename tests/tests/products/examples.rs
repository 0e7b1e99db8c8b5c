//! The runtime's examples do what they show.

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Run, Start, arena_bytes};
use mote_tests::running::finish;
use mote_tests::synthetic::{self, Form};

use super::{STEPS, each, forever, guided};

#[path = "../../../runtime/examples/observer.rs"]
mod observer;
#[path = "../../../runtime/examples/snapshot.rs"]
mod snapshot;
#[path = "../../../runtime/examples/update.rs"]
mod update;
#[path = "../../../runtime/examples/watchdog.rs"]
mod watchdog;

#[test]
fn a_saved_run_goes_on_through_any_number_of_lives() {
    each(|model| {
        let config = guided(model);
        let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
        let expected = whole.steps.last().map(|step| step.digest);
        for steps in 1..=STEPS + 1 {
            let mut flash = Vec::new();
            let mut digest = None;
            for _ in 0..=STEPS {
                digest = snapshot::powered(model, &config, &mut flash, steps).expect("it runs");
                if digest.is_some() {
                    break;
                }
            }
            assert_eq!(digest, expected, "{steps} steps a life");
            assert!(flash.is_empty());
        }
        // A damaged snapshot costs the steps before, and not the image.
        let mut flash = Vec::new();
        assert_eq!(snapshot::powered(model, &config, &mut flash, 2), Ok(None));
        flash[9] ^= 1;
        let found = snapshot::powered(model, &config, &mut flash, STEPS + 1);
        assert_eq!(found, Ok(expected));
    });
}

#[test]
fn an_update_is_taken_when_it_is_whole() {
    let (old, new) = (synthetic::model(Form::W8A8), synthetic::model(Form::W8A16));
    let mut slots = update::Slots::new(old.len().max(new.len()) + 100);
    assert!(slots.model().is_err(), "nothing was ever written");
    slots.free()[..old.len()].copy_from_slice(&old);
    assert_eq!(slots.take(), Ok(()));
    let crc = slots.model().expect("it was taken").crc();
    // Power is lost in the middle of the transfer.
    slots.free()[..new.len() / 2].copy_from_slice(&new[..new.len() / 2]);
    assert!(slots.take().is_err());
    assert_eq!(slots.model().map(|model| model.crc()), Ok(crc));
    slots.free()[..new.len()].copy_from_slice(&new);
    assert_eq!(slots.take(), Ok(()));
    assert_ne!(slots.model().map(|model| model.crc()), Ok(crc));
}

#[test]
fn an_observer_sees_every_operator_of_a_step() {
    each(|model| {
        let config = Config {
            guidance_q16: None,
            ..guided(model)
        };
        let seen = observer::first_step(model, &config).expect("it runs");
        let operators: Vec<u16> = seen.iter().map(|one| one.index).collect();
        assert_eq!(operators, (0..model.header().op_count).collect::<Vec<_>>());
        assert!(seen.iter().all(|one| one.elements > 0));
    });
}

struct Fed(u32);

impl watchdog::Watchdog for Fed {
    fn feed(&mut self) {
        self.0 += 1;
    }
}

#[test]
fn a_watchdog_is_fed_more_often_the_smaller_the_pieces_are() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    let mut fed = 0;
    for parts in [1, 20, 200] {
        let mut memory = AlignedBytes::zeroed(arena_bytes(&model, &config));
        let mut run = Run::new(model, memory.bytes_mut());
        let mut dog = Fed(0);
        let digest = watchdog::fed(&mut run, &config, parts, &mut dog);
        assert_eq!(digest.ok(), whole.steps.last().map(|step| step.digest));
        assert!(dog.0 > fed, "{} with {parts} parts", dog.0);
        fed = dog.0;
    }
    assert!(fed > STEPS * 20, "{fed}");
}
