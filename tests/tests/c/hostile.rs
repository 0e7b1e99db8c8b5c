//! Hostile callers: seeded sequences of calls with wrong bytes, lengths, pointers, numbers and order. Whatever they give that the header
//! lets them give, a status comes back, nothing outside of what was given is written, and a run that is right keeps its bits.

use std::collections::HashSet;
use std::ptr::{null, null_mut};

use mote::*;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start, arena_bytes};
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tests::synthetic::{Form, model};

const CALLS: usize = 60_000;
/// What stands around memory that was lent.
const GUARD: u8 = 0xA5;

/// Memory that is lent in parts, with guards around each.
struct Lent {
    memory: AlignedBytes,
    from: usize,
    len: usize,
}

impl Lent {
    fn new(len: usize) -> Self {
        let mut memory = AlignedBytes::zeroed(len + 64);
        memory.bytes_mut().fill(GUARD);
        let mut lent = Self { memory, from: 32, len };
        lent.bytes_mut().fill(0);
        lent
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[self.from..self.from + self.len]
    }

    /// A pointer into it and how far it may reach: mostly all of it, at times moved, cut, or null.
    fn part(&mut self, random: &mut Random) -> (*mut u8, usize) {
        let all = self.len;
        let from = match random.below(16) {
            0 => return (null_mut(), random.below(all)),
            1 => random.below(64.min(all)),
            _ => 0,
        };
        let left = all - from;
        let len = match random.below(16) {
            0 => random.below(left + 1),
            1 => left.saturating_sub(1),
            2 => isize::MAX as usize + 1 + random.below(8),
            _ => left,
        };
        // A length past the end of memory is refused before anything is read.
        (self.bytes_mut()[from..].as_mut_ptr(), len)
    }

    fn is_guarded(&self) -> bool {
        let bytes = self.memory.bytes();
        let around = bytes[..self.from].iter().chain(&bytes[self.from + self.len..]);
        around.into_iter().all(|byte| *byte == GUARD)
    }
}

/// At times null or not aligned, in place of a good pointer into memory of twice its size.
fn place<T>(lent: &mut Lent, random: &mut Random) -> *mut T {
    assert!(lent.len >= 2 * size_of::<T>());
    let at = lent.bytes_mut().as_mut_ptr();
    match random.below(24) {
        0 => null_mut(),
        1 => at.wrapping_add(1 + random.below(7)).cast(),
        _ => at.cast(),
    }
}

/// A configuration with some fields as they should not be.
fn config(random: &mut Random) -> mote_config {
    let wild = |random: &mut Random, good: u32| match random.below(12) {
        0 => random.bits() as u32,
        1 => random.below(9) as u32,
        _ => good,
    };
    mote_config {
        seed: random.bits(),
        steps: wild(random, 3),
        sampler: random.below(7) as u32,
        eta_q16: wild(random, 0),
        clip: wild(random, 1),
        clip_range_q24: wild(random, 1 << 24) as i32,
        spacing: wild(random, 0),
        previous: wild(random, 0),
        class_label: random.below(6) as i32 - 2,
        guided: wild(random, 0),
        guidance_q16: random.bits() as i32,
    }
}

struct World {
    random: Random,
    file: Lent,
    models: [Lent; 2],
    runs: [Lent; 2],
    arenas: [Lent; 2],
    image: Lent,
    pixels: Lent,
    saved: Lent,
    saved_bytes: usize,
    small: Lent,
    genuine: Vec<u8>,
}

