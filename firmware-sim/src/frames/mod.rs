//! Reads the firmware's log: defmt frames in rzCOBS, told apart by zeros.
//!
//! A frame is the number of a format string and its arguments; the strings are names of symbols in the image's ELF file. The libraries
//! that probes use for it bring 50 crates, most of them for what this firmware never logs. This reads what it does log, and refuses
//! an image with any other argument before it runs.

mod message;
mod rzcobs;
mod table;

use table::Table;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Details.
    Debug,
    /// Progress.
    Info,
    /// Something odd.
    Warn,
    /// What keeps the firmware from its work.
    Error,
}

/// A line that the firmware logged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub text: String,
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.level, self.text)
    }
}

/// The format strings of an image.
pub struct Frames(Table);

impl Frames {
    /// Reads the format strings from the image's ELF file; the error is a sentence.
    pub fn of(elf: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(elf).map_err(|error| error.to_string())?;
        Table::of(&file).map(Self)
    }

    /// A decoder for one run.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder {
            table: &self.0,
            received: Vec::new(),
            malformed: 0,
        }
    }
}

/// Turns the bytes of one run into lines.
pub struct Decoder<'table> {
    table: &'table Table,
    /// Bytes of a frame whose end has not come.
    received: Vec<u8>,
    /// Frames that could not be read.
    pub malformed: usize,
}

impl Decoder<'_> {
    /// Takes what came and calls `on_line` for each line that it completes.
    pub fn feed(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(LogLine)) {
        let mut pieces = bytes.split(|&byte| byte == 0).peekable();
        while let Some(piece) = pieces.next() {
            self.received.extend_from_slice(piece);
            // The last piece has no zero behind it; zeros between frames may be many.
            if pieces.peek().is_none() || self.received.is_empty() {
                continue;
            }
            match rzcobs::decoded(&self.received).and_then(|frame| message::line(self.table, &frame)) {
                Some(line) => on_line(line),
                None => self.malformed += 1,
            }
            self.received.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table and the bytes of `tests/data/log`.
    fn recorded() -> (Table, Vec<u8>) {
        let symbols = include_str!("../../../tests/data/log/symbols").lines();
        let symbols = symbols.filter_map(|line| line.split_once(' '));
        let symbols = symbols.map(|(number, name)| (number.parse().unwrap(), name));
        let digits: Vec<u32> = include_str!("../../../tests/data/log/frames")
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        let bytes = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8);
        (Table::of_symbols(symbols).unwrap(), bytes.collect())
    }

    /// The lines of `bytes`, which come `size` at a time, and how many frames could not be read.
    fn lines(table: &Table, bytes: &[u8], size: usize) -> (Vec<String>, usize) {
        let frames = Frames(table.clone());
        let (mut decoder, mut lines) = (frames.decoder(), Vec::new());
        for bytes in bytes.chunks(size) {
            decoder.feed(bytes, &mut |line| lines.push(line.to_string()));
        }
        (lines, decoder.malformed)
    }

    #[test]
    fn frames_are_read_as_defmt_decoder_reads_them_however_they_come() {
        let (table, bytes) = recorded();
        let expected: Vec<String> = include_str!("../../../tests/data/log/lines")
            .lines()
            .map(str::to_owned)
            .collect();
        for size in [1, 2, 3, 7, bytes.len()] {
            assert_eq!(lines(&table, &bytes, size), (expected.clone(), 0));
        }
    }

    #[test]
    fn broken_frames_are_counted_and_the_next_is_read() {
        let (table, bytes) = recorded();
        let whole = bytes.split(|&byte| byte == 0).filter(|frame| !frame.is_empty()).count();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF, bytes[at] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                // A zero makes two frames of one, its loss one of two.
                let (found, malformed) = lines(&table, &bytes, bytes.len());
                assert!(
                    (whole - 1..=whole + 1).contains(&(found.len() + malformed)),
                    "{at} {value}"
                );
            }
        }
        // A frame for every number of a format, and nothing behind it.
        for number in 0..=40u8 {
            let (found, malformed) = lines(&table, &[number, 0b0111111, 0], 3);
            assert_eq!(found.len() + malformed, 1);
        }
    }

    #[test]
    fn arguments_that_are_not_read_are_refused_by_name() {
        let refused = |tag: &str, data: &str| {
            let name = format!(r#"{{"tag":"{tag}","data":"{data}"}}"#);
            Table::of_symbols([(1, name.as_str())]).err()
        };
        for data in ["{=u8:x} {=i64} {=str:?}", "A|B({=?})|C", "{=[u8]:02x}", "{{}}"] {
            assert_eq!(refused("defmt_info", data), None, "{data}");
        }
        for data in [
            "{=f32}",
            "{=u8:#x}",
            "{1=u8} {0=u8}",
            "{=0..4}",
            "{=[?]}",
            "{=u128}",
            "{",
        ] {
            assert!(
                refused("defmt_info", data).is_some_and(|what| what.contains(data)),
                "{data}"
            );
        }
        assert!(refused("defmt_timestamp", "{=u64:us}").is_some_and(|what| what.contains("timestamp")));
    }
}
