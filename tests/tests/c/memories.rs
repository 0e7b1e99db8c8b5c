//! Flash and external weights as C calls for them: snapshots in two slots, and blocks of a cut model.

use std::ffi::c_void;
use std::mem::zeroed;
use std::ptr::{null, null_mut};

use mote::*;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start, Step, arena_bytes};
use mote_tests::running::finish;
use mote_tests::synthetic::{Form, model};
use mote_tools::emit::split::split;

const STEPS: u32 = 4;
const SECTOR: u32 = 128;
const WORD: u32 = 16;
const START: u32 = 128;
/// Two slots.
const STORE: u32 = 4 * SECTOR;

/// A flash that loses power after so many bytes.
struct Flash {
    bytes: Vec<u8>,
    left: usize,
    done: usize,
}

impl Flash {
    fn change(&mut self, at: u32, to: impl Iterator<Item = u8>) -> i32 {
        for (place, new) in self.bytes[at as usize..].iter_mut().zip(to) {
            if self.left == 0 {
                // Torn.
                *place &= new | 0x55;
                return 7;
            }
            (*place, self.left, self.done) = (new, self.left - 1, self.done + 1);
        }
        0
    }
}

/// # Safety
/// The library gives what it was given, and pointers to so many bytes.
unsafe extern "C" fn read(context: *mut c_void, at: u32, to: *mut u8, bytes: u32) -> i32 {
    // SAFETY: as above.
    let (flash, to) = unsafe {
        (
            &*context.cast::<Flash>(),
            std::slice::from_raw_parts_mut(to, bytes as usize),
        )
    };
    to.copy_from_slice(&flash.bytes[at as usize..][..bytes as usize]);
    0
}

/// # Safety
/// As of [`read`].
unsafe extern "C" fn write(context: *mut c_void, at: u32, from: *const u8, bytes: u32) -> i32 {
    assert!(at.is_multiple_of(WORD) && bytes.is_multiple_of(WORD) && bytes > 0);
    // SAFETY: as above.
    let (flash, from) = unsafe {
        (
            &mut *context.cast::<Flash>(),
            std::slice::from_raw_parts(from, bytes as usize),
        )
    };
    let place = &flash.bytes[at as usize..][..bytes as usize];
    assert!(place.iter().all(|&byte| byte == 0xFF), "a word is written once");
    flash.change(at, from.iter().copied())
}

/// # Safety
/// As of [`read`].
unsafe extern "C" fn erase(context: *mut c_void, at: u32, bytes: u32) -> i32 {
    assert!(at.is_multiple_of(SECTOR) && bytes.is_multiple_of(SECTOR));
    // SAFETY: as above.
    unsafe { &mut *context.cast::<Flash>() }.change(at, (0..bytes).map(|_| 0xFF))
}

fn of(flash: &mut Flash) -> mote_flash {
    mote_flash {
        context: std::ptr::from_mut(flash).cast(),
        read: Some(read),
        write: Some(write),
        erase: Some(erase),
        bytes: flash.bytes.len() as u32,
        sector_bytes: SECTOR,
        word_bytes: WORD,
    }
}

/// A model's file, and a run of it in C's words.
struct Product {
    file: AlignedBytes,
    arena: AlignedBytes,
    expected: Vec<Step>,
}

impl Product {
    fn new(form: Form) -> Self {
        let file = AlignedBytes::copy_of(&model(form));
        let parsed = Model::parse(file.bytes()).expect("the model is valid");
        let choice = Config {
            seed: 5,
            class: Some(1),
            ..Config::of(parsed.header(), STEPS)
        };
        let expected = finish(&parsed, &choice, &Start::Seed).expect("the run is valid").steps;
        let arena = AlignedBytes::zeroed(arena_bytes(&parsed, &choice));
        Self { file, arena, expected }
    }

