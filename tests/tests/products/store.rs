//! Snapshots in flash: padded slots are resumed, and power may be lost at any byte.

use embedded_storage::nor_flash::NorFlash;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Arena, Config, Model, Run, RunError, Sampler, Start};
use mote_store::{HEADER, Store, StoreError, record_bytes};
use mote_tests::running::{METHODS, finish};
use mote_tests::synthetic::Form;

use super::flash::{Flash, PowerLost, Torn};
use super::{STEPS, each, forever, guided};

/// Two slots of two sectors each.
const SLOT: usize = 256;

/// A snapshot at the start of the run and after every step.
fn snapshots(model: &Model<'_>, config: &Config) -> Vec<Vec<u8>> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut run = Run::new(*model, memory.bytes_mut());
    run.start(config, &Start::Seed).expect("it fits");
    let mut all = Vec::new();
    loop {
        let mut saved = vec![0; Sampler::snapshot_bytes(model, config)];
        let len = run.snapshot(&mut saved).expect("there is room");
        saved.truncate(len);
        all.push(saved);
        if run.step().expect("it runs").is_none() {
            return all;
        }
    }
}

/// The state at the end of the run that goes on from `slot`.
fn resumed(model: &Model<'_>, config: &Config, slot: &[u8]) -> Result<Vec<i32>, RunError> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut run = Run::new(*model, memory.bytes_mut());
    run.resume(slot)?;
    while run.step()?.is_some() {}
    Ok(run.state().to_vec())
}

#[test]
fn a_snapshot_is_resumed_whatever_follows_it() {
    each(|model| {
        for method in METHODS {
            let config = Config {
                method,
                eta_q16: 0,
                ..guided(model)
            };
            let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
            for saved in snapshots(model, &config) {
                for (padding, filler) in [(0, 0), (1, 0xFF), (3, 0), (64, 0xFF), (500, 0x4D)] {
                    let slot = [saved.as_slice(), &vec![filler; padding]].concat();
                    assert_eq!(resumed(model, &config, &slot).as_ref(), Ok(&whole.state), "{padding}");
                }
                // A damaged one is not, whatever follows it.
                for at in [0, 5, 9, 13, 20, saved.len() - 1] {
                    let mut slot = [saved.as_slice(), &[0xFF; 40]].concat();
                    slot[at] ^= 0x10;
                    assert_eq!(resumed(model, &config, &slot), Err(RunError::Snapshot), "at {at}");
                }
                for len in 0..saved.len() {
                    assert_eq!(resumed(model, &config, &saved[..len]), Err(RunError::Snapshot));
                }
            }
        }
    });
}

/// Saves `record`; what the buffer holds beside it does not matter.
fn save<F: NorFlash>(store: &mut Store<F>, record: &[u8]) -> Result<(), StoreError<F::Error>> {
    let mut buffer = vec![0x77; record_bytes(record.len(), F::WRITE_SIZE)];
    buffer[HEADER..HEADER + record.len()].copy_from_slice(record);
    store.save(&mut buffer, record.len())
}

