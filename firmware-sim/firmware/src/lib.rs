//! The Mote firmware: one source for every simulated board.
//!
//! 1. [`hw`] starts the core, paints the stack, and carries log frames to the host by semihosting.
//! 2. [`request`] reads what to do from the semihosting command line, so that a new seed needs no new build.
//! 3. [`sampling`] loads the model that the linker put in flash and samples from it.
//! 4. [`report`] writes what was measured as log lines that start with `@`; the runner reads them back.
//! 5. [`clock`] counts instructions.
//! 6. [`drill`] fails on purpose, so that the runner's handling of broken firmware is tested.
//! 7. `second`, of the feature `paired`, starts a second core and gives it halves of operators.
#![no_std]
#![deny(unsafe_code)]

mod clock;
mod drill;
mod hw;
mod report;
mod request;
mod sampling;
#[cfg(feature = "paired")]
mod second;

use request::{Request, Task};

/// Everything between reset and exit. Whether the work was done decides the exit status.
fn run() -> bool {
    clock::start();
    let request = match hw::with_command_line(Request::parse) {
        Ok(request) => request,
        Err(error) => {
            defmt::error!("the request was not understood: {}", error);
            return false;
        }
    };
    let done = match request.task {
        Task::Sample => sampling::run(&request),
        Task::Drill(drill) => drill::run(drill),
    };
    report::stack();
    done
}