    /// Draws the image, saving after every step, until it is done or power is gone. Gives how many steps a reset after it finds done.
    ///
    /// # Safety
    /// The memory of `self` and `flash` stay where they are.
    unsafe fn draw(&mut self, flash: &mut Flash) -> mote_status {
        let (at, len) = (self.arena.bytes_mut().as_mut_ptr().cast(), self.arena.bytes().len());
        let mut buffer = [0u8; 2 * SECTOR as usize];
        let (to, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: storage is zeros, memory is there and stays where it is.
        unsafe {
            let (mut model, mut run): (mote_model, mote_run) = (zeroed(), zeroed());
            let (mut config, mut store): (mote_config, mote_store) = (zeroed(), zeroed());
            let (mut step, mut bytes): (mote_step_info, usize) = (zeroed(), 0);
            let file = self.file.bytes();
            assert_eq!(
                mote_open(&mut model, file.as_ptr().cast(), file.len()),
                mote_status::MOTE_OK
            );
            assert_eq!(mote_config_init(&mut config, &model, STEPS), mote_status::MOTE_OK);
            (config.seed, config.class_label) = (5, 1);
            assert_eq!(
                mote_record_bytes(&model, &config, WORD, &mut bytes),
                mote_status::MOTE_OK
            );
            assert!(bytes <= room && bytes.is_multiple_of(WORD as usize));
            assert_eq!(
                mote_store_open(&mut store, &of(flash), START, STORE),
                mote_status::MOTE_OK
            );
            assert_eq!(mote_store_load(&mut store, to, room, &mut bytes), mote_status::MOTE_OK);
            let begun = match bytes {
                0 => mote_start(&mut run, &model, at, len, &config),
                _ => mote_resume(&mut run, &model, at, len, to, bytes),
            };
            assert_eq!(begun, mote_status::MOTE_OK);
            loop {
                match mote_step(&mut run, &mut step) {
                    mote_status::MOTE_OK => {}
                    ended => {
                        assert_eq!(ended, mote_status::MOTE_FINISHED);
                        return mote_store_clear(&mut store);
                    }
                }
                assert_eq!(step.digest, self.expected[step.index as usize].digest);
                let saved = mote_store_save(&mut store, &run, to, room);
                if saved != mote_status::MOTE_OK {
                    return saved;
                }
            }
        }
    }
}

#[test]
fn power_lost_at_any_byte_leaves_a_run_that_goes_on() {
    let mut product = Product::new(Form::W8A8);
    let fresh = || Flash {
        bytes: vec![0xA5; (START + STORE + SECTOR) as usize],
        left: usize::MAX,
        done: 0,
    };
    let mut flash = fresh();
    // SAFETY: all of it stays where it is.
    assert_eq!(unsafe { product.draw(&mut flash) }, mote_status::MOTE_OK);
    let total = flash.done;
    assert!(total > 1000, "{total} bytes");
    for left in (0..total).step_by(7) {
        let mut flash = fresh();
        flash.left = left;
        // SAFETY: as above.
        assert_eq!(unsafe { product.draw(&mut flash) }, mote_status::MOTE_FLASH);
        flash.left = usize::MAX;
        // SAFETY: as above. Every step of the second life has its digest.
        assert_eq!(unsafe { product.draw(&mut flash) }, mote_status::MOTE_OK);
        assert!(flash.bytes[..START as usize].iter().all(|&byte| byte == 0xA5));
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let mut flash = Flash {
        bytes: vec![0; 1024],
        left: usize::MAX,
        done: 0,
    };
    let good = of(&mut flash);
    // SAFETY: storage is zeros, memory is there and stays where it is.
    unsafe {
        let (mut store, mut bytes): (mote_store, usize) = (zeroed(), 0);
        let mut buffer = [0u8; 64];
        let to = buffer.as_mut_ptr().cast();
        let run: mote_run = zeroed();
        assert_eq!(mote_store_clear(&mut store), mote_status::MOTE_NOT_OPEN);
        assert_eq!(
            mote_store_load(&mut store, to, 64, &mut bytes),
            mote_status::MOTE_NOT_OPEN
        );
        assert_eq!(mote_store_clear(null_mut()), mote_status::MOTE_NULL);
        assert_eq!(mote_store_open(&mut store, null(), 0, 512), mote_status::MOTE_NULL);
        let mut missing = good;
        missing.erase = None;
        assert_eq!(mote_store_open(&mut store, &missing, 0, 512), mote_status::MOTE_NULL);
        for (start, bytes) in [
            (64, 512),
            (0, 300),
            (0, 128),
            (0, 0),
            (512, 1024),
            (u32::MAX - 127, 256),
            (0, u32::MAX),
        ] {
            let refused = mote_store_open(&mut store, &good, start, bytes);
            assert_eq!(refused, mote_status::MOTE_STORE_RANGE, "{start}, {bytes}");
        }
        for (word, sector) in [(0, 128), (64, 128), (48, 128), (16, 0)] {
            let mut odd = good;
            (odd.word_bytes, odd.sector_bytes) = (word, sector);
            assert_eq!(mote_store_open(&mut store, &odd, 0, 512), mote_status::MOTE_STORE_RANGE);
        }
        assert_eq!(mote_store_open(&mut store, &good, 0, 512), mote_status::MOTE_OK);
        assert_eq!(mote_store_load(&mut store, to, 64, &mut bytes), mote_status::MOTE_OK);
        assert_eq!(bytes, 0);
        assert_eq!(mote_store_save(&mut store, &run, to, 64), mote_status::MOTE_NOT_STARTED);
    }
}

/// The file of weights behind a bus: what was asked for comes when it is waited for.
struct Bus {
    weights: Vec<u8>,
    asked: Option<(u32, *mut u8, u32)>,
    reads: u32,
    /// After so many reads none succeeds.
    breaks: u32,
}

/// # Safety
/// As of [`read`].
unsafe extern "C" fn start(context: *mut c_void, at: u32, to: *mut u8, bytes: u32) -> i32 {
    // SAFETY: as above.
    let bus = unsafe { &mut *context.cast::<Bus>() };
    assert!(bus.asked.is_none(), "one at a time");
    bus.asked = Some((at, to, bytes));
    bus.reads += 1;
    0
}

/// # Safety
/// As of [`read`].
unsafe extern "C" fn wait(context: *mut c_void) -> i32 {
    // SAFETY: as above.
    let bus = unsafe { &mut *context.cast::<Bus>() };
    let (at, to, bytes) = bus.asked.take().expect("it was asked for");
    if bus.reads > bus.breaks {
        return 1;
    }
    let from = &bus.weights[at as usize..][..bytes as usize];
    // SAFETY: the library's buffer, which nobody reads before this returns.
    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    0
}

#[test]
fn a_cut_model_has_the_bits_of_the_whole_one() {
    for form in [Form::W8A8, Form::W8A16, Form::F16] {
        let mut product = Product::new(form);
        let cut = split(product.file.bytes()).expect("it can be cut");
        let small = AlignedBytes::copy_of(&cut.model);
        let mut bus = Bus {
            weights: cut.weights,
            asked: None,
            reads: 0,
            breaks: u32::MAX,
        };
        let context: *mut Bus = &mut bus;
        let reader = mote_reader {
            context: context.cast(),
            start: Some(start),
            wait: Some(wait),
        };
        let (at, len) = (
            product.arena.bytes_mut().as_mut_ptr().cast(),
            product.arena.bytes().len(),
        );
        // SAFETY: storage is zeros, memory is there and stays where it is.
        unsafe {
            let (mut model, mut run): (mote_model, mote_run) = (zeroed(), zeroed());
            let (mut config, mut stream): (mote_config, mote_stream) = (zeroed(), zeroed());
            let (mut step, mut bytes): (mote_step_info, usize) = (zeroed(), 0);
            let (file, file_bytes) = (small.bytes().as_ptr().cast(), small.bytes().len());
            assert_eq!(mote_open(&mut model, file, file_bytes), mote_status::MOTE_MODEL_APART);
            assert_eq!(mote_open_apart(&mut model, file, file_bytes), mote_status::MOTE_OK);
            assert_eq!(mote_stream_bytes(&model, 2, &mut bytes), mote_status::MOTE_OK);
            let mut buffers = AlignedBytes::zeroed(bytes);
            let room = buffers.bytes_mut().as_mut_ptr().cast();
            let mut opened = |bytes| mote_stream_open(&mut stream, &model, &reader, room, bytes);
            assert_eq!(opened(16), mote_status::MOTE_ARENA_TOO_SMALL);
            assert_eq!(opened(bytes), mote_status::MOTE_OK);
            assert_eq!(mote_config_init(&mut config, &model, STEPS), mote_status::MOTE_OK);
            (config.seed, config.class_label) = (5, 1);
            let mut closed: mote_stream = zeroed();
            assert_eq!(mote_start(&mut run, &model, at, len, &config), mote_status::MOTE_OK);
            assert_eq!(mote_step(&mut run, &mut step), mote_status::MOTE_APART);
            let none = mote_step_streamed(&mut run, &mut closed, &mut step);
            assert_eq!(none, mote_status::MOTE_NOT_OPEN);
            // A read that fails moves nothing: the step is run again.
            (*context).breaks = (*context).reads + 1;
            let failed = mote_step_streamed(&mut run, &mut stream, &mut step);
            assert_eq!(failed, mote_status::MOTE_UNREAD, "{form:?}");
            (*context).breaks = u32::MAX;
            for expected in &product.expected {
                let done = mote_step_streamed(&mut run, &mut stream, &mut step);
                assert_eq!(done, mote_status::MOTE_OK);
                assert_eq!((step.index, step.digest), (expected.index, expected.digest), "{form:?}");
            }
            let ended = mote_step_streamed(&mut run, &mut stream, &mut step);
            assert_eq!(ended, mote_status::MOTE_FINISHED);
            // Other weights than the model's.
            (&mut (*context).weights)[3] ^= 0x40;
            let other = mote_stream_open(&mut stream, &model, &reader, room, bytes);
            assert_eq!(other, mote_status::MOTE_OTHER_WEIGHTS);
            assert_eq!(
                mote_step_streamed(&mut run, &mut stream, &mut step),
                mote_status::MOTE_NOT_OPEN
            );
        }
    }
}