/// What a device that starts up finds.
fn load(flash: &mut Flash) -> Option<Vec<u8>> {
    (flash.left, flash.done) = (usize::MAX, 0);
    let mut store = Store::open(flash_ref(flash), 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
    let mut buffer = [0; SLOT];
    store.load(&mut buffer).expect("the flash works").map(<[u8]>::to_vec)
}

/// The traits are not for references.
fn flash_ref(flash: &Flash) -> Flash {
    flash.clone()
}

/// Saves the records one after the other until power is lost: the flash, and how many were saved before.
fn saving(records: &[Vec<u8>], torn: Torn, left: usize) -> (Flash, usize) {
    let flash = Flash::new(128 + 2 * SLOT + 128, torn, left);
    let mut store = Store::open(flash, 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
    let mut saved = 0;
    for record in records {
        match save(&mut store, record) {
            Ok(()) => saved += 1,
            Err(error) => {
                assert_eq!(error, StoreError::Flash(PowerLost));
                break;
            }
        }
    }
    (store.into_flash(), saved)
}

#[test]
fn power_lost_at_any_byte_leaves_the_old_state_or_the_new_one() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let records = snapshots(&model, &config);
    assert_eq!(records.len() as u32, STEPS + 1);
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    for torn in [Torn::Before, Torn::Bits, Torn::Sector] {
        let (flash, saved) = saving(&records, torn, usize::MAX);
        assert_eq!(saved, records.len());
        let (total, outside) = (flash.done, flash);
        let (mut old, mut new) = (0, 0);
        for left in 0..=total {
            let (mut flash, saved) = saving(&records, torn, left);
            let found = load(&mut flash);
            let before = saved.checked_sub(1).map(|last| &records[last]);
            match found.as_ref() {
                found if found == before => old += 1,
                found if found.is_some() && found == records.get(saved) => new += 1,
                found => panic!("{torn:?}, power lost after {left} bytes: {found:?} is neither of the two"),
            }
            // What is not the store's is as it was.
            assert_eq!(flash.bytes[..128], outside.bytes[..128]);
            assert_eq!(flash.bytes[128 + 2 * SLOT..], outside.bytes[128 + 2 * SLOT..]);
            if left % 16 == 0 {
                goes_on(&model, &config, flash, found.as_deref(), &whole.state);
            }
        }
        // The last bytes of a record may be padding: it is whole without them.
        assert!(
            old > total / 2 && new < total / 8,
            "{torn:?}: {old} old, {new} new of {total}"
        );
    }
}

/// The run goes on after the reset, saving on its way, to the same image.
fn goes_on(model: &Model<'_>, config: &Config, flash: Flash, found: Option<&[u8]>, state: &[i32]) {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut run = Run::new(*model, memory.bytes_mut());
    match found {
        Some(saved) => run.resume(saved),
        None => run.start(config, &Start::Seed),
    }
    .expect("what was loaded is genuine");
    let mut store = Store::open(flash, 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
    let mut last = vec![0; Sampler::snapshot_bytes(model, config)];
    while run.step().expect("it runs").is_some() {
        let len = run.snapshot(&mut last).expect("there is room");
        save(&mut store, &last[..len]).expect("power is back");
        let mut buffer = [0; SLOT];
        assert_eq!(store.load(&mut buffer), Ok(Some(&last[..len])));
    }
    assert_eq!(run.state(), state);
}

#[test]
fn clearing_leaves_the_newest_or_nothing() {
    let records = [vec![1; 50], vec![2; 60]];
    for torn in [Torn::Before, Torn::Bits, Torn::Sector] {
        for left in 0..=2 * SLOT {
            let (flash, _) = saving(&records, torn, usize::MAX);
            let mut store = Store::open(flash, 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
            assert_eq!(store.number(), Some(1));
            let mut flash = store.into_flash();
            flash.left = left;
            store = Store::open(flash, 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
            let cleared = store.clear();
            assert_eq!(cleared.is_ok(), left == 2 * SLOT);
            let found = load(&mut store.into_flash());
            assert!(
                found.is_none() || found.as_ref() == Some(&records[1]),
                "{torn:?}, {left}: {found:?}"
            );
            assert!(cleared.is_err() || found.is_none());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost() {
    let flash = Flash::new(128 + 2 * SLOT, Torn::Before, usize::MAX);
    let mut store = Store::open(flash, 128..(128 + 2 * SLOT) as u32).expect("the range is two slots");
    let mut buffer = [0; SLOT];
    assert_eq!(store.load(&mut buffer), Ok(None));
    save(&mut store, &[7; SLOT - HEADER]).expect("it fits to the byte");
    let full = save(&mut store, &[8; SLOT - HEADER + 1]);
    assert_eq!(
        full,
        Err(StoreError::Room {
            needed: SLOT + 8,
            found: SLOT
        })
    );
    let mut short = [0; 64];
    assert_eq!(
        store.save(&mut short, 49),
        Err(StoreError::Room { needed: 72, found: 64 })
    );
    assert_eq!(
        store.load(&mut short),
        Err(StoreError::Room {
            needed: SLOT - HEADER,
            found: 64
        })
    );
    assert_eq!(store.load(&mut buffer), Ok(Some(&[7; SLOT - HEADER][..])));
    for range in [
        0..0,
        0..128,
        64..320,
        128..500,
        128..1024,
        std::ops::Range { start: 256, end: 128 },
        128..128 + 3 * 128,
    ] {
        let flash = Flash::new(128 + 2 * SLOT, Torn::Before, usize::MAX);
        let refused = Store::open(flash, range.clone()).err();
        assert_eq!(refused, Some(StoreError::Range), "{range:?}");
    }
}

#[test]
fn a_snapshot_fits_the_record_that_its_size_says() {
    let model = forever(Form::W8A16);
    let config = guided(&model);
    let most = Sampler::snapshot_bytes(&model, &config);
    let mut memory = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    let mut buffer = vec![0; record_bytes(most, 32)];
    let len = run.snapshot(&mut buffer[HEADER..]).expect("there is room");
    assert!(record_bytes(len, 32) <= buffer.len());
}
