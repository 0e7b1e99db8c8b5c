//! `mote` alone, and `mote doctor`.

use crate::common::{digits, folder, has_keys, model, mote};
use std::process::Command;

/// What `mote` alone says in a folder.
fn alone(dir: &std::path::Path) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_mote"))
        .current_dir(dir)
        .output()
        .expect("mote can be started");
    assert!(done.status.success());
    String::from_utf8(done.stdout).expect("mote writes UTF-8")
}

#[test]
fn alone_it_says_what_can_be_done_with_what_is_here() {
    let dir = folder();
    std::fs::copy(model(), dir.path().join("my model.mote")).unwrap();
    let net = dir.path().join("net/unet");
    std::fs::create_dir_all(&net).unwrap();
    for file in std::fs::read_dir(digits().join("unet")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), net.join(file.file_name())).unwrap();
    }
    let said = alone(dir.path());
    for line in [
        "mote convert net/ -o net.mote",
        "mote sample 'my model.mote' -o grid.png --count 16",
        "mote new my-app --model 'my model.mote' --board microbit",
        "mote demo",
    ] {
        assert!(said.contains(line), "no '{line}' in {said}");
    }
    // Nothing was run.
    assert!(!dir.path().join("mote-demo").exists());
}

#[test]
fn the_doctor_says_of_every_tool_what_it_is_for_and_how_to_get_it() {
    let done = mote("doctor --json", &[]);
    let object = done.any_json();
    has_keys(&object, &["version", "ready", "tools"]);
    assert_eq!(done.status == 0, object["ready"] == true);
    let tools = object["tools"].as_array().expect("a list");
    assert!(tools.len() > 15, "{object}");
    for tool in tools {
        has_keys(tool, &["name", "need", "purpose", "version", "good", "install"]);
        assert!(
            tool["good"] == true || !tool["install"].as_str().unwrap().is_empty(),
            "{tool}"
        );
    }
    // The tests were compiled by one.
    let rustc = tools.iter().find(|tool| tool["name"] == "rustc").expect("rustc");
    assert!(rustc["version"].as_str().unwrap().starts_with("rustc 1."), "{rustc}");
    let text = mote("doctor", &[]).stdout;
    assert!(
        text.contains("qemu-system-arm") && text.contains("thumbv6m-none-eabi"),
        "{text}"
    );
}

#[test]
fn shells_are_offered_boards_schemes_samplers_and_backends() {
    for shell in ["bash", "zsh", "fish"] {
        let script = mote(&format!("completions {shell}"), &[]).stdout;
        for word in ["nrf52840", "w8a16", "dpm++", "microbit", "oracle", "doctor"] {
            assert!(script.contains(word), "{shell}: no '{word}'");
        }
    }
    // What is offered is not all that is taken.
    let done = mote("inspect {model} --board {model}", &[("model", model())]);
    assert!(
        done.status == 1 && !done.stderr.contains("invalid value"),
        "{}",
        done.stderr
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = folder();
    let done = mote("man {dir}/man", &[("dir", dir.path())]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let page = |name: &str| std::fs::read_to_string(dir.path().join("man").join(name)).expect(name);
    assert!(page("mote.1").contains("mote\\-sample"), "{}", page("mote.1"));
    assert!(page("mote-sample.1").contains("\\-\\-backend"));
    assert!(page("mote-doctor.1").starts_with(".ie") && !dir.path().join("man/mote-man.1").exists());
}
