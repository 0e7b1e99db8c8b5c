//! Bad input: a message that says what to do, the right exit status, nothing half written.

use crate::common::{digits, fashion, folder, listing, model, mote, vectors};
use std::path::Path;

/// Runs `line` in a fresh folder, expects `status` and all of `words` on stderr, and an empty folder afterwards.
fn refused(line: &str, status: i32, words: &[&str]) {
    let dir = folder();
    let places = [
        ("model", model()),
        ("digits", &*digits()),
        ("vectors", &*vectors()),
        ("dir", dir.path()),
        ("root", Path::new("/")),
        ("fashion", &*fashion()),
    ];
    let done = mote(line, &places);
    assert_eq!(done.status, status, "{line}: {}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{line}: no '{word}' in {}", done.stderr);
    }
    assert_eq!(listing(dir.path()), Vec::<String>::new(), "{line}");
}

#[test]
fn absurd_numbers_are_bad_usage() {
    for (option, word) in [
        ("--steps -1", "--steps"),
        ("--eta 2", "between 0 and 1"),
        ("--eta NaN", "between 0 and 1"),
        ("--count 0", "--count"),
        ("--count 99999999999999999999", "--count"),
        ("--guidance inf", "--guidance"),
        ("--seed -1", "seed"),
        ("--strength 0.5", "--from"),
        ("--sampler euler", "ddim"),
        ("--sampler heun --eta 0.5", "--eta is for --sampler ddim"),
        ("--variance large", "--variance is for --sampler ddpm"),
        ("--inpaint mask.png", "--from"),
        ("--interpolate 3 --count 2", "--count"),
        ("--interpolate 3 --frames 1", "--frames"),
        ("--frames 3", "--interpolate"),
        ("--backend board:toaster", "microbit"),
    ] {
        refused(&format!("sample {{model}} -o {{dir}}/x.png {option}"), 2, &[word]);
    }
}

/// Where there is a GPU the float network runs on it.
#[test]
fn the_float_network_runs_where_it_is_asked_to_or_not_at_all() {
    let line = "validate {model} --backends cpu --seeds 1 --steps 1 --against {digits} --float";
    refused(&format!("{line} gpu"), 2, &["cuda:f16"]);
    refused("validate {model} --float cuda", 2, &["--against"]);
    if mote_host::cuda::driver::missing().is_some() {
        refused(
            &format!("{line} cuda"),
            1,
            &["the float network on cuda", "missing", "--float cpu"],
        );
    } else {
        assert_eq!(
            mote(&format!("{line} cuda"), &[("model", model()), ("digits", &*digits())]).status,
            0
        );
    }
}

#[test]
fn what_the_model_cannot_do_is_refused() {
    for (option, word) in [
        ("--steps 0", "1 to 1000"),
        ("--steps 5000", "1 to 1000"),
        ("--class 3", "no class labels"),
        ("--guidance 3", "guidance"),
    ] {
        refused(
            &format!("sample {{model}} -o {{dir}}/x.png {option}"),
            1,
            &[word, "help"],
        );
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    refused("sample {dir}/no.mote -o {dir}/x.png", 1, &["no.mote", "help"]);
    refused("sample {dir} -o {dir}/x.png", 1, &["folder"]);
    refused("sample {vectors} -o {dir}/x.png", 1, &["not a Mote model", "help"]);
    refused("inspect {vectors} --json", 1, &["not a Mote model"]);
    refused("sample {model} -o {dir}/x.png --noise {model}", 1, &["safetensors"]);
    refused(
        "sample {model} -o {dir}/x.png --noise {vectors}:nothing",
        1,
        &["nothing", "it holds"],
    );
    refused(
        "sample {model} -o {dir}/x.png --noise {vectors}:layer.conv_in",
        1,
        &["layer.conv_in"],
    );
    refused("sample {model} -o {dir}/x.png --from {vectors}", 1, &["PNG"]);
    refused("convert {dir}/none -o {dir}/m.mote", 1, &["none", "help"]);
    refused("convert {dir} -o {dir}/m.mote", 1, &["unet"]);
    refused("crosscheck {digits} {model}", 1, &["safetensors"]);
    refused("validate {model} --against {dir}", 1, &["unet"]);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    refused("sample {model} -o {dir}/none/x.png", 1, &["cannot write", "help"]);
    refused("sample {model} -o {dir}", 1, &["folder"]);
    refused("sample {model} -o {model}", 2, &["both input and output"]);
    refused("convert {digits} -o {dir}/none/m.mote", 1, &["cannot write"]);
    refused("convert {digits} -o {root}", 1, &["folder"]);
}

#[test]
fn a_model_that_does_not_fit_its_board_is_refused_with_numbers() {
    let line = "convert {digits} -o {dir}/m.mote --board stm32vldiscovery --scheme";
    refused(
        &format!("{line} f16"),
        1,
        &["stm32vldiscovery", "RAM", "8192", "netduinoplus2"],
    );
    refused(&format!("{line} w8a16"), 1, &["RAM", "--scheme w8a8 fits it"]);
    // The arena that was asked for, and no other.
    refused(&format!("{line} w8a8 --arena fast"), 1, &["RAM", "8192"]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "calibration takes minutes without optimization")]
fn auto_says_what_the_smallest_model_would_need() {
    let line = "convert {fashion} -o {dir}/m.mote --board microbit";
    refused(
        line,
        1,
        &[
            "with weights of 8 bits",
            "flash, of 262144",
            "RAM, of 16384",
            "netduinoplus2",
        ],
    );
}

#[test]
fn damaged_models_are_refused() {
    let dir = folder();
    let whole = std::fs::read(model()).unwrap();
    let path = dir.path().join("bad.mote");
    let check = |bytes: &[u8], word: &str| {
        std::fs::write(&path, bytes).unwrap();
        let done = mote("inspect {path}", &[("path", &path)]);
        assert_eq!(done.status, 1);
        assert!(done.stderr.contains(word), "{}", done.stderr);
    };
    check(&[], "not a Mote model");
    check(&whole[..whole.len() / 2], "cut off");
    let with = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    check(&with(4, 99), "format version");
    check(&with(6, 99), "numeric contract version");
    check(&with(whole.len() / 2, whole[whole.len() / 2] ^ 1), "checksum");
}

#[test]
fn a_finished_file_outlives_a_refusal() {
    let dir = folder();
    let kept = dir.path().join("kept.mote");
    std::fs::write(&kept, "precious").unwrap();
    let line = "convert {digits} -o {kept} --board stm32vldiscovery --scheme f16";
    assert_eq!(mote(line, &[("digits", &digits()), ("kept", &kept)]).status, 1);
    assert_eq!(std::fs::read(&kept).unwrap(), b"precious");
    assert_eq!(listing(dir.path()), ["kept.mote"]);
}

#[test]
fn failures_are_json_where_json_was_asked_for() {
    let done = mote("sample {dir}/no.mote -o x.png --json", &[("dir", folder().path())]);
    assert_eq!(done.status, 1);
    assert!(done.any_json()["error"].as_str().unwrap().contains("no.mote"));
}

#[cfg(unix)]
#[test]
fn a_full_disk_and_a_reader_that_left() {
    use std::process::{Command, Stdio};
    let inspect = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mote"));
        command.arg("inspect").arg(model()).stderr(Stdio::null());
        command
    };
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        assert_eq!(inspect().stdout(full).status().unwrap().code(), Some(1));
    }
    let mut child = inspect().stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
