//! What a program says of its version.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that says nothing within this is taken as missing.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of its answer that are read.
const MOST: u64 = 4096;

/// The first line that a program prints when it is called with these words and ends well; `None` otherwise.
pub fn line(program: &str, words: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if began.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(5)),
            // It hangs, or cannot be asked.
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let mut text = vec![];
    child.stdout.take()?.take(MOST).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.filter(|_| ended).map(crate::escaped)
}

/// The first version in a line, such as 1.95.0, as numbers.
pub fn numbers(line: &str) -> Option<Vec<u32>> {
    let words = line.split(|c: char| !c.is_ascii_digit() && c != '.');
    let version = |word: &str| -> Option<Vec<u32>> {
        let parts: Option<Vec<u32>> = word.split('.').map(|part| part.parse().ok()).collect();
        parts.filter(|parts| parts.len() > 1)
    };
    words.into_iter().find_map(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(numbers("rustc 1.95.0 (59807616e 2026-04-14)"), Some(vec![1, 95, 0]));
        assert_eq!(
            numbers("QEMU emulator version 10.0.2 (Debian 1:10.0)"),
            Some(vec![10, 0, 2])
        );
        assert_eq!(numbers("no version"), None);
        assert!(numbers("a 1.100") > numbers("a 1.95.0"));
    }

    #[test]
    fn what_is_not_there_or_fails_says_nothing() {
        assert_eq!(line("no-such-program-of-mote", &[]), None);
        assert_eq!(line("false", &[]), None);
    }
}
