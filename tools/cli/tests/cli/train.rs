//! Training, from data to a model file.

use crate::common::{digits, folder, has_keys, images as data, listing, mote};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("unet/diffusion_pytorch_model.safetensors")).unwrap()
}

/// A run that is killed in the middle and started again ends with the weights of one that was not.
#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn a_killed_run_ends_with_the_same_weights() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path())];
    let line = |name: &str| format!("train --data {{data}} -o {{dir}}/{name} --steps 200 --batch 8 --seed 5 --json");
    let whole = mote(&line("whole"), &places).json();
    has_keys(
        &whole,
        &[
            "checkpoint",
            "params",
            "steps",
            "resumed_at",
            "held_out",
            "loss",
            "images_per_second",
        ],
    );
    assert_eq!((&whole["params"], &whole["resumed_at"]), (&38341.into(), &0.into()));
    let killed = dir.path().join("killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mote"))
        .args(["train", "--steps", "200", "--batch", "8", "--seed", "5", "--data"])
        .arg(data())
        .arg("-o")
        .arg(&killed)
        .env("RAYON_NUM_THREADS", "1")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (state, began) = (killed.join("training/state.safetensors"), Instant::now());
    while !state.exists() && began.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !killed.join("unet").exists(),
        "the run was over before it could be killed"
    );
    let resumed = mote(&line("killed"), &places).json();
    assert!(resumed["resumed_at"].as_u64().unwrap() > 0, "{resumed}");
    assert_eq!(weights(&dir.path().join("whole")), weights(&killed));
    assert_eq!(whole["held_out"], resumed["held_out"]);
    assert_eq!(listing(&killed), ["model_index.json", "scheduler", "training", "unet"]);
    assert_eq!(
        listing(&killed.join("training")),
        ["loss.csv", "loss.png", "samples.png", "state.safetensors"]
    );
    // A run with other settings is another run.
    let other = mote(
        "train --data {data} -o {dir}/killed --steps 200 --batch 8 --seed 6",
        &places,
    );
    assert_eq!(other.status, 1);
    assert!(other.stderr.contains("seed was 5, is 6"), "{}", other.stderr);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn what_was_trained_converts_and_runs() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path()), ("digits", &*digits())];
    let line = "train --data {data} -o {dir}/labelled --steps 4 --batch 8 --classes --prediction v_prediction --json";
    mote(line, &places).json();
    let inspected = mote("convert {dir}/labelled -o {dir}/l.mote --scheme w8a8 --json", &places).json();
    assert!(inspected["params"].as_u64().unwrap() > 38341, "{inspected}");
    mote(
        "sample {dir}/l.mote -o {dir}/l.png --class 3 --guidance 2 --steps 4 --json",
        &places,
    )
    .json();
    // A learned variance is trained, and cut away: what would sample with it is refused by name.
    let line = "train --data {data} -o {dir}/hybrid --steps 4 --batch 8 --learned-variance --prediction sample --json";
    assert!(mote(line, &places).json()["loss"].as_f64().unwrap().is_finite());
    mote("convert {dir}/hybrid -o {dir}/h.mote --scheme w8a16 --json", &places).json();
    let line = "sample {dir}/h.mote -o {dir}/h.png --steps 4 --json";
    mote(line, &places).json();
    mote(&format!("{line} --sampler ddpm --variance small"), &places).json();
    let compared = mote(
        "validate {dir}/h.mote --backends cpu --against {dir}/hybrid --seeds 1 --steps 4 --json",
        &places,
    )
    .json();
    assert!(
        compared["float"]["x0_psnr_db_mean"].as_f64().unwrap() > 30.0,
        "{compared}"
    );
    let refused = mote(&format!("{line} --sampler ddpm"), &places);
    assert!(
        refused.status == 1
            && refused
                .stderr
                .contains("learned variances (variance_type learned_range)"),
        "{}",
        refused.stderr
    );
    // Formats that were trained for are the file's: converting with them is exact.
    let line = "train --data {data} -o {dir}/int --distill-from {digits} --qat w8a8 --steps 4 --batch 8 --json";
    mote(line, &places).json();
    assert!(listing(&dir.path().join("int")).contains(&"quantization.json".to_owned()));
    let against_itself = |scheme: &str| {
        let line = format!("convert {{dir}}/int -o {{dir}}/{scheme}.mote --scheme {scheme} --json");
        let object = mote(&line, &places).json();
        object["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| t["kind"] == "activation")
            .cloned()
            .collect::<Vec<_>>()
    };
    let trained = std::fs::read_to_string(dir.path().join("int/quantization.json")).unwrap();
    let trained: serde_json::Value = serde_json::from_str(&trained).unwrap();
    let tensors = against_itself("w8a8");
    for (name, activation) in trained["activations"].as_object().unwrap() {
        let tensor = tensors.iter().find(|t| t["name"] == name.as_str()).unwrap();
        assert_eq!(tensor["zero_point"], activation["zero_point"], "{name}");
        let (found, wanted) = (tensor["scale"].as_f64().unwrap(), activation["scale"].as_f64().unwrap());
        assert!((found / wanted - 1.0).abs() < 1e-6, "{name}: {found}, {wanted} trained");
    }
}