impl World {
    /// One call; its status.
    fn call(&mut self) -> mote_status {
        let r = &mut self.random;
        let (m, n) = (r.below(2), r.below(2));
        let model: *mut mote_model = place(&mut self.models[m], r);
        let run: *mut mote_run = place(&mut self.runs[n], r);
        let (arena, arena_len) = self.arenas[n].part(r);
        let choice = config(r);
        let choice: *const mote_config = if r.below(24) == 0 { null() } else { &raw const choice };
        let (image, image_len) = self.image.part(r);
        let (image, elements): (*mut i32, _) = (image.cast(), image_len / 4);
        let (pixels, pixel_count) = self.pixels.part(r);
        let (file, file_len) = self.file.part(r);
        let (saved, room) = self.saved.part(r);
        let out = &mut self.small;
        // SAFETY: storage is zeros or was begun, memory is there as far as lengths below 2^63 say, all of it is apart, and nothing that
        // is borrowed moves: `change` writes the file while no model of it is open.
        unsafe {
            match r.below(23) {
                0 | 1 => mote_open(model, file.cast(), file_len),
                2 => mote_model_facts(model, place(out, r)),
                3 => mote_config_init(place(out, r), model, r.below(40) as u32),
                4 => mote_arena_bytes(model, choice, place(out, r)),
                5..=8 => mote_start(run, model, arena.cast(), arena_len, choice),
                9 => mote_start_noise(run, model, arena.cast(), arena_len, choice, image, elements),
                10 => {
                    let strength = r.below(80_000) as u32;
                    mote_start_image(run, model, arena.cast(), arena_len, choice, image, elements, strength)
                }
                11 => {
                    let (second, part) = (r.bits(), r.below(80_000) as u32);
                    mote_start_between(run, model, arena.cast(), arena_len, choice, second, part)
                }
                12 if r.below(3) == 0 => mote_posterior(run, image, elements, r.bits() as u32),
                12 if r.below(2) == 0 => mote_condition(run, image, elements),
                12 => mote_inpaint(run, image, elements),
                13..=15 => mote_step(run, if r.below(2) == 0 { null_mut() } else { place(out, r) }),
                16 => mote_image(run, pixels, pixel_count),
                17 => mote_digest(run, place(out, r)),
                18 => mote_steps_done(run, place(out, r)),
                19 => mote_snapshot_bytes(model, choice, place(out, r)),
                20 => {
                    let mut written = 0;
                    let status = mote_save(run, saved.cast(), room, &raw mut written);
                    if status == mote_status::MOTE_OK && saved == self.saved.bytes_mut().as_mut_ptr() {
                        self.saved_bytes = written;
                    }
                    status
                }
                21 => {
                    let bytes = if r.below(4) == 0 { room } else { self.saved_bytes };
                    mote_resume(
                        run,
                        model,
                        arena.cast(),
                        arena_len,
                        self.saved.bytes_mut().as_ptr().cast(),
                        bytes,
                    )
                }
                _ => match r.below(2) {
                    0 => mote_open_detail(model, place(out, r)),
                    _ => mote_run_detail(run, place(out, r)),
                },
            }
        }
    }

    /// Damages what a caller may write, and gives up what is borrowed of it.
    fn change(&mut self) {
        let r = &mut self.random;
        match r.below(3) {
            0 => {
                // Storage of zeros holds nothing: nothing borrows the file any more.
                self.models
                    .iter_mut()
                    .chain(&mut self.runs)
                    .for_each(|lent| lent.bytes_mut().fill(0));
                let len = self.genuine.len();
                self.file.bytes_mut()[..len].copy_from_slice(&self.genuine);
                for _ in 0..r.below(3) {
                    let at = r.below(len);
                    self.file.bytes_mut()[at] ^= 1 << r.below(8);
                }
            }
            1 => {
                let at = r.below(self.saved.len);
                self.saved.bytes_mut()[at] ^= 1 << r.below(8);
            }
            _ => {
                // A copy of storage.
                let from = self.runs[0].bytes_mut().to_vec();
                self.runs[1].bytes_mut().copy_from_slice(&from);
            }
        }
    }

    fn is_guarded(&self) -> bool {
        let one = [&self.file, &self.image, &self.pixels, &self.saved, &self.small];
        let more = self.models.iter().chain(&self.runs).chain(&self.arenas);
        one.into_iter().chain(more).all(Lent::is_guarded)
    }
}

