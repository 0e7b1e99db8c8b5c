//! Values that a shell offers where others are taken too: `mote completions` writes them into its script.

use clap::Arg;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Command, Error};
use mote_firmware_sim::{boards, chips};
use mote_tools::{Backend, Scheme};
use std::ffi::OsStr;

/// A parser with values to offer. Its arguments hide them in their help, which names them in words.
#[derive(Debug, Clone)]
pub struct Offering<P> {
    parser: P,
    values: fn() -> Vec<String>,
}

impl<P: TypedValueParser> TypedValueParser for Offering<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.values)().into_iter().map(PossibleValue::new)))
    }
}

/// The name of a board or of a file, offering the boards and chips.
pub fn board() -> Offering<StringValueParser> {
    let values = || {
        let simulated = boards().iter().map(|board| board.name);
        simulated
            .chain(chips().map(|chip| chip.name))
            .map(str::to_owned)
            .collect()
    };
    Offering {
        parser: StringValueParser::new(),
        values,
    }
}

/// A scheme.
pub fn scheme() -> Offering<impl TypedValueParser<Value = Scheme>> {
    Offering {
        parser: |text: &str| text.parse::<Scheme>(),
        values: || Scheme::ALL.iter().map(Scheme::to_string).collect(),
    }
}

/// A backend, offering those without further choices.
pub fn backend() -> Offering<impl TypedValueParser<Value = Backend>> {
    let values = || {
        let named = ["cpu", "portable", "oracle", "wasm", "cuda"].map(str::to_owned);
        let simulated = boards().iter().map(|board| format!("board:{}", board.name));
        named.into_iter().chain(simulated).collect()
    };
    Offering {
        parser: |text: &str| Backend::parse(text),
        values,
    }
}
