//! The Mote runtime for C: what `include/mote.h` declares.
//!
//! The caller owns all memory. A [`mote_model`] and a [`mote_run`] are storage of a constant size, in which a parsed model and a
//! run live; Rust's lifetimes between them are erased, and the header says in words what they said. Every pointer is
//! checked for null, alignment and overlap as far as that can be seen; what cannot be seen stands under `# Safety`.
//!
//! | module | what |
//! |---|---|
//! | `status` | numbers of everything that can be wrong; they never change |
//! | `storage` | what lies in the opaque storage, and whether it does |
//! | `check` | pointers and lengths that a caller gave |
//! | `model` | opening a file, facts of a model |
//! | `config` | what is chosen at run time |
//! | `run` | start, step |
//! | `cooperative` | a step in pieces, of the part `cooperative` |
//! | `result` | image, state, digest |
//! | `saved` | snapshots |
//! | `store` | snapshots in flash, of the part `store` |
//! | `stream` | weights in another memory, of the part `streamed` |
//! | `detail` | where an error is, for logs |
#![cfg_attr(not(test), no_std)]
#![allow(
    unsafe_code,
    reason = "a caller in C vouches for what Rust's types would: each function says for what"
)]
#![allow(
    clippy::deref_addrof,
    reason = "a place behind a caller's pointer is borrowed as it is, without a reference to what holds it"
)]
#![allow(non_camel_case_types, reason = "the names are C's")]

// The header has them in this order.
mod status;

mod storage;

mod model;

mod config;

mod run;

#[cfg(feature = "cooperative")]
mod cooperative;

mod result;

mod saved;

#[cfg(feature = "store")]
mod store;

#[cfg(feature = "streamed")]
mod stream;

mod detail;

#[cfg(any(feature = "cooperative", feature = "store", feature = "streamed"))]
mod cell;

mod check;

pub use config::*;
#[cfg(feature = "cooperative")]
pub use cooperative::*;
pub use detail::*;
pub use model::*;
pub use result::*;
pub use run::*;
pub use saved::*;
pub use status::*;
pub use storage::{MOTE_MODEL_WORDS, MOTE_RUN_WORDS, mote_model, mote_run};
#[cfg(feature = "store")]
pub use store::*;
#[cfg(feature = "streamed")]
pub use stream::*;

/// Called by no archive without the part `fast`: a test finds no panic in them. With it, the quick kernels' checks of their own indices
/// end here, in a fault, as every damage of memory that a core finds.
#[cfg(any(target_os = "none", target_arch = "wasm32"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the undefined instruction of this core touches neither memory nor registers.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("udf #0", options(noreturn, nomem, nostack))
    }
    // SAFETY: as above.
    #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
    unsafe {
        core::arch::asm!("unimp", options(noreturn, nomem, nostack))
    }
    // The caller in JavaScript gets an exception.
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(any(
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "wasm32"
    )))]
    loop {}
}
