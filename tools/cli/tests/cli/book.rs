//! `docs/commands.md` is what the commands say of themselves, `docs/errors.md` what the library says of its codes.

use crate::common::mote;
use mote_tools::code::groups;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_reference_of_commands_is_their_own_help() {
    let help = |line: &str| {
        let done = mote(line, &[]);
        assert_eq!(done.status, 0, "{}", done.stderr);
        done.stdout.trim_end().to_owned()
    };
    let all = help("--help");
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    // A long line goes on further to the right.
    let commands: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    let mut expected = format!(
        "# Commands\n\nWhat `mote` and its commands say with `--help`. `MOTE_UPDATE_BOOK=1 cargo test --release -p mote-cli book` writes this page.\n\n\
         ```text\n{all}\n```\n"
    );
    for command in commands {
        expected += &format!(
            "\n## {command}\n\n```text\n{}\n```\n",
            help(&format!("{command} --help"))
        );
    }
    held("commands.md", &expected);
}

/// Fails unless a page of the book is as it should be; writes it where that is asked for.
fn held(name: &str, expected: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("MOTE_UPDATE_BOOK").is_some() {
        std::fs::write(&page, expected).expect("the page is written");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is older than its source: MOTE_UPDATE_BOOK=1 cargo test --release -p mote-cli book"
    );
}

#[test]
fn every_code_of_the_book_of_errors_has_its_section() {
    let mut expected = "# Errors\n\nEvery refusal ends with a code, and with `--json` has it as `code`. A code never changes its meaning. \
         Codes below 1000 are the numbers of `mote.h`, which firmware sends too. The message says what, where and what to do; this page says it \
         at more length. `MOTE_UPDATE_BOOK=1 cargo test --release -p mote-cli book` writes it from `tools/src/error/code/`.\n"
        .to_owned();
    let mut numbers = BTreeSet::new();
    for group in groups() {
        expected += &format!("\n## {}\n", group.title);
        for entry in group.entries {
            assert!(numbers.insert(entry.code), "{} is there twice", entry.code);
            expected += &format!(
                "\n### {}\n\n`{}`. {}\n\n{}\n",
                entry.code, entry.name, entry.cause, entry.remedy
            );
        }
    }
    assert!(numbers.len() > 150, "{}", numbers.len());
    held("errors.md", &expected);
}
