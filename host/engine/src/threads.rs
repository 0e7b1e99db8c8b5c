//! Threads of one network call. Images that run side by side have a thread each; a call that runs alone shares its large operators with
//! the threads of rayon's pool that have nothing to do.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Multiply-accumulates of a call above which other threads are kept awake for it.
const WORTH_MACS: u64 = 500_000_000;

/// How long a helper looks for work before it lets the pool put it to sleep.
const PATIENCE: Duration = Duration::from_micros(200);

/// Calls of an engine that run now.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicUsize);

/// A call that runs.
struct Entered<'r>(&'r AtomicUsize);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    /// Runs `call` of a network of `macs` multiply-accumulates, which gets the number of threads that its operators may use: one where other
    /// images have the rest.
    pub fn run<R>(&self, macs: u64, call: impl FnOnce(usize) -> R) -> R {
        let beside = self.0.fetch_add(1, Ordering::Relaxed);
        let _entered = Entered(&self.0);
        let threads = rayon::current_num_threads() / (beside + 1);
        // Outside of the pool there is no thread whose own jobs a helper could take.
        if threads < 2 || macs < WORTH_MACS || rayon::current_thread_index().is_none() {
            return call(threads.max(1));
        }
        let done = AtomicBool::new(false);
        rayon::in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| help(&done));
            }
            let _finished = Finished(&done);
            call(threads)
        })
    }
}

/// Ends the helpers, whatever becomes of the call.
struct Finished<'d>(&'d AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Takes jobs of the pool until the call is done: to wake a thread for each operator would take longer than many an operator does.
fn help(done: &AtomicBool) {
    let mut last = Instant::now();
    while !done.load(Ordering::Acquire) && last.elapsed() < PATIENCE {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => last = Instant::now(),
            // On a busy machine the call itself may wait for this core.
            _ => std::thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_side_by_side_share_the_threads_and_a_finished_one_gives_its_own_back() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .expect("four threads");
        pool.install(|| {
            let running = Running::default();
            for macs in [0, WORTH_MACS] {
                let inner = running.run(macs, |alone| {
                    assert_eq!(alone, 4);
                    let second = running.run(0, |beside| (beside, running.run(0, |third| third)));
                    assert_eq!(second, (2, 1));
                    running.run(macs, |again| again)
                });
                assert_eq!(inner, 2);
            }
            assert_eq!(running.0.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn a_call_that_panics_leaves_neither_helpers_nor_itself_behind() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .expect("two threads");
        let running = Running::default();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| running.run(WORTH_MACS, |_| panic!("a call that fails")))
        }));
        assert!(ended.is_err());
        assert_eq!(pool.install(|| running.run(0, |threads| threads)), 2);
    }
}
