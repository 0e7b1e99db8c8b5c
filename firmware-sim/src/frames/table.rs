//! The format strings of an image: names of symbols in its section `.defmt`, by their addresses.

use std::collections::BTreeMap;

use defmt_parser::{DisplayHint, Fragment, Parameter, ParserMode, Type, parse};
use object::{Object, ObjectSection, ObjectSymbol};

use super::Level;

/// The version of the wire format that is read.
const VERSION: &str = "4";

/// What a symbol's name says, as JSON.
#[derive(serde::Deserialize)]
struct Symbol {
    tag: String,
    data: String,
}

/// A format string.
#[derive(Clone, Debug)]
pub(super) struct Format {
    /// Of a line's, how much it matters; `None` of parts of lines.
    pub level: Option<Level>,
    /// Its variants: one, but for an enum.
    pub variants: Vec<Vec<Fragment<'static>>>,
}

/// The format strings of an image, by their numbers.
#[derive(Clone, Debug)]
pub(super) struct Table(BTreeMap<u16, Format>);

impl Table {
    /// Of an image; the error is a sentence.
    pub fn of(file: &object::File<'_>) -> Result<Self, String> {
        let names = || file.symbols().filter_map(|symbol| symbol.name().ok());
        // lld keeps the quotes of a linker script.
        let said = |what: &str| {
            let says = |name: &str| {
                Some(
                    name.trim_matches('"')
                        .strip_prefix(what)?
                        .strip_prefix(" = ")?
                        .to_owned(),
                )
            };
            names().find_map(says)
        };
        match (said("_defmt_version_"), said("_defmt_encoding_")) {
            (Some(version), Some(encoding)) if version == VERSION && encoding == "rzcobs" => {}
            (Some(version), Some(encoding)) => {
                return Err(format!(
                    "its log is defmt {version} in {encoding}; defmt {VERSION} in rzcobs is read"
                ));
            }
            _ => return Err("the image has no log format strings".into()),
        }
        let sections: Vec<_> = file
            .sections()
            .filter(|section| {
                section
                    .name()
                    .is_ok_and(|name| name == ".defmt" || name.starts_with(".defmt."))
            })
            .map(|section| section.index())
            .collect();
        let there = |index| sections.contains(&index);
        let symbols = file
            .symbols()
            .filter(|symbol| symbol.section_index().is_some_and(there));
        Self::of_symbols(symbols.filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?))))
    }

    /// Of symbols by their addresses; the error is a sentence.
    pub fn of_symbols<'a>(symbols: impl IntoIterator<Item = (u64, &'a str)>) -> Result<Self, String> {
        let mut formats = BTreeMap::new();
        // Others are marks that a linker makes.
        for (address, name) in symbols.into_iter().filter(|(_, name)| name.starts_with('{')) {
            let bad = |what: String| format!("log symbol '{name}': {what}");
            let symbol: Symbol = serde_json::from_str(name).map_err(|error| bad(error.to_string()))?;
            let level = match symbol.tag.as_str() {
                "defmt_trace" | "defmt_debug" => Some(Level::Debug),
                "defmt_info" | "defmt_println" => Some(Level::Info),
                "defmt_warn" => Some(Level::Warn),
                "defmt_error" => Some(Level::Error),
                "defmt_prim" | "defmt_derived" | "defmt_write" | "defmt_str" => None,
                _ => return Err(bad("the runner does not read its kind".into())),
            };
            let number = u16::try_from(address).map_err(|error| bad(error.to_string()))?;
            let variants = match symbol.tag.as_str() {
                // No format, whatever is in it.
                "defmt_str" => vec![vec![Fragment::Literal(symbol.data.into())]],
                _ => symbol
                    .data
                    .split('|')
                    .map(fragments)
                    .collect::<Result<_, _>>()
                    .map_err(bad)?,
            };
            formats.insert(number, Format { level, variants });
        }
        Ok(Self(formats))
    }

    /// Of that number.
    pub fn get(&self, number: u16) -> Option<&Format> {
        self.0.get(&number)
    }
}

/// What a format string is made of, if all of it is read; the error is a sentence.
fn fragments(format: &str) -> Result<Vec<Fragment<'static>>, String> {
    let fragments = parse(format, ParserMode::Strict).map_err(|error| error.to_string())?;
    let mut arguments = 0;
    for fragment in &fragments {
        let Fragment::Parameter(Parameter { index, ty, hint }) = fragment else {
            continue;
        };
        if *index != arguments || !is_read(ty, hint.as_ref()) {
            return Err(format!(
                "the runner does not read its argument {index}: {ty:?}, {hint:?}"
            ));
        }
        arguments += 1;
    }
    let owned = |fragment| match fragment {
        Fragment::Literal(text) => Fragment::Literal(text.into_owned().into()),
        Fragment::Parameter(parameter) => Fragment::Parameter(parameter),
    };
    Ok(fragments.into_iter().map(owned).collect())
}

/// Whether such an argument is read.
fn is_read(ty: &Type, hint: Option<&DisplayHint>) -> bool {
    use Type::{Bool, Format, I8, I16, I32, I64, IStr, Isize, Str, U8, U8Slice, U16, U32, U64, Usize};
    let ty = matches!(
        ty,
        Bool | Format | I8 | I16 | I32 | I64 | IStr | Isize | Str | U8 | U8Slice | U16 | U32 | U64 | Usize
    );
    use DisplayHint::{Debug, Hexadecimal, NoHint};
    ty && hint.is_none_or(|hint| {
        matches!(
            hint,
            NoHint { .. }
                | Debug
                | Hexadecimal {
                    alternate: false,
                    uppercase: false,
                    ..
                }
        )
    })
}
