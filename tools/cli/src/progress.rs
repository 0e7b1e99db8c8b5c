//! Progress on stderr. On a terminal it is a bar; elsewhere a plain line every ten seconds, which a log keeps. `--quiet` shows neither.
//!
//! A thread beside the command's work shows what the latest bar stands at. So no command that takes long is silent, whether it has a bar or not.

use super::print;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between plain lines, where it is set; 0 for none.
const EVERY_VARIABLE: &str = "MOTE_PROGRESS";
/// The same where it is not set.
const EVERY: Duration = Duration::from_secs(10);
/// Work without a bar for so long shows on a terminal.
const SILENCE: Duration = Duration::from_secs(2);

static QUIET: AtomicBool = AtomicBool::new(false);
/// The latest bar, while it is there.
static LATEST: Mutex<Option<WeakProgressBar>> = Mutex::new(None);
/// What a terminal shows while no bar is there.
static AT_WORK: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to show the progress of `command`; with `quiet` none is shown.
pub fn start(command: String, quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    let terminal = std::io::stderr().is_terminal();
    let every = match terminal {
        true => Some(SILENCE),
        false => every(std::env::var(EVERY_VARIABLE).ok().as_deref()),
    };
    let Some(every) = every.filter(|_| !quiet) else { return };
    // It ends with the command itself. Without it the command is silent, which is no failure.
    let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
        let begun = Instant::now();
        loop {
            std::thread::sleep(every);
            if terminal {
                show_at_work(&command, begun);
            } else if !is_quiet() {
                print::progress_line(standing(&command, begun));
            }
        }
    });
}

/// The time between lines that the variable asks for: ten seconds where it says nothing that is a time.
fn every(asked: Option<&str>) -> Option<Duration> {
    let seconds = asked.and_then(|text| text.trim().parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(time.unwrap_or(EVERY)).filter(|time| !time.is_zero())
}

/// Whether nothing of progress is wanted.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A bar over `total` parts of `what`, which lines tell of as well.
pub fn bar(what: impl Into<String>, total: u64) -> ProgressBar {
    clear();
    let target = match is_quiet() {
        true => ProgressDrawTarget::hidden(),
        // It draws nothing where stderr is no terminal.
        false => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what.into());
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:32}] {pos}/{len}  {elapsed} (eta {eta})") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    *held(&LATEST) = Some(bar.downgrade());
    bar
}

/// Shows nothing from here on: the command is done.
pub fn end() {
    QUIET.store(true, Ordering::Relaxed);
    clear();
}

/// Takes away what a terminal shows of work without a bar, before something else is written there.
pub fn clear() {
    if let Some(shown) = held(&AT_WORK).take() {
        shown.finish_and_clear();
    }
}

fn latest() -> Option<ProgressBar> {
    let bar = held(&LATEST).as_ref().and_then(WeakProgressBar::upgrade);
    bar.filter(|bar| !bar.is_finished())
}

fn show_at_work(command: &str, begun: Instant) {
    let mut shown = held(&AT_WORK);
    if !is_quiet() && latest().is_none() && shown.is_none() {
        let spinner = ProgressBar::new_spinner().with_message(format!("{command}: at work"));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            spinner.set_style(style);
        }
        let spinner = spinner.with_elapsed(begun.elapsed());
        spinner.enable_steady_tick(Duration::from_millis(200));
        *shown = Some(spinner);
    }
}

/// The line that says how far the command is.
fn standing(command: &str, begun: Instant) -> String {
    match latest() {
        Some(bar) => {
            let counts = (bar.position(), bar.length().unwrap_or(0));
            line(&bar.message(), counts, bar.elapsed(), bar.eta())
        }
        None => format!("{command}: at work for {}", clock(begun.elapsed())),
    }
}

fn line(what: &str, (done, of): (u64, u64), gone: Duration, left: Duration) -> String {
    let gone = clock(gone);
    match done {
        0 => format!("{what}: 0 of {of}, {gone} gone"),
        _ => {
            let percent = done.min(of) * 100 / of.max(1);
            format!(
                "{what}: {done} of {of} ({percent} %), {gone} gone, {} left",
                clock(left)
            )
        }
    }
}

/// Minutes and seconds, hours before them where there are any.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match minutes {
        0..60 => format!("{minutes}:{seconds:02}"),
        _ => format!("{}:{:02}:{seconds:02}", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_done_and_what_is_left() {
        let [gone, left] = [75, 3700].map(Duration::from_secs);
        assert_eq!(
            line("sampling", (3, 9), gone, left),
            "sampling: 3 of 9 (33 %), 1:15 gone, 1:01:40 left"
        );
        // Before the first part is done nobody knows how long it takes.
        assert_eq!(line("sampling", (0, 9), gone, left), "sampling: 0 of 9, 1:15 gone");
        assert_eq!(
            line("sampling", (1, 0), gone, left),
            "sampling: 1 of 0 (0 %), 1:15 gone, 1:01:40 left"
        );
    }

    #[test]
    fn the_time_between_lines_is_what_was_asked_for() {
        assert_eq!(every(None), Some(EVERY));
        assert_eq!(every(Some("0.5")), Some(Duration::from_millis(500)));
        assert_eq!(every(Some("0")), None);
        for none in ["", "x", "-1", "nan", "1e99"] {
            assert_eq!(every(Some(none)), Some(EVERY), "{none}");
        }
    }
}
