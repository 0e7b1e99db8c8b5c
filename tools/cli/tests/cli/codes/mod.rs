//! Every code of the tools is met by a command here, with file, field, value and remedy in its message; or no command can meet it, and
//! the error itself is held to that, with the reason ([`elsewhere`]).

mod checkpoints;
mod elsewhere;
mod faults;
mod files;
#[path = "../../../../../tests/src/parts.rs"]
#[allow(dead_code, reason = "the tests of the runtime take all of it")]
mod parts;
mod requests;
mod tensors;

use crate::common::{Done, digits, fashion, folder, images, model, mote, vectors};
use std::collections::BTreeSet;
use std::path::Path;

/// A command, its code, and words of its message.
pub type Row = (&'static str, u16, &'static [&'static str]);

fn code(stderr: &str) -> Option<u16> {
    let (_, after) = stderr.split_once("code: MOTE-")?;
    after.split(',').next()?.parse().ok()
}

/// What is wrong with a row's refusal: its code, its words, its remedy.
fn wrong(line: &str, places: &[(&str, &Path)], expected: u16, words: &[&str]) -> Option<String> {
    let Done { stderr, .. } = &mote(line, places);
    let missing = words.iter().find(|word| !stderr.contains(**word));
    let helps = stderr.contains("help: ") || stderr.contains("try '--help'");
    let right = code(stderr) == Some(expected) && missing.is_none() && helps;
    (!right).then(|| {
        format!(
            "{line}: MOTE-{expected}, '{}' or help is missing in {stderr}\n",
            missing.unwrap_or(&"")
        )
    })
}

#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn every_code_is_met_with_file_field_value_and_remedy_or_no_command_can_meet_it() {
    let dir = folder();
    files::made(dir.path());
    let lander = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/lander-policy");
    let places = [
        ("model", model()),
        ("digits", &*digits()),
        ("fashion", &*fashion()),
        ("vectors", &*vectors()),
        ("images", &*images()),
        ("lander", &*lander),
        ("dir", dir.path()),
    ];
    // A name that another library gives to weights has the code of a file that is missing, and advice of its own.
    let words = [
        "renamed/unet/diffusion_pytorch_model.safetensors",
        "rename it to this name",
    ];
    let mut faults: Vec<String> = vec![];
    faults.extend(wrong("convert {dir}/renamed -o {dir}/x.mote", &places, 1105, &words));
    let busy = std::fs::File::open(dir.path().join("busy/training")).unwrap();
    busy.try_lock().unwrap();
    let mut met = BTreeSet::new();
    for (line, expected, words) in requests::ROWS.iter().chain(checkpoints::ROWS) {
        faults.extend(wrong(line, &places, *expected, words));
        assert!(met.insert(*expected), "{line}: {expected} stands twice");
    }
    met.extend(faults::met(dir.path(), &mut faults));
    let elsewhere = elsewhere::errors();
    for (error, expected, why, words) in &elsewhere {
        assert_eq!(error.code().number(), *expected, "{error}");
        assert!(
            error.advice().is_some_and(|advice| advice.len() > 10) && why.len() > 10,
            "{error}"
        );
        let all = format!("{error} {}\n", error.advice().unwrap_or_default());
        let missing = words.iter().filter(|word| !all.contains(**word));
        faults.extend(missing.map(|word| format!("{expected}: no '{word}' in {all}")));
        assert!(met.insert(*expected), "{error}: {expected} stands twice");
    }
    assert!(faults.is_empty(), "{}", faults.concat());
    let all = mote_tools::code::groups().into_iter().flat_map(|group| group.entries);
    let all: BTreeSet<u16> = all.map(|entry| entry.code.number()).collect();
    assert_eq!(all.difference(&met).collect::<Vec<_>>(), [&0; 0], "no row has them");
    assert!(met.is_subset(&all), "{met:?}");
}
