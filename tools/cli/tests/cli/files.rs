//! What is written.

use crate::common::{digits, folder, has_keys, listing, model, mote, vectors};
use mote_tools::images::{Picture, decode, encode};

#[test]
fn convert_writes_the_same_file_every_time_and_says_what_it_is() {
    let dir = folder();
    let places = [("digits", &*digits()), ("dir", dir.path())];
    let object = mote("convert {digits} -o {dir}/a.mote --scheme w8a8 --json", &places).json();
    has_keys(
        &object,
        &[
            "file",
            "bytes",
            "sha256",
            "scheme",
            "packing",
            "arena",
            "params",
            "weight_bytes",
            "arena_bytes",
            "macs_per_step",
        ],
    );
    assert_eq!(object["params"], 38341);
    assert!(
        object["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t["name"].is_string() && t["dtype"].is_string())
    );
    mote("convert {digits}/unet -o {dir}/b.mote --scheme w8a8", &places);
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("a.mote"), read("b.mote"));
    assert_eq!(read("a.mote").len() as u64, object["bytes"].as_u64().unwrap());
    assert_eq!(listing(dir.path()), ["a.mote", "b.mote"]);
}

#[test]
fn an_arena_is_small_where_asked_for_or_where_only_that_fits_the_board() {
    let dir = folder();
    let convert = |options: &str| {
        let line = format!("convert {{digits}} -o {{dir}}/a.mote --scheme w8a8 --json {options}");
        let done = mote(&line, &[("digits", &*digits()), ("dir", dir.path())]);
        let (object, noted) = (done.json(), done.stderr.contains("the fast arena does not fit"));
        let inspected = mote("inspect {dir}/a.mote --json", &[("dir", dir.path())]).json();
        // A file says so where its arena is not the fast one.
        assert_eq!(
            inspected["provenance"]["arena"] == "small",
            object["arena"] == "small",
            "{object}"
        );
        (object, noted)
    };
    let [fast, small] = ["", "--arena small"].map(convert);
    assert_eq!((&fast.0["arena"], &small.0["arena"]), (&"fast".into(), &"small".into()));
    assert!(small.0["arena_bytes"].as_u64() < fast.0["arena_bytes"].as_u64());
    let [roomy, tight] = ["--board microbit", "--board stm32vldiscovery"].map(convert);
    assert_eq!((&roomy.0["sha256"], roomy.1), (&fast.0["sha256"], false));
    assert_eq!((&tight.0["sha256"], tight.1), (&small.0["sha256"], true));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "rounding takes minutes without optimization")]
fn int4_weights_are_said_to_be_int4() {
    let dir = folder();
    let places = [("digits", &*digits()), ("dir", dir.path())];
    let line = "convert {digits} -o {dir}/a.mote --scheme w4a16 --report {dir}/report --json";
    let object = mote(line, &places).json();
    assert_eq!(object["scheme"], "w4a16");
    let tensors = object["tensors"].as_array().unwrap();
    let weights: Vec<_> = tensors.iter().filter(|t| t["kind"] == "weight").collect();
    let of = |dtype: &str| weights.iter().filter(|t| t["dtype"] == dtype).count();
    assert!(of("int4") > 20 && of("int16") == 3, "{weights:?}");
    // What the operators say is what the section holds, but for normalizations, tables and alignment.
    let bytes: u64 = weights.iter().map(|t| t["bytes"].as_u64().unwrap()).sum();
    let section = object["weight_bytes"].as_u64().unwrap();
    assert!(bytes < section && section < bytes + bytes / 5, "{bytes} of {section}");
    let shown = mote("inspect {dir}/a.mote", &places);
    assert!(shown.stdout.contains("int4"), "{}", shown.stdout);
    let page = std::fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    assert!(page.contains("weights int4"));
    let line = "validate {dir}/a.mote --against {digits} --backends cpu,oracle --seeds 2 --steps 5 --json";
    let checked = mote(line, &places).json();
    let mismatches = |b: &serde_json::Value| b["mismatches"] == 0 && b["available"] == true;
    assert!(
        checked["backends"].as_array().unwrap().iter().all(mismatches),
        "{checked}"
    );
}

