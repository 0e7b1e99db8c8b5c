//! Progress bars on stderr, drawn only where stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over `total` parts of `what`.
pub fn bar(what: impl Into<String>, total: u64) -> ProgressBar {
    // indicatif draws to stderr, and not at all where that is no terminal.
    let bar = ProgressBar::new(total).with_message(what.into());
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:32}] {pos}/{len}  {elapsed} (eta {eta})") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
