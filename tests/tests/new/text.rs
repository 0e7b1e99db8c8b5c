//! Every kind of project is whole, and its program compiles as far as it can here.

use std::path::Path;
use std::process::Command;

use mote_tools::project::Kind;

use crate::project::Place;

/// A board for each kind, and one more where its files differ.
const PROJECTS: [(Kind, &str); 12] = [
    (Kind::Rust, "microbit"),
    (Kind::Rust, "virt"),
    (Kind::Rust, "nrf52840"),
    (Kind::Embassy, "nrf52840"),
    (Kind::Embassy, "rp2350"),
    (Kind::Embassy, "rp2040"),
    (Kind::C, "microbit"),
    (Kind::C, "virt"),
    (Kind::C, "stm32f405rg"),
    (Kind::Zephyr, "nrf52840"),
    (Kind::EspIdf, "esp32c3"),
    (Kind::Arduino, "nrf52840"),
];

#[test]
fn every_kind_is_complete() {
    let place = Place::new();
    for (index, (kind, board)) in PROJECTS.into_iter().enumerate() {
        let (folder, written) = place.project(&format!("p{index}"), kind, board);
        let name = format!("{} for {board}", kind.name());
        for file in ["README.md", ".gitignore"] {
            assert!(
                written.files.iter().any(|written| written == file),
                "{name} has no {file}"
            );
        }
        let mut said = String::new();
        for file in &written.files {
            let bytes = std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
            if file.ends_with(".mote") {
                continue;
            }
            let text = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
            assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{name}: {file}");
            // A name between two '@' that nothing was put in for.
            let left = text
                .split('@')
                .skip(1)
                .any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
            assert!(!left, "{name}: {file}: {text}");
            said += &text;
        }
        // The parts that the model needs, by the names of Cargo, and no others.
        for part in ["integer", "w16", "schedule", "fast"] {
            assert!(said.contains(part), "{name}: {part}");
        }
        for part in ["attention", "dpm-solver", "rearrange"] {
            assert!(!said.contains(part), "{name}: {part}");
        }
    }
}

/// What the worlds that are not here would declare: name and text.
const STAND_INS: [(&str, &str); 8] = [
    (
        "zephyr/kernel.h",
        "#include <stdint.h>\ntypedef struct { int64_t ticks; } k_timeout_t;\n#define K_SECONDS(s) ((k_timeout_t){(s)})\n\
         void k_yield(void);\nint32_t k_sleep(k_timeout_t time);\nuint32_t k_cycle_get_32(void);\n",
    ),
    (
        "zephyr/sys/printk.h",
        "__attribute__((format(printf, 1, 2))) void printk(const char *form, ...);\n",
    ),
    (
        "esp_cpu.h",
        "#include <stdint.h>\nuint32_t esp_cpu_get_cycle_count(void);\n",
    ),
    (
        "esp_log.h",
        "__attribute__((format(printf, 2, 3))) void log_line(const char *tag, const char *form, ...);\n\
         #define ESP_LOGI(tag, ...) log_line(tag, __VA_ARGS__)\n#define ESP_LOGE(tag, ...) log_line(tag, __VA_ARGS__)\n",
    ),
    (
        "freertos/FreeRTOS.h",
        "#include <stdint.h>\n#define pdMS_TO_TICKS(ms) ((uint32_t)(ms))\n",
    ),
    ("freertos/task.h", "void vTaskDelay(uint32_t ticks);\n"),
    (
        "Arduino.h",
        "#include <stdint.h>\n#include <stddef.h>\n#define HEX 16\nunsigned long micros();\nvoid delay(unsigned long);\nvoid yield();\n\
         struct Port { void begin(unsigned long); void print(const char *); void print(unsigned long, int);\n\
         void println(unsigned long); };\nextern Port Serial;\n",
    ),
    ("Mote.h", "#pragma once\n#include \"mote.h\"\n"),
];

/// Compiles `source` against the stand-ins, and nothing more.
fn compiles(stand_ins: &Path, source: &Path, language: &str) {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/c/include");
    let mut command = Command::new("clang");
    command
        .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", language, "-I"])
        .arg(stand_ins)
        .arg("-I")
        .arg(header);
    if language == "c++" {
        command.args(["-include", "Arduino.h"]);
    } else {
        command.arg("-std=c11");
    }
    let output = command.arg(source).output().expect("clang can be started");
    assert!(
        output.status.success(),
        "{}: {}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn programs_of_other_worlds_compile_against_stand_ins() {
    if Command::new("clang").arg("--version").output().is_err() {
        let allowed = std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1");
        assert!(allowed, "clang is missing (bash .ci/setup)");
        eprintln!("SKIPPED: clang is missing");
        return;
    }
    let place = Place::new();
    let stand_ins = place.path().join("include");
    for (name, text) in STAND_INS {
        let path = stand_ins.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, text).expect("it can be written");
    }
    let (zephyr, _) = place.project("zephyr-app", Kind::Zephyr, "nrf52840");
    compiles(&stand_ins, &zephyr.join("src/main.c"), "c");
    let (esp, _) = place.project("esp-app", Kind::EspIdf, "esp32c3");
    compiles(&stand_ins, &esp.join("main/main.c"), "c");
    let (arduino, _) = place.project("sketch", Kind::Arduino, "nrf52840");
    compiles(&stand_ins, &arduino.join("sketch/sketch.ino"), "c++");
    compiles(&stand_ins, &arduino.join("sketch/model.c"), "c");
}
