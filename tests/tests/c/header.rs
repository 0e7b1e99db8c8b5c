//! `mote.h` is of this source, is clean C and C++, and says of every size, place and number what the library says.

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;

use mote::{mote_config, mote_detail, mote_model, mote_model_info, mote_run, mote_step_info};
use mote_tests::source_hash::source_line;

use crate::tools::{have, root, run};

const STRICT: [&str; 10] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wundef",
    "-Wshadow",
    "-Wcast-qual",
    "-Wredundant-decls",
    "-Werror",
];

/// As `runtime/c/header` computes it.
#[test]
fn the_header_is_of_this_source() {
    let folder = root("runtime/c");
    let source = std::fs::read_dir(folder.join("src"))
        .expect("there is a source")
        .map(|entry| entry.expect("a readable folder").path());
    let line = source_line(
        source
            .chain([folder.join("cbindgen.toml"), folder.join("header")])
            .collect(),
    );
    let header = std::fs::read_to_string(folder.join("include/mote.h")).expect("the header is there");
    assert_eq!(
        header.lines().next(),
        Some(line.as_str()),
        "runtime/c has changed: run runtime/c/header"
    );
}

/// What a C program prints of a structure, and what it must print.
macro_rules! layout {
    ($type:ident: $($field:ident)*) => {{
        let name = stringify!($type);
        let print = format!(
            "printf(\"{name} %u\\n\", (unsigned)sizeof({name}));{}",
            [$(stringify!($field)),*]
                .map(|field| format!("printf(\"{name}.{field} %u\\n\", (unsigned)offsetof({name}, {field}));"))
                .concat()
        );
        let mut said = format!("{name} {}\n", size_of::<$type>());
        $(let _ = writeln!(said, "{name}.{} {}", stringify!($field), offset_of!($type, $field));)*
        (print, said)
    }};
}

#[test]
fn the_header_compiles_everywhere_and_says_what_the_library_says() {
    let structures = [
        layout!(mote_model: opaque),
        layout!(mote_run: opaque),
        layout!(mote_model_info: rows cols channels elements classes null_class condition train_steps planned_steps file_bytes crc),
        layout!(mote_config: seed steps sampler eta_q16 clip clip_range_q24 spacing previous class_label guided guidance_q16),
        layout!(mote_step_info: digest index timestep),
        layout!(mote_detail: index expected found name_bytes name),
    ];
    let constants = [
        ("MOTE_NO_CLASS", i64::from(mote::MOTE_NO_CLASS)),
        ("MOTE_ONE_Q16", mote::MOTE_ONE_Q16.into()),
        ("MOTE_ONE_Q24", mote::MOTE_ONE_Q24.into()),
        ("MOTE_UNKNOWN", mote::MOTE_UNKNOWN.into()),
    ];
    let numbers = mote::status_names()
        .map(|(name, number)| (name, i64::from(number)))
        .chain(constants);
    let (mut body, mut expected) = (String::new(), String::new());
    for (print, said) in structures {
        body += &print;
        expected += &said;
    }
    for (name, number) in numbers {
        let _ = write!(body, "printf(\"{name} %ld\\n\", (long){name});");
        let _ = writeln!(expected, "{name} {number}");
    }
    let source = format!(
        "#include \"mote.h\"\n#include \"mote.h\"\n#include <stdio.h>\n\
         MOTE_ALIGN16 extern uint8_t arena[16];\nint main(void)\n{{\n{body}return 0;\n}}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("layout.c");
    std::fs::write(&file, source).expect("it can be written");
    for (compiler, language) in [
        ("gcc", ["-xc", "-std=c99"]),
        ("clang", ["-xc", "-std=c99"]),
        ("g++", ["-xc++", "-std=c++11"]),
        ("clang++", ["-xc++", "-std=c++17"]),
    ] {
        if !have(compiler) {
            continue;
        }
        let program = folder.path().join(compiler);
        run(Command::new(compiler)
            .args(language)
            .args(STRICT)
            .arg("-I")
            .arg(root("runtime/c/include"))
            .arg(&file)
            .arg("-o")
            .arg(&program));
        assert_eq!(run(&mut Command::new(&program)), expected, "{compiler}");
    }
    assert_eq!(align_of::<mote_model>(), align_of::<u64>());
}