/// The number of steps is found by measuring some, and stays what it was when the run is taken up.
#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn a_run_of_some_minutes_ends_about_then() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path())];
    let line = "train --data {data} -o {dir}/timed --minutes 0.05 --batch 8 --json";
    let (began, done) = (Instant::now(), mote(line, &places).json());
    // Three seconds, of steps whose number was measured; a machine that others share may take longer.
    assert!(began.elapsed() < Duration::from_secs(120), "{done}");
    let steps = done["steps"].as_u64().unwrap();
    assert!(steps > 1 && steps < 6000, "{done}");
    let again = mote(line, &places).json();
    assert_eq!((&again["steps"], &again["resumed_at"]), (&steps.into(), &steps.into()));
}

/// The widest network of a preset's form that a board holds is trained, and that board holds it.
#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn a_network_that_was_fitted_to_a_board_fits_it() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path())];
    let line = "train --data {data} -o {dir}/fitted --fit microbit --steps 2 --batch 4 --json";
    let params = mote(line, &places).json()["params"].as_u64().unwrap();
    // The preset itself, which the micro:bit holds with room to spare, has 38,341.
    assert!(params > 38_341, "{params}");
    let line = "convert {dir}/fitted -o {dir}/fitted.mote --scheme w8a8 --board microbit --json";
    let converted = mote(line, &places).json();
    assert_eq!(
        (&converted["board"]["fits"], &converted["params"]),
        (&true.into(), &params.into())
    );
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path()), ("digits", &*digits())];
    for (line, words) in [
        ("train --data {dir}/none.npz -o {dir}/a", "cannot read"),
        ("train --data {dir} -o {dir}/a", "holds no PNG file"),
        (
            "train --data {data} -o {dir}/a --preset huge",
            "no preset is named 'huge'",
        ),
        ("train --data {data} -o {dir}/a --qat w8a8", "--distill-from"),
        (
            "train --data {data} -o {dir}/a --distill-from {digits} --qat auto",
            "has no formats to train for",
        ),
        ("train --data {data} -o {dir}/a --hold-out 1000", "--hold-out 1000, but"),
        ("train --data {data} -o {dir}/a --range 1,-1", "the lower first"),
        ("train --data {dir}/none.npz -o {dir}/a --range -1,1", "none.npz"),
        (
            "train --data {data} -o {dir}/a --fit stm32vldiscovery --preset fashion16-tiny",
            "no network of this form fits",
        ),
    ] {
        let done = mote(line, &places);
        assert_ne!(done.status, 0, "{line}");
        assert!(done.stderr.contains(words), "{line}: {}", done.stderr);
    }
}

/// A student of few steps and a network of flow matching are checkpoints like any other.
#[test]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn few_steps_and_flows_are_trained_and_convert() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path()), ("digits", &*digits())];
    let line = "train --data {data} -o {dir}/two --distill-from {digits} --teacher-steps 6 --student-steps 2 --steps 4 --batch 8 --json";
    assert!(mote(line, &places).json()["held_out"].as_f64().unwrap().is_finite());
    let text = std::fs::read_to_string(dir.path().join("two/scheduler/scheduler_config.json")).unwrap();
    let scheduler: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(scheduler["prediction_type"], "v_prediction");
    assert_eq!(scheduler["timestep_spacing"], "trailing");
    assert_eq!(scheduler["clip_sample"], false);
    mote("convert {dir}/two -o {dir}/two.mote --scheme w8a8 --json", &places).json();
    for sampler in ["ddim", "consistency"] {
        let line = format!("sample {{dir}}/two.mote -o {{dir}}/two.png --steps 2 --sampler {sampler} --json");
        mote(&line, &places).json();
    }
    // Its own teacher's images of the same seeds are the floor; the student's are somewhere else.
    let line = "eval {dir}/two --distance-to {digits} --steps 2 --their-steps 4 --count 70 --json";
    let found = mote(line, &places).json();
    assert!(found["distance"].as_f64() > found["floor"].as_f64(), "{found}");
    has_keys(&found, &["images", "steps", "their_steps", "distance", "floor", "data"]);
    let line = "train --data {data} -o {dir}/flow --prediction flow --times logit-normal --steps 4 --batch 8 --json";
    assert!(mote(line, &places).json()["held_out"].as_f64().unwrap().is_finite());
    mote("convert {dir}/flow -o {dir}/flow.mote --scheme w8a8 --json", &places).json();
    for sampler in ["euler", "heun", "flow-midpoint", "dpm++", "consistency"] {
        let line = format!("sample {{dir}}/flow.mote -o {{dir}}/flow.png --steps 4 --sampler {sampler} --json");
        mote(&line, &places).json();
    }
}

#[test]
fn what_few_steps_and_flows_have_no_use_for_is_refused() {
    let dir = folder();
    let places = [("data", &*data()), ("dir", dir.path()), ("digits", &*digits())];
    for (options, status, words) in [
        ("--student-steps 2", 2, ["--distill-from", "required"]),
        (
            "--distill-from {digits} --student-steps 2 --teacher-steps 5",
            1,
            ["5 steps", "multiple"],
        ),
        (
            "--times logit-normal",
            2,
            ["--times would do nothing", "--prediction flow"],
        ),
        (
            "--prediction flow --learned-variance",
            2,
            ["--learned-variance would do nothing", "leave it out"],
        ),
    ] {
        let refused = mote(&format!("train --data {{data}} -o {{dir}}/x {options}"), &places);
        assert_eq!(refused.status, status, "{options}: {}", refused.stderr);
        for word in words {
            assert!(refused.stderr.contains(word), "{options}: {}", refused.stderr);
        }
    }
}
