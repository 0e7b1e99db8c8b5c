//! Simulated boards through the command. Without QEMU these fail, unless `MOTE_ALLOW_MISSING_QEMU=1` says that it is known.

use crate::common::{folder, has_keys, model, mote, mote_with_needed_parts};
use mote_firmware_sim::{Availability, Board};

/// Whether the board can be run; a missing one must have been allowed.
fn here(name: &str) -> bool {
    let Availability::Missing { what, how } = Board::named(name).expect("a board of the table").available() else {
        return true;
    };
    let line = format!("{name} could not run: missing {} ({})", what.join(", "), how.join("; "));
    let allowed = std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1");
    assert!(allowed, "{line}; MOTE_ALLOW_MISSING_QEMU=1 skips it");
    eprintln!("SKIPPED: {line}");
    false
}

#[test]
fn boards_are_listed_with_what_is_missing() {
    let object = mote("boards --json", &[]).json();
    let boards = object["boards"].as_array().unwrap();
    assert_eq!(boards.len(), mote_firmware_sim::boards().len());
    boards
        .iter()
        .for_each(|board| has_keys(board, &["name", "available", "missing", "install"]));
    has_keys(&object["cuda"], &["available", "missing", "install"]);
    let missing = object["cuda"]["missing"].as_array().unwrap();
    assert_eq!(object["cuda"]["available"], missing.is_empty());
}

#[test]
fn a_board_gives_the_same_bits() {
    if !here("netduinoplus2") {
        return;
    }
    let dir = folder();
    let places = [("model", model()), ("dir", dir.path())];
    let line = "validate {model} --backends oracle,cpu,board:netduinoplus2 --steps 3 --seeds 2 --eta 0.5 --json";
    let object = mote(line, &places).json();
    let board = &object["backends"][2];
    assert_eq!(
        (&board["images"], &board["mismatches"]),
        (&2.into(), &0.into()),
        "{board}"
    );
    let sampled = |name: &str, backend: &str| {
        let line = format!("sample {{model}} -o {{dir}}/{name}.png --steps 3 --count 2 --backend {backend}");
        assert_eq!(mote(&line, &places).status, 0);
        std::fs::read(dir.path().join(format!("{name}.png"))).unwrap()
    };
    assert_eq!(sampled("cpu", "cpu"), sampled("board", "board:netduinoplus2"));
}

#[test]
fn a_board_that_is_too_small_says_so() {
    if !here("stm32vldiscovery") {
        return;
    }
    let line = "validate {model} --backends cpu,board:stm32vldiscovery --steps 2 --seeds 1 --json";
    let done = mote_with_needed_parts(line, &[("model", model())]);
    assert_eq!(done.status, 1);
    let object = done.any_json();
    let why = object["backends"][2]["why"].as_str().unwrap();
    assert!(why.contains("RAM needs") && why.contains("8192"), "{why}");
}

#[test]
fn estimates_are_near_what_is_measured() {
    if !here("mps2-an386") {
        return;
    }
    let measured = mote_with_needed_parts(
        "bench {model} --backends board:mps2-an386 --steps 1 --json",
        &[("model", model())],
    )
    .json();
    let measured = &measured["backends"][0];
    let inspected = mote("inspect {model} --json", &[("model", model())]).json();
    let boards = inspected["boards"].as_array().unwrap();
    let estimated = boards.iter().find(|board| board["name"] == "mps2-an386").unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let flash = number(&measured["flash_code_bytes"]) + number(&measured["flash_model_bytes"]);
    let ratios = [
        number(&estimated["flash_bytes"]) / flash,
        number(&estimated["ram_bytes"]) / number(&measured["ram_bytes"]),
        number(&estimated["instructions_per_step"]) / number(&measured["instructions_per_step"]),
    ];
    // Never short of flash or RAM; instructions a MAC vary from model to model.
    assert!(
        (1.0..1.25).contains(&ratios[0]) && (1.0..1.5).contains(&ratios[1]),
        "{ratios:?}"
    );
    assert!((0.5..2.0).contains(&ratios[2]), "{ratios:?}");
    assert!(!measured["operators"].as_array().unwrap().is_empty());
}

/// A chip's milliseconds are a range around what its clock makes of the instructions.
#[test]
fn a_chip_is_estimated() {
    let places = [("model", model())];
    let object = mote("inspect {model} --board nrf52840 --json", &places).json();
    assert_eq!(
        (&object["board"]["name"], &object["board"]["fits"]),
        (&"nrf52840".into(), &true.into())
    );
    let estimate = &object["estimate"];
    assert_eq!(
        (&estimate["kind"], &estimate["instructions"]),
        (&"modelled".into(), &"estimated".into())
    );
    let range = |key: &str| [0, 1].map(|end| estimate[key][end].as_f64().unwrap());
    let [least, most] = range("ms_per_step");
    let instructions = estimate["instructions_per_step"].as_f64().unwrap();
    assert!(0.0 < least && least < most && most < 3.0 * least, "{estimate}");
    // 64 MHz: at least a cycle an instruction, and fewer than three.
    let fastest = instructions / 64e3;
    assert!(fastest < least && most < 3.0 * fastest, "{estimate}");
    let [image, _] = range("mj_per_image");
    let [step, _] = range("mj_per_step");
    assert!((image / step - estimate["steps_per_image"].as_f64().unwrap()).abs() < 1e-6);
    assert!(!estimate["sources"].as_array().unwrap().is_empty());
    // Twice the clock is half the time; another profile takes more flash.
    let other = mote(
        "inspect {model} --board nrf52840 --clock 128MHz --profile stock --json",
        &places,
    )
    .json();
    let halved = other["estimate"]["ms_per_step"][0].as_f64().unwrap();
    assert!((halved * 2.0 / least - 1.0).abs() < 1e-9);
    assert!(other["board"]["flash_bytes"].as_u64() > object["board"]["flash_bytes"].as_u64());
    let shown = mote("inspect {model} --board esp32c6", &places).stdout;
    assert!(
        shown.contains("modelled") && shown.contains("ms a step") && shown.contains("no current is known"),
        "{shown}"
    );
}

#[test]
fn a_file_describes_a_board() {
    let dir = folder();
    let path = dir.path().join("badge.toml");
    std::fs::write(&path, "chip = \"nrf52840\"\nname = \"badge\"\nram = \"4K\"\n").unwrap();
    let places = [("model", model()), ("dir", dir.path())];
    let object = mote("inspect {model} --board {dir}/badge.toml --json", &places).json();
    assert_eq!(
        (&object["board"]["name"], &object["board"]["fits"]),
        (&"badge".into(), &false.into())
    );
    assert_eq!(object["board"]["ram_total_bytes"], 4096);
    std::fs::write(&path, "chip = \"nrf52840\"\nflahs = \"4K\"\n").unwrap();
    let done = mote("inspect {model} --board {dir}/badge.toml", &places);
    assert_eq!(done.status, 1);
    for word in ["badge.toml: flahs = \"4K\": unknown field", "flash_start"] {
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
}