#[test]
fn a_report_is_one_page() {
    let dir = folder();
    let line = "convert {digits} -o {dir}/a.mote --scheme w8a8 --report {dir}/report";
    let done = mote(line, &[("digits", &digits()), ("dir", dir.path())]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let page = std::fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    assert!(page.contains("digits8-micro") && page.contains("data:image/png;base64,"));
}

#[test]
fn inspect_shows_operators_memory_and_boards() {
    let object = mote("inspect {model} --json", &[("model", model())]).json();
    has_keys(
        &object,
        &[
            "operators",
            "memory",
            "boards",
            "format_version",
            "numeric_version",
            "provenance",
        ],
    );
    has_keys(&object["memory"], &["arena_bytes", "lower_bound_bytes", "map"]);
    for board in object["boards"].as_array().unwrap() {
        has_keys(board, &["name", "fits", "flash_bytes", "ram_bytes", "why"]);
    }
    let macs = |row: &serde_json::Value| row["macs"].as_u64().unwrap();
    let total: u64 = object["operators"].as_array().unwrap().iter().map(macs).sum();
    assert_eq!(Some(total), object["macs_per_step"].as_u64());
}

#[test]
fn a_grid_holds_the_images_of_the_seeds_in_order() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let grid = mote(
        "sample {model} -o {dir}/grid.png --count 3 --seed 5 --steps 4 --json",
        &places,
    )
    .json();
    has_keys(
        &grid,
        &[
            "backend",
            "sampler",
            "steps",
            "eta",
            "seed",
            "count",
            "digests",
            "seconds",
            "images_per_second",
        ],
    );
    assert_eq!(grid["count"], 3);
    let one = mote("sample {model} -o {dir}/one.png --seed 7 --steps 4 --json", &places).json();
    assert_eq!(grid["digests"][2], one["digests"][0]);
    let read = |name: &str| decode(&std::fs::read(dir.path().join(name)).unwrap()).unwrap();
    let (grid, one) = (read("grid.png"), read("one.png"));
    assert_eq!((grid.width, grid.height, one.width, one.height), (16, 16, 8, 8));
    // The third image is at the left of the second row.
    for row in 0..8 {
        assert_eq!(grid.data[(8 + row) * 16..][..8], one.data[row * 8..][..8]);
    }
}

#[test]
fn noise_comes_from_a_file_and_images_can_be_changed() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path()), ("vectors", &*vectors())];
    let named = mote(
        "sample {model} -o {dir}/n.png --steps 4 --noise {vectors}:noise --json",
        &places,
    )
    .json();
    let plain = mote(
        "sample {model} -o {dir}/n.png --steps 4 --noise {vectors} --count 2 --json",
        &places,
    )
    .json();
    assert_eq!(named["count"], 8);
    assert_eq!(named["digests"][1], plain["digests"][1]);
    mote("sample {model} -o {dir}/one.png --steps 4", &places);
    let changed = mote(
        "sample {model} -o {dir}/new.png --steps 4 --from {dir}/one.png --strength 0.5 --json",
        &places,
    );
    assert_eq!(changed.json()["count"], 1);
}

/// The digit's upper half is kept pixel for pixel, on every backend here, and the lower half is made.
#[test]
fn inpainting_keeps_what_the_mask_is_dark_over() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let pixels = |name: &str| decode(&std::fs::read(dir.path().join(name)).unwrap()).unwrap().data;
    mote("sample {model} -o {dir}/old.png --steps 4 --json", &places).json();
    let mask = Picture {
        width: 8,
        height: 8,
        channels: 1,
        data: [[0; 32], [255; 32]].concat(),
    };
    std::fs::write(dir.path().join("mask.png"), encode(&mask).unwrap()).unwrap();
    for options in ["", "--sampler dpm++ --strength 0.8", "--sampler ddpm"] {
        let line = |backend: &str| {
            format!(
                "sample {{model}} -o {{dir}}/{backend}.png --steps 6 --seed 3 --from {{dir}}/old.png --inpaint {{dir}}/mask.png \
                 --backend {backend} --json {options}"
            )
        };
        let [cpu, oracle] = ["cpu", "oracle"].map(|backend| mote(&line(backend), &places).json());
        assert_eq!(cpu["digests"], oracle["digests"], "{options}");
        let (old, new) = (pixels("old.png"), pixels("cpu.png"));
        assert_eq!(old[..32], new[..32], "{options}");
        assert_ne!(old[32..], new[32..], "{options}");
    }
}

