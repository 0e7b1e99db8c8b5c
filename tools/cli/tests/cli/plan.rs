//! A run that a file plans.

use crate::common::{folder, listing, mote_in};
use mote_engine::memory::AlignedBytes;
use serde_json::Value;
use std::path::Path;

fn refused(dir: &Path, line: &str, status: i32, words: &[&str]) {
    let done = mote_in(dir, line);
    assert_eq!(done.status, status, "{line}: {}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{line}: no '{word}' in {}", done.stderr);
    }
}

#[test]
fn a_planned_file_is_sampled_without_options_to_the_same_images() {
    let dir = folder();
    let dir = dir.path();
    for options in [
        "",
        "--steps 7 --eta 0.5 --spacing trailing",
        "--sampler ddpm --steps 6",
        "--sampler ddpm --variance large --steps 6 --prev diffusers",
        "--sampler dpm++ --steps 5 --clip stock",
        "--sampler heun --steps 4 --spacing linspace",
    ] {
        let plan = mote_in(dir, &format!("plan {{model}} -o {{dir}}/p.mote {options} --json")).json();
        let [bytes, before] = ["bytes", "bytes_before"].map(|key| plan[key].as_u64().unwrap());
        let rows = plan["plan"]["timesteps"].as_array().unwrap().len() as u64;
        // Header and provenance grow a little.
        let expected = before - 8000 + 36 * rows;
        assert!((expected..expected + 64).contains(&bytes), "{plan}");
        let sampled = |line: &str| {
            mote_in(
                dir,
                &format!("sample {line} -o {{dir}}/x.png --count 2 --seed 3 --json"),
            )
            .json()
        };
        let free = sampled(&format!("{{model}} {options}"));
        for backend in ["cpu", "portable", "oracle"] {
            let found = sampled(&format!("{{dir}}/p.mote --backend {backend}"));
            for key in ["digests", "sampler", "steps", "spacing", "eta", "clip"] {
                assert_eq!(found[key], free[key], "{options} on {backend}: {key}");
            }
        }
        // What was planned may be said.
        assert_eq!(
            sampled(&format!("{{dir}}/p.mote {options}"))["digests"],
            free["digests"]
        );
    }
}

#[test]
fn what_is_planned_is_shown_and_nothing_else_runs() {
    let dir = folder();
    let dir = dir.path();
    let done = mote_in(dir, "plan {model} -o {dir}/p.mote --steps 4 --eta 1");
    assert!(
        done.stdout
            .contains("4 steps of ddim, leading spacing, clipping off, eta 1"),
        "{}",
        done.stdout
    );
    let object = mote_in(dir, "inspect {dir}/p.mote --json").json();
    assert_eq!(object["plan"]["timesteps"], serde_json::json!([751, 501, 251, 1]));
    assert_eq!(object["plan"]["sampler"], "ddim");
    let features = |object: &Value| object["features"].as_array().unwrap().contains(&"schedule".into());
    assert!(!features(&object));
    let free = mote_in(dir, "inspect {model} --json").json();
    assert!(features(&free) && free["plan"].is_null());
    assert_eq!(object["provenance"]["planned_from_crc32"], free["crc32"]);
    let text = mote_in(dir, "inspect {dir}/p.mote").stdout;
    assert!(text.contains("eta 1: 751, 501, 251, 1"), "{text}");
    for option in [
        "--steps 5",
        "--eta 0.5",
        "--sampler dpm++",
        "--sampler ddpm",
        "--spacing trailing",
        "--prev diffusers",
        "--clip stock",
    ] {
        let line = format!("sample {{dir}}/p.mote -o {{dir}}/x.png {option}");
        refused(dir, &line, 1, &["plans its run, of 4 steps", "mote inspect"]);
    }
    refused(
        dir,
        "bench {dir}/p.mote --backends cpu --steps 3",
        1,
        &["plans its run, of 4 steps"],
    );
    refused(
        dir,
        "sample {dir}/p.mote -o {dir}/x.png --variance large",
        2,
        &["--sampler ddpm"],
    );
    refused(dir, "plan {dir}/p.mote -o {dir}/q.mote", 1, &["plans a run already"]);
    refused(
        dir,
        "plan {dir}/p.mote -o {dir}/q.mote --steps 5",
        1,
        &["plans a run already", "planned from"],
    );
    refused(
        dir,
        "plan {model} -o {dir}/q.mote --sampler heun --prev diffusers",
        1,
        &["Heun", "--prev"],
    );
    refused(dir, "plan {model} -o {dir}/q.mote --steps 1001", 1, &["1 to 1000"]);
    refused(dir, "plan {model} -o {model}", 2, &["both input and output"]);
    assert_eq!(listing(dir), ["p.mote"]);
}

#[test]
fn a_planned_file_is_validated_and_measured_as_any() {
    let dir = folder();
    let dir = dir.path();
    mote_in(
        dir,
        "plan {model} -o {dir}/p.mote --steps 3 --sampler dpm++ --spacing trailing",
    )
    .stdout
    .clear();
    let line = "--backends cpu,portable,oracle --seeds 2 --against {digits} --json";
    let planned = mote_in(dir, &format!("validate {{dir}}/p.mote {line}")).json();
    let free = mote_in(
        dir,
        &format!("validate {{model}} {line} --steps 3 --sampler dpm++ --spacing trailing"),
    )
    .json();
    assert_eq!(planned["held"], true);
    assert_eq!(planned["float"], free["float"]);
    let bench = mote_in(dir, "bench {dir}/p.mote --backends portable --batch 1 --json").json();
    assert_eq!(bench["steps"], 3);
}

/// A file whose plan is damaged behind its checksums is refused by the command too.
#[test]
fn a_damaged_plan_is_refused() {
    let dir = folder();
    let dir = dir.path();
    mote_in(dir, "plan {model} -o {dir}/p.mote --steps 3");
    let mut file = std::fs::read(dir.join("p.mote")).unwrap();
    let at = {
        let memory = AlignedBytes::copy_of(&file);
        let model = mote_runtime::Model::parse(memory.bytes()).unwrap();
        model.schedule().as_ptr() as usize - memory.bytes().as_ptr() as usize
    };
    file[at] ^= 1;
    std::fs::write(dir.join("p.mote"), &file).unwrap();
    refused(
        dir,
        "sample {dir}/p.mote -o {dir}/x.png",
        1,
        &["checksum mismatch in section 'schedule'"],
    );
}
