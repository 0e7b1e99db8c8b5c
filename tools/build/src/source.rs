//! The text of `model.rs`.

use std::fmt::Write;

use crate::facts::Facts;

/// This crate's version is the runtime's: a model that one of them has checked may be opened by the same alone.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The text of `model.rs`, beside which `model.mote` lies.
pub fn of(facts: &Facts, parsed_on_device: bool) -> String {
    let mut text = format!(
        "// Written by mote-build from {}: change build.rs instead.\n",
        facts.name.escape_debug()
    );
    constants(facts, &mut text);
    checks(facts, &mut text);
    functions(facts, parsed_on_device, &mut text);
    text
}

fn constants(facts: &Facts, text: &mut String) {
    let _ = write!(
        text,
        "
/// The model file, at a multiple of 16.
#[allow(dead_code)]
pub static MODEL: ::mote_runtime::Aligned<[u8; {bytes}]> =
    ::mote_runtime::Aligned(*::core::include_bytes!(::core::concat!(::core::env!(\"OUT_DIR\"), \"/model.mote\")));
",
        bytes = facts.file_bytes,
    );
    for (name, value, about) in [
        (
            "ARENA_BYTES",
            facts.arena_bytes,
            "Memory of a run, bytes: at a multiple of 16.",
        ),
        (
            "SNAPSHOT_BYTES",
            facts.snapshot_bytes,
            "What a saved run may take, bytes.",
        ),
        (
            "SAMPLE_LEN",
            facts.sample_len(),
            "Elements of an image: (row, col, channel).",
        ),
        ("CHANNELS", facts.channels, "Channels of an image."),
        ("ROWS", facts.rows, "Rows of an image."),
        ("COLS", facts.cols, "Columns of an image."),
        ("CLASSES", facts.classes, "Class labels; 0 of an unconditional model."),
        (
            "CONDITION_LEN",
            facts.condition_len,
            "Numbers of the condition vector; 0 of a model that takes none.",
        ),
    ] {
        let _ = write!(
            text,
            "/// {about}\n#[allow(dead_code)]\npub const {name}: usize = {value};\n"
        );
    }
    let steps = facts.config.steps;
    let _ = write!(
        text,
        "/// Steps of a run.\n#[allow(dead_code)]\npub const STEPS: u32 = {steps};\n"
    );
}

/// What the device does not check again, the compiler does: version and parts of the runtime that is linked.
fn checks(facts: &Facts, text: &mut String) {
    let _ = write!(
        text,
        "
const _: () = {{
    let (checked, linked) = (b\"{VERSION}\", ::mote_runtime::VERSION.as_bytes());
    let mut same = checked.len() == linked.len();
    let mut at = 0;
    while same && at < checked.len() {{
        same = checked[at] == linked[at];
        at += 1;
    }}
    assert!(same, \"mote-build {VERSION} checked the model, and another version of mote-runtime is linked: give both the same version in Cargo.toml\");
}};
"
    );
    for feature in &facts.features {
        let _ = writeln!(
            text,
            "const _: () = assert!(::mote_runtime::Feature::{feature:?}.is_built(), {message:?});",
            message = format!(
                "{} needs the feature '{feature}' of mote-runtime: its features in Cargo.toml must hold {}",
                facts.name,
                facts.features_line(),
            ),
        );
    }
}

fn functions(facts: &Facts, parsed_on_device: bool, text: &mut String) {
    let open = if parsed_on_device {
        "    ::mote_runtime::Model::parse(&MODEL.0)"
    } else {
        "    // SAFETY: the build has parsed these bytes with this version of the runtime; what they need of it is built (above).
    unsafe { ::mote_runtime::Model::parse_trusted(&MODEL.0) }"
    };
    let how = if parsed_on_device {
        "with every check"
    } else {
        "as the build has checked it: damaged flash is still found"
    };
    let config = &facts.config;
    let _ = write!(
        text,
        "
/// Opens the model, {how}.
#[allow(dead_code, unsafe_code)]
pub fn open() -> ::core::result::Result<::mote_runtime::Model<'static>, ::mote_runtime::ParseError> {{
{open}
}}

/// The run that the build has checked.
#[allow(dead_code)]
pub fn config(model: &::mote_runtime::Model<'_>, seed: u64) -> ::mote_runtime::Config {{
    ::mote_runtime::Config {{
        seed,
        class: {class:?},
        guidance_q16: {guidance:?},
{method}        ..::mote_runtime::Config::of(model.header(), STEPS)
    }}
}}
",
        class = config.class,
        guidance = config.guidance_q16,
        method = facts.chosen.map_or(String::new(), |method| format!(
            "        method: ::mote_runtime::Method::numbered({}).unwrap_or(::mote_runtime::Method::Ddim),\n",
            method.entry().number
        )),
    );
}
