//! Long work beside the interpreter: without its lock, stopped by Ctrl-C, with progress.

use crate::error::exception;
use mote_tools::Error;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How often signals are looked for, and progress is told.
const BEAT: Duration = Duration::from_millis(50);

/// The process that loaded this.
static LOADED_BY: OnceLock<u32> = OnceLock::new();

/// Remembers which process this is.
pub fn loaded() {
    LOADED_BY.get_or_init(std::process::id);
}

/// Runs `work` where its loops find threads: a process that was forked has none of its parent's, and would wait for them for ever.
fn among_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if LOADED_BY.get().is_none_or(|process| *process == std::process::id()) {
        return work();
    }
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// What the work and its caller tell each other.
#[derive(Debug, Default)]
pub struct Watch {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    /// One more piece is done.
    pub fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// So many pieces are done.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Whether the caller wants no more of it.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs `work` on a thread of its own, and waits without the interpreter's lock. `progress` is called with the pieces that are done.
///
/// A signal's exception, and one of `progress`, ends the wait at once; the work ends where it next looks.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    let watch = Arc::new(Watch::default());
    let (sender, mut receiver) = channel();
    let of_work = Arc::clone(&watch);
    std::thread::spawn(move || {
        // Nobody waits any more where the caller was interrupted.
        let _ = sender.send(among_threads(|| work(&of_work)));
    });
    let mut told = 0;
    loop {
        let (back, finished) = py.detach(|| {
            let received = receiver.recv_timeout(BEAT);
            (receiver, received)
        });
        let interrupted = py.check_signals().and_then(|()| {
            let done = watch.done.load(Ordering::Relaxed);
            match progress {
                Some(callback) if done != told => {
                    told = done;
                    callback.call1((done,)).map(drop)
                }
                _ => Ok(()),
            }
        });
        if let Err(error) = interrupted {
            watch.stop.store(true, Ordering::Relaxed);
            return Err(error);
        }
        match finished {
            Ok(result) => return result.map_err(|error| exception(py, &error)),
            Err(RecvTimeoutError::Timeout) => receiver = back,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(
                    py,
                    &Error::new("the work ended without a result").help("report this as a fault"),
                ));
            }
        }
    }
}
