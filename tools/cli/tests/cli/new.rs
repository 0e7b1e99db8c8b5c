//! `mote new`: what it says, and what it refuses. That its projects build and run, `--test new` of the workspace's tests shows.

use crate::common::{folder, has_keys, listing, model, mote_in};

#[test]
fn a_project_is_written_with_the_commands_that_build_it() {
    let dir = folder();
    let dir = dir.path();
    let object = mote_in(dir, "new {dir}/my-app --model {model} --board microbit --json").json();
    has_keys(
        &object,
        &["folder", "name", "kind", "board", "files", "commands", "unchecked"],
    );
    assert_eq!((&object["name"], &object["kind"]), (&"my-app".into(), &"rust".into()));
    let main = std::fs::read_to_string(dir.join("my-app/src/main.rs")).unwrap();
    assert!(main.contains("model::open()"), "{main}");
    assert_eq!(
        std::fs::read(dir.join("my-app/digits.mote")).unwrap(),
        std::fs::read(model()).unwrap()
    );
    let text = mote_in(dir, "new {dir}/in-c --model {model} --board microbit --kind c").stdout;
    assert!(text.contains("cmake --build build --target run"), "{text}");
    // A board of one's own.
    std::fs::write(
        dir.join("mine.toml"),
        "name = \"mine\"\ncore = \"cortex-m4f\"\nflash = \"512K\"\nflash_start = 0x8000000\nram = \"64K\"\nram_start = 0x20000000\n",
    )
    .unwrap();
    mote_in(dir, "new {dir}/own --model {model} --board {dir}/mine.toml --json").json();
    let memory = std::fs::read_to_string(dir.join("own/memory.x")).unwrap();
    assert!(
        memory.contains("FLASH    : ORIGIN = 0x8000000, LENGTH = 0x7f000\n"),
        "{memory}"
    );
}

#[test]
fn bad_input_is_refused_and_leaves_nothing() {
    let dir = folder();
    let dir = dir.path();
    std::fs::create_dir(dir.join("there")).unwrap();
    let whole = std::fs::read(model()).unwrap();
    std::fs::write(dir.join("cut.mote"), &whole[..whole.len() - 100]).unwrap();
    let before = listing(dir);
    for (line, status, words) in [
        (
            "{dir}/there --model {model} --board microbit",
            1,
            &["is there already", "remove it"][..],
        ),
        (
            "{dir}/no/app --model {model} --board microbit",
            1,
            &["cannot write", "new folder"],
        ),
        (
            "{dir}/app --model {dir}/cut.mote --board microbit",
            1,
            &["cut off", "copy it again"],
        ),
        ("{dir}/app --model {dir}/none.mote --board microbit", 1, &["none.mote"]),
        (
            "{dir}/app --model {model} --board stm32vldiscovery",
            1,
            &["does not fit stm32vldiscovery", "bytes of RAM", "larger board"],
        ),
        (
            "{dir}/app --model {model} --board microbit --flash 100K",
            1,
            &["bytes of flash"],
        ),
        (
            "{dir}/8bit --model {model} --board microbit",
            2,
            &["'8bit' cannot be a project's name", "my-app"],
        ),
        ("{dir}/my.app --model {model} --board microbit", 2, &["it has a '.'"]),
        (
            "{dir}/cortex-m --model {model} --board microbit",
            2,
            &["takes that word"],
        ),
        (
            "{dir}/app --model {model} --board nowhere",
            2,
            &["unknown board 'nowhere'"],
        ),
        ("{dir}/app --model {model} --board microbit --kind cobol", 2, &["cobol"]),
        (
            "{dir}/app --model {model} --board microbit --kind embassy",
            1,
            &["--kind embassy", "nrf52840"],
        ),
        (
            "{dir}/app --model {model} --board microbit --kind esp-idf",
            1,
            &["no chip of Espressif", "esp32c3"],
        ),
        (
            "{dir}/app --model {model} --board rp2350",
            1,
            &["does not start from a vector table", "embassy"],
        ),
        (
            "{dir}/app --model {model} --board microbit --steps 1001",
            1,
            &["1 to 1000"],
        ),
        (
            "{dir}/app --model {model} --board microbit --mote {dir}",
            2,
            &["no checkout of Mote", "it has no runtime/store/Cargo.toml"],
        ),
        ("{dir}/app --board microbit", 2, &["--model"]),
    ] {
        let done = mote_in(dir, &format!("new {line}"));
        assert_eq!(done.status, status, "{line}: {}{}", done.stdout, done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{line}: no '{word}' in {}", done.stderr);
        }
        assert_eq!(listing(dir), before, "{line}");
    }
}
