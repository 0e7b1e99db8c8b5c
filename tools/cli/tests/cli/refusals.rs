//! Bad input: a message that says what to do, the right exit status, nothing half written.

use crate::common::{digits, fashion, folder, images, listing, model, mote, vectors};
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
        ("images", &*images()),
    ];
    let done = mote(line, &places);
    assert_eq!(done.status, status, "{line}: {}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{line}: no '{word}' in {}", done.stderr);
    }
    assert_eq!(listing(dir.path()), Vec::<String>::new(), "{line}");
    // Its code has a section of the reference.
    let page = include_str!("../../../../docs/errors.md");
    let code = done.stderr.split_once("code: MOTE-").expect(line).1;
    let code = code.split(',').next().expect("a number");
    assert!(page.contains(&format!("\n### MOTE-{code}\n")), "{line}: {code}");
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
        ("--sampler leapfrog", "ddim"),
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

/// What needs no model is checked before one is read.
#[test]
fn bad_arguments_need_no_model() {
    for (line, words) in [
        (
            "sample {dir}/no.mote -o {dir}/x.png --sampler heun --eta 0.5",
            ["--eta", "--sampler ddim", "leave it out"],
        ),
        (
            "sample {dir}/no.mote -o {dir}/x.png --sampler ddim --variance large",
            ["--variance", "--sampler ddpm", "help"],
        ),
        (
            "plan {dir}/no.mote -o {dir}/x.mote --sampler dpm++ --variance large",
            ["--variance", "--sampler ddpm", "help"],
        ),
        (
            "validate {dir}/no.mote --sampler heun --eta 1",
            ["--eta", "--sampler ddim", "leave it out"],
        ),
        (
            "validate {dir}/no.mote --against {dir} --min-psnr inf",
            ["--min-psnr is inf", "dB", "40"],
        ),
        (
            "sample {dir}/no.mote -o {dir}/x.jpg",
            ["x.jpg ends in .jpg", "what is written is .png", "ends in .png"],
        ),
        (
            "sample {dir}/no.mote --out {dir}/x.zip",
            ["x.zip ends in .zip", "a folder", "the name of a folder"],
        ),
        (
            "plan {dir}/no.mote -o {dir}/x.bin",
            ["x.bin ends in .bin", ".mote", "ends in .mote"],
        ),
        (
            "convert {dir}/none -o {dir}/x.onnx",
            ["x.onnx ends in .onnx", ".mote", "ends in .mote"],
        ),
        (
            "convert {dir}/none -o {dir}/x.mote --report {dir}/r.html",
            ["r.html ends in .html", "a folder", "the name of a folder"],
        ),
        (
            "train --data {dir}/none.npz -o {dir}/x.safetensors",
            ["x.safetensors ends in", "a folder", "the name of a folder"],
        ),
        (
            "eval {dir}/none --data {dir} --reconstruct 0",
            ["--reconstruct", "1 to 100000", "0"],
        ),
    ] {
        refused(line, 2, &words);
    }
}

/// An option that would do nothing is refused, whatever the folder holds.
#[test]
fn options_of_another_task_are_refused() {
    for (options, option, whose) in [
        ("--data {dir} -o {dir}/x.png", "-o", "draw a picture"),
        ("--data {dir} --eta 0.5", "--eta", "--sampler ddim"),
        ("--data {dir} --zoom 2", "--zoom", "--interpolate"),
        ("--data {dir} --tolerance 1e-3", "--tolerance", "--likelihood"),
        ("--data {dir} --samples 5", "--samples", "chains"),
        (
            "--data {dir} --likelihood ode --timesteps 3",
            "--timesteps",
            "the bound",
        ),
        ("--sampler ddpm --eta 0.5 -o {dir}/x.png", "--eta", "--sampler ddim"),
        ("--sampler ddim --sde vp -o {dir}/x.png", "--sde", "euler-maruyama"),
        (
            "--sampler ode --steps 5 -o {dir}/x.png",
            "--steps",
            "every --sampler but ode",
        ),
        ("--interpolate --data {dir} -o {dir}/x.png", "--data", "--reconstruct"),
        ("--convergence --count 3 -o {dir}/x.svg", "--count", "--interpolate"),
    ] {
        let words = [&format!("{option} would do nothing") as &str, "leave it out", whose];
        refused(&format!("eval {{digits}} {options}"), 2, &words);
    }
    refused(
        "eval --convergence --class 3 -o {dir}/x.svg",
        2,
        &["--class would do nothing", "checkpoints"],
    );
    refused(
        "eval {digits} --convergence -o {dir}/x.png",
        2,
        &["x.png ends in .png", ".svg"],
    );
    refused("bench --kernels --steps 3", 2, &["--steps", "MODEL"]);
}

