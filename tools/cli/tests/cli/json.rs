//! `docs/json.md` against what the commands print.

use super::common::{digits, folder, images, mote, vectors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a run of trained numbers depends on: keys are those of other files.
const OF_OTHERS: [&str; 2] = ["provenance", "calibration"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Keys of every section, those of sections that it leads to included.
fn sections() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/json.md")).expect("docs/json.md");
    let mut own: BTreeMap<String, (BTreeSet<String>, Vec<String>)> = BTreeMap::new();
    let mut name = "error".to_owned();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            name = heading.to_lowercase().replace(' ', "-");
        }
        let Some(row) = line.strip_prefix("| ").filter(|row| row.starts_with('`')) else {
            continue;
        };
        let (keys, what) = row.split_once(" | ").expect("two columns");
        let (known, leads) = own.entry(name.clone()).or_default();
        let parts = keys.split('`').skip(1).step_by(2);
        known.extend(parts.map(|key| key.trim_end_matches("[]").to_owned()));
        let links = what.split("](#").skip(1).filter_map(|rest| rest.split_once(')'));
        leads.extend(links.map(|(link, _)| link.to_owned()));
    }
    let all = |(known, leads): &(BTreeSet<String>, Vec<String>)| {
        let others = leads.iter().flat_map(|lead| own[lead].0.iter().cloned());
        known.iter().cloned().chain(others).collect()
    };
    own.iter().map(|(name, section)| (name.clone(), all(section))).collect()
}

/// Keys of a value, at any depth.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            if !OF_OTHERS.contains(&key.as_str()) {
                keys(value, into);
            }
        }),
        Value::Array(list) => list.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

/// Fails where a key of what `command` printed does not stand in its section.
fn documented(command: &str, value: &Value) {
    let sections = sections();
    let section = if value.get("error").is_some() { "error" } else { command };
    let known = sections.get(section);
    let known = known.unwrap_or_else(|| panic!("docs/json.md has no section `{section}`"));
    let mut found = BTreeSet::new();
    keys(value, &mut found);
    let missing: Vec<&String> = found.difference(known).collect();
    assert!(missing.is_empty(), "docs/json.md, section `{section}`: {missing:?}");
}

#[test]
fn every_key_stands_in_the_book() {
    let folder = folder();
    let data = root().join("tests/data/importers");
    let places = [
        ("digits", digits()),
        ("vectors", vectors()),
        ("images", images()),
        ("data", data),
        ("dir", folder.path().to_owned()),
    ];
    let places: Vec<(&str, &Path)> = places.iter().map(|(name, path)| (*name, path.as_path())).collect();
    for line in [
        "convert {digits} -o {dir}/d.mote --scheme w8a16 --board nrf52840",
        "convert {digits} -o {dir}/f.mote --scheme f16",
        "convert {data}/latent -o {dir}/l.mote --scheme w8a16",
        "convert {data}/policy -o {dir}/p.mote --scheme f16",
        "inspect {dir}/d.mote",
        "inspect {dir}/l.mote",
        "inspect {dir}/p.mote",
        "inspect {dir}/d.mote --board nrf52840",
        "plan {dir}/d.mote -o {dir}/q.mote --steps 3",
        "inspect {dir}/q.mote",
        "split {dir}/d.mote -o {dir}/s --board nrf52840",
        "sample {dir}/d.mote -o {dir}/d.png --steps 2",
        "sample {dir}/d.mote --out {dir}/0.npz --count 3 --steps 2 --shard 0/2",
        "sample {dir}/d.mote --out {dir}/1.npz --count 3 --steps 2 --shard 1/2",
        "merge {dir}/0.npz {dir}/1.npz -o {dir}/all.npz",
        "validate {dir}/d.mote --against {digits} --seeds 1 --steps 2 --layers --backends cpu",
        "validate {dir}/d.mote --against {digits} --seeds 1 --steps 1 --distribution 18 --backends cpu",
        "crosscheck {digits} {vectors}",
        "crosscheck {digits} {vectors} --dtype f32 --model {dir}/d.mote",
        "validate {dir}/d.mote --inject-fault conv --seeds 1 --steps 2 --backends cpu",
        "bench {dir}/d.mote --operators --backends cpu",
        "diff {dir}/d.mote {dir}/f.mote --seeds 1",
        "boards",
        "doctor",
        "new {dir}/project --model {dir}/d.mote --board mps2-an386 --kind c",
        "train --data {images} -o {dir}/trained --steps 2",
        "eval {digits} --data {images} --images 4 --timesteps 4",
        "eval {digits} --data {images} --images 2 --reconstruct 10,50",
        "eval {digits} --sampler ddim --steps 2 --count 1 -o {dir}/e.png",
    ] {
        let done = mote(&format!("{line} --json"), &places);
        assert!(done.status < 2, "{line}: {}", done.stderr);
        documented(line.split(' ').next().unwrap_or_default(), &done.any_json());
    }
}

/// What the book says of, the tools print: every key is written somewhere in their code.
#[test]
fn no_key_is_made_up() {
    let mut code = String::new();
    for part in [
        "tools/src",
        "tools/compile/src",
        "tools/cli/src",
        "firmware-sim/src",
        "host/graph/src",
    ] {
        read(&root().join(part), &mut code);
    }
    let written = |key: &str| {
        ["\"{}\"", "{}:", "{} }", "{},"]
            .iter()
            .any(|form| code.contains(&form.replace("{}", key)))
    };
    let keys: BTreeSet<String> = sections().into_values().flatten().collect();
    let unknown: Vec<&String> = keys.iter().filter(|key| !written(key)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn read(folder: &Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, code);
        } else if path.extension().is_some_and(|end| end == "rs") {
            code.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}
