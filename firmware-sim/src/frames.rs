//! Decodes the firmware's defmt frames, and tells log lines from the lines that carry results.

use defmt_decoder::{DecodeError, StreamDecoder, Table};

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
        match Table::parse(elf) {
            Ok(Some(table)) => Ok(Self(table)),
            Ok(None) => Err("the image has no log format strings".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A decoder for one run.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder {
            stream: self.0.new_stream_decoder(),
            malformed: 0,
        }
    }
}

/// Turns the bytes of one run into lines.
pub struct Decoder<'table> {
    stream: Box<dyn StreamDecoder + Send + Sync + 'table>,
    /// Frames that could not be read.
    pub malformed: usize,
}

impl Decoder<'_> {
    /// Takes what came and calls `on_line` for each line that it completes.
    pub fn feed(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(LogLine)) {
        self.stream.received(bytes);
        loop {
            match self.stream.decode() {
                Ok(frame) => {
                    let level = match frame.level().map(|level| level.as_str()) {
                        Some("error") => Level::Error,
                        Some("warn") => Level::Warn,
                        Some("trace" | "debug") => Level::Debug,
                        _ => Level::Info,
                    };
                    on_line(LogLine {
                        level,
                        text: frame.display_message().to_string(),
                    });
                }
                Err(DecodeError::UnexpectedEof) => return,
                Err(DecodeError::Malformed) => self.malformed += 1,
            }
        }
    }
}
