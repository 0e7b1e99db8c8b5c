//! Names that a project can have: a Rust package's, a CMake target's.

use crate::Error;
use std::path::Path;

const MOST: usize = 64;

/// What the name would be taken for by one world or another.
const TAKEN: [&str; 60] = [
    "abstract",
    "all",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "clean",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "edit_cache",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "help",
    "if",
    "impl",
    "in",
    "install",
    "let",
    "loop",
    "macro",
    "main",
    "match",
    "mod",
    "mote",
    "move",
    "mut",
    "override",
    "package",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "run",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "use",
    "where",
    "while",
];

/// Packages that a project depends on.
const PACKAGES: [&str; 16] = [
    "cortex-m",
    "cortex-m-rt",
    "defmt",
    "defmt-rtt",
    "embassy-executor",
    "embassy-futures",
    "embassy-nrf",
    "embassy-rp",
    "embassy-time",
    "embedded-storage",
    "mote-build",
    "mote-runtime",
    "mote-store",
    "panic-probe",
    "riscv",
    "riscv-rt",
];

/// Names that Windows gives to devices: no folder there has one.
fn is_device(name: &str) -> bool {
    let port = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
    matches!(name, "con" | "prn" | "aux" | "nul") || port.is_some_and(|digit| matches!(digit.as_bytes(), [b'1'..=b'9']))
}

/// The name of a project in `folder`.
///
/// # Errors
/// Of kind `Usage` for one that a world refuses.
pub fn of(folder: &Path) -> Result<String, Error> {
    let refuse = |name: &str, why: &str| {
        Error::usage(format_args!("'{name}' cannot be a project's name: {why}"))
            .help("give a name of letters, digits, '-' and '_' that begins with a letter, such as my-app")
    };
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(refuse(&name, "it does not begin with a letter"));
    }
    if let Some(other) = name.chars().find(|c| !letters(*c)) {
        return Err(refuse(&name, &format!("it has a '{other}'")));
    }
    if name.len() > MOST {
        return Err(refuse(&name, "it is longer than 64 letters"));
    }
    let plain = name.to_ascii_lowercase();
    if TAKEN.contains(&plain.as_str()) || PACKAGES.contains(&plain.as_str()) {
        return Err(refuse(&name, "a build takes that word for something else"));
    }
    if is_device(&plain) {
        return Err(refuse(&name, "Windows takes that word for a device"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn only_names_of_packages_are_names() {
        for good in [
            "my-app",
            "a",
            "/x/y/Digits_8",
            "my-app/",
            "com",
            "com10",
            "console",
            "nulls",
        ] {
            of(Path::new(good)).unwrap();
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            ".",
            "..",
            "8bit",
            "-a",
            "NUL",
            "con",
            "Com1",
            "lpt9",
            "my app",
            "café",
            "a.b",
            "fn",
            "Mote",
            "test",
            "cortex-m",
            "embassy-nrf",
            &long,
        ] {
            assert_eq!(of(Path::new(bad)).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }
}