/// One request for every command: what cannot be is refused with the same words.
#[test]
fn what_the_schedule_does_not_hold_is_refused_alike_everywhere() {
    let words = [
        "steps_offset 1 does not fit 1000 steps",
        "past the last training timestep",
        "give fewer --steps",
    ];
    for line in [
        "sample {model} -o {dir}/x.png",
        "sample {model} -o {dir}/x.png --backend oracle",
        "plan {model} -o {dir}/x.mote",
        "validate {model} --backends cpu --seeds 1",
        "bench {model} --backends cpu",
    ] {
        refused(&format!("{line} --steps 1000"), 1, &words);
    }
    // The float network's own samplers say the same.
    let line = "eval {digits} -o {dir}/x.png --sampler ddim --count 1 --steps 1000";
    refused(line, 1, &words);
    let data = "eval {digits} --data {images} --images 1 --reconstruct 1000";
    refused(data, 1, &words);
}

#[test]
fn a_start_that_would_do_nothing_is_refused() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    assert_eq!(mote("sample {model} -o {dir}/one.png --steps 2", &places).status, 0);
    for (options, words) in [
        (
            "--from {dir}/one.png --steps 10 --strength 0.01",
            [
                "--strength 0.01 of 10 steps",
                "would stay as it is",
                "--strength 0.1 or more",
            ],
        ),
        (
            "--from {dir}/one.png --steps 10 --strength 0",
            ["--strength 0 of 10 steps", "would stay as it is", "more --steps"],
        ),
        (
            "--seed 5 --interpolate 5 --frames 3",
            [
                "--interpolate 5 is the seed",
                "nothing between them",
                "another seed than --seed",
            ],
        ),
    ] {
        for backend in ["cpu", "oracle"] {
            let done = mote(
                &format!("sample {{model}} -o {{dir}}/x.png --backend {backend} {options}"),
                &places,
            );
            assert_eq!(done.status, 2, "{options}: {}", done.stderr);
            for word in words {
                assert!(done.stderr.contains(word), "{options}: no '{word}' in {}", done.stderr);
            }
        }
    }
    // What is run is said.
    let half = "sample {model} -o {dir}/x.png --from {dir}/one.png --steps 10 --strength 0.5";
    assert!(mote(half, &places).stdout.contains("1 images, 5 steps each"));
    let object = mote(&format!("{half} --json"), &places).json();
    assert_eq!((&object["steps"], &object["steps_run"]), (&10.into(), &5.into()));
    assert_eq!(listing(dir.path()), ["one.png", "x.png"]);
}