#[test]
fn hostile_calls_get_a_status_and_write_nothing_else() {
    let known: HashSet<i32> = mote_status_names();
    let genuine = model(Form::Mixed);
    let mut world = World {
        random: Random(0x6d6f_7465),
        file: Lent::new(genuine.len() + 48),
        models: [(); 2].map(|()| Lent::new(2 * size_of::<mote_model>())),
        runs: [(); 2].map(|()| Lent::new(2 * size_of::<mote_run>())),
        arenas: [(); 2].map(|()| Lent::new(16 * 1024)),
        image: Lent::new(16 * 4),
        pixels: Lent::new(16),
        saved: Lent::new(512),
        saved_bytes: 0,
        small: Lent::new(2 * size_of::<mote_config>()),
        genuine,
    };
    let len = world.genuine.len();
    world.file.bytes_mut()[..len].copy_from_slice(&world.genuine.clone());
    let mut seen = HashSet::new();
    for call in 0..CALLS {
        if world.random.below(400) == 0 {
            world.change();
        }
        let status = world.call();
        assert!(known.contains(&(status as i32)), "call {call}");
        seen.insert(status as i32);
        if call % 64 == 0 {
            assert!(world.is_guarded(), "call {call}");
        }
    }
    assert!(world.is_guarded());
    // Good calls and bad ones of many kinds.
    assert!(seen.contains(&0) && seen.contains(&1) && seen.len() >= 20, "{seen:?}");
}

fn mote_status_names() -> HashSet<i32> {
    status_names().map(|(_, number)| number).collect()
}

/// Storage and arena serve one image after another, and another caller's errors leave no trace.
#[test]
fn a_run_in_used_memory_keeps_its_bits() {
    let bytes = model(Form::Mixed);
    let memory = AlignedBytes::copy_of(&bytes);
    let parsed = Model::parse(memory.bytes()).expect("the model is valid");
    let mut storage = Box::new((
        mote_model {
            opaque: [0; MOTE_MODEL_WORDS],
        },
        mote_run {
            opaque: [0; MOTE_RUN_WORDS],
        },
    ));
    let (model, run): (*mut mote_model, *mut mote_run) = (&raw mut storage.0, &raw mut storage.1);
    // SAFETY: everything is as the header asks for.
    unsafe {
        let ok = mote_status::MOTE_OK;
        assert_eq!(mote_open(model, memory.bytes().as_ptr().cast(), bytes.len()), ok);
        for sampler in [4, 0, 3, 1] {
            let mut config = std::mem::zeroed::<mote_config>();
            assert_eq!(mote_config_init(&raw mut config, model, 4), ok);
            (config.seed, config.sampler, config.class_label) = (9, sampler, 2);
            let rust = Config {
                seed: 9,
                method: mote_runtime::Method::numbered(sampler).expect("a sampler"),
                class: Some(2),
                ..Config::of(parsed.header(), 4)
            };
            let mut arena = AlignedBytes::zeroed(arena_bytes(&parsed, &rust));
            let (at, len) = (arena.bytes_mut().as_mut_ptr(), arena.bytes().len());
            assert_eq!(
                mote_start(run, model, at.cast(), len - 1, &raw const config),
                mote_status::MOTE_ARENA_TOO_SMALL
            );
            assert_eq!(mote_step(run, null_mut()), mote_status::MOTE_NOT_STARTED);
            assert_eq!(mote_start(run, model, at.cast(), len, &raw const config), ok);
            let expected = finish(&parsed, &rust, &Start::Seed).expect("it runs here").steps;
            let mut step = std::mem::zeroed::<mote_step_info>();
            for expected in expected {
                assert_eq!(mote_step(run, &raw mut step), ok);
                assert_eq!(
                    (step.index, step.timestep, step.digest),
                    (expected.index, expected.timestep, expected.digest)
                );
            }
            assert_eq!(mote_step(run, &raw mut step), mote_status::MOTE_FINISHED);
        }
    }
}