/// The first and the last of the images between two seeds are those of the seeds.
#[test]
fn interpolation_begins_and_ends_at_the_seeds() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let digests = |options: &str| {
        let line = format!("sample {{model}} -o {{dir}}/x.png --steps 4 --json {options}");
        mote(&line, &places).json()["digests"].clone()
    };
    let between = digests("--seed 3 --interpolate 8 --frames 4");
    assert_eq!(between[0], digests("--seed 3")[0]);
    assert_eq!(between[3], digests("--seed 8")[0]);
    assert_ne!(between[1], between[2]);
    assert_eq!(between, digests("--seed 3 --interpolate 8 --frames 4 --backend oracle"));
    // They have one seed: their place is in their names.
    let line = "sample {model} --out {dir}/all --steps 4 --seed 3 --interpolate 8 --frames 4";
    assert_eq!(mote(line, &places).status, 0);
    let names = ["3-0.png", "3-1.png", "3-2.png", "3-3.png", "digests.txt"];
    assert_eq!(listing(&dir.path().join("all")), names);
    let list = std::fs::read_to_string(dir.path().join("all/digests.txt")).unwrap();
    let found: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(serde_json::json!(found), between);
    assert_eq!(mote(line, &places).status, 0, "it replaces what it wrote");
}

#[test]
fn settings_change_what_is_sampled_and_the_oracle_agrees() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let settings = [
        "",
        "--eta 1",
        "--spacing trailing",
        "--spacing quadratic",
        "--clip stock",
        "--clip rederived",
        "--seed 0x10",
        "--sampler ddpm",
        "--sampler ddpm --variance large",
        "--sampler dpm++",
        "--sampler heun",
    ];
    let mut seen = std::collections::BTreeSet::new();
    for setting in settings {
        let digest = |backend: &str| {
            let line = format!("sample {{model}} -o {{dir}}/x.png --steps 6 --backend {backend} --json {setting}");
            mote(&line, &places).json()["digests"][0].as_str().unwrap().to_owned()
        };
        let cpu = digest("cpu");
        assert_eq!(cpu, digest("oracle"), "{setting}");
        assert!(seen.insert(cpu), "{setting} changed nothing");
    }
}

#[test]
fn completions_and_help_are_there() {
    let script = mote("completions bash", &[]);
    assert!(script.status == 0 && script.stdout.contains("crosscheck"));
    let commands = [
        "demo",
        "convert",
        "inspect",
        "sample",
        "validate",
        "crosscheck",
        "bench",
        "boards",
        "completions",
    ];
    for command in commands {
        let help = mote(&format!("{command} --help"), &[]);
        assert!(help.status == 0 && help.stdout.contains("Examples:"), "{command}");
    }
}

#[test]
fn many_samples_go_into_a_folder_or_an_archive_with_the_digests_of_the_grid() {
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let run = "sample {model} --steps 2 --seed 7 --count 300 --json";
    let grid = mote(&format!("{run} -o {{dir}}/grid.png"), &places).json();
    let archive = mote(&format!("{run} --out {{dir}}/many.npz"), &places).json();
    let images = mote(&format!("{run} --out {{dir}}/many"), &places).json();
    assert_eq!(archive["digest"], images["digest"]);
    assert_eq!(archive["count"], 300);

    let lines = std::fs::read_to_string(dir.path().join("many/digests.txt")).unwrap();
    let expected: Vec<String> = grid["digests"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, digest)| format!("{} {}", 7 + i, digest.as_str().unwrap()))
        .collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);

    // The archive's three arrays, of which the last are the same digests, and the first the same pixels.
    let bytes = std::fs::read(dir.path().join("many.npz")).unwrap();
    let array = |name: &str| {
        let at = bytes
            .windows(name.len())
            .position(|text| text == name.as_bytes())
            .unwrap()
            + name.len();
        &bytes[at + 128..]
    };
    let digests: Vec<String> = array("digests.npy")
        .chunks_exact(8)
        .take(300)
        .enumerate()
        .map(|(i, word)| format!("{} {:016x}", 7 + i, u64::from_le_bytes(word.try_into().unwrap())))
        .collect();
    assert_eq!(digests, expected);
    let png = std::fs::read(dir.path().join("many/306.png")).unwrap();
    let pixels = decode(&png).unwrap().data;
    assert_eq!(&array("images.npy")[299 * pixels.len()..][..pixels.len()], pixels);
}