/// Where there is a GPU the float network runs on it.
#[test]
fn the_float_network_runs_where_it_is_asked_to_or_not_at_all() {
    let line = "validate {model} --backends cpu --seeds 1 --steps 1 --against {digits} --float";
    refused(&format!("{line} gpu"), 2, &["cuda:f16"]);
    refused("validate {model} --float cuda", 2, &["--against"]);
    if mote_cuda::driver::missing().is_some() {
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
    assert_eq!(done.any_json()["code"], "MOTE-1001");
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

#[test]
fn boards_are_refused_by_name_and_value() {
    for (line, status, words) in [
        (
            "inspect {model} --board toaster",
            2,
            ["unknown board 'toaster'", "nrf52840"],
        ),
        (
            "inspect {model} --flash 512K --ram 64K",
            2,
            ["needs --core", "--core cortex-m4f"],
        ),
        (
            "inspect {model} --board pico --ram 64",
            2,
            ["size without a unit", "512K"],
        ),
        ("inspect {model} --board pico --flash 0K", 2, ["is no memory", "512K"]),
        (
            "inspect {model} --board pico --core z80",
            2,
            ["unknown core 'z80'", "cortex-m33"],
        ),
        (
            "inspect {model} --board pico --clock 125",
            2,
            ["clock without a unit", "64MHz"],
        ),
        (
            "inspect {model} --profile stock",
            2,
            ["--profile without a board", "which board"],
        ),
        ("inspect {model} --board {dir}/none.toml", 1, ["cannot read", "chip"]),
        (
            "bench --kernels --board nrf52840",
            1,
            ["nrf52840 has no emulator", "mps2-an386"],
        ),
        (
            "sample {model} -o {dir}/a.png --backend board:esp32c3",
            2,
            ["esp32c3 has no emulator", "no simulated board runs"],
        ),
        (
            "convert {digits} -o {dir}/a.mote --scheme w16a16 --refine",
            2,
            ["--refine would do nothing for w16a16", "--scheme w8a8"],
        ),
        (
            "convert {digits} -o {dir}/a.mote --scheme w8a8 --flash 64K --ram 64K --core cortex-m4f",
            1,
            ["does not fit the described board", "of flash, has 65536"],
        ),
    ] {
        refused(line, status, &words);
    }
}

/// What a chain has no place for is refused by the option, before its folder is read.
#[test]
fn options_that_would_do_nothing_are_refused_by_every_command() {
    let dir = folder();
    let chain = dir.path().join("chain");
    std::fs::create_dir(&chain).unwrap();
    std::fs::write(chain.join("chain.json"), "{}").unwrap();
    let places = [("chain", &*chain), ("dir", dir.path()), ("images", &*images())];
    for (option, why) in [
        ("--null-class 0", "has no labels"),
        ("--labels 1", "has no labels"),
        ("--latent 4x4", "makes no latents"),
        ("--name other", "is called as its preset"),
        ("--condition-null 0", "takes no condition vector"),
        ("--refine --scheme w8a8", "has no activations of 8 bits"),
        ("--calibration c.npz", "takes no condition vector"),
    ] {
        let done = mote(&format!("convert {{chain}} -o {{dir}}/m.mote {option}"), &places);
        let name = option.split(' ').next().unwrap();
        for word in [
            &format!("{name} would do nothing") as &str,
            why,
            &format!("leave {name} out"),
        ] {
            assert!(
                done.status == 2 && done.stderr.contains(word),
                "{option}: {}",
                done.stderr
            );
        }
    }
    // A chain is no network's run, and the other way round.
    for (line, held) in [
        ("train --data {images} -o {chain} --steps 1", "holds a chain of 2015"),
        ("validate {dir}/m.mote --against {chain}", "cannot read"),
    ] {
        let done = mote(line, &places);
        assert!(
            done.status != 0 && done.stderr.contains(held),
            "{line}: {}",
            done.stderr
        );
    }
    std::fs::create_dir_all(dir.path().join("run/training")).unwrap();
    let done = mote("train --preset heartbeat -o {dir}/run --steps 1", &places);
    assert!(
        done.status == 2 && done.stderr.contains("holds a network's run") && done.stderr.contains("empty folder"),
        "{}",
        done.stderr
    );
    for option in ["--steps 5", "--class 1", "--seed 3", "--clip off"] {
        let name = option.split(' ').next().unwrap();
        let words = [&format!("{name} would do nothing") as &str, "--seeds 0", "leave"];
        refused(&format!("diff {{model}} {{model}} --seeds 0 {option}"), 2, &words);
    }
    refused(
        "train --data {images} -o {dir}/r --ema 1",
        2,
        &["--ema", "below 1", "first weights"],
    );
    refused("train --data {images} -o {dir}/r --lr 0", 2, &["--lr", "above 0"]);
}

/// A checkpoint of another shape is refused before any backend runs.
#[test]
fn another_model_s_checkpoint_is_refused_before_the_work() {
    let line = "validate {model} --against {fashion} --seeds 1000 --steps 900";
    refused(line, 1, &["[1, 8, 8]", "[1, 16, 16]", "--against", "MOTE-1511"]);
}
