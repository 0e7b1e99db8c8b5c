//! `docs/commands.md` is what the commands say of themselves.

use crate::common::mote;
use std::path::Path;

#[test]
fn the_reference_of_commands_is_their_own_help() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
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
    if std::env::var_os("MOTE_UPDATE_BOOK").is_some() {
        std::fs::write(&page, &expected).expect("the page is written");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "docs/commands.md is older than the commands: MOTE_UPDATE_BOOK=1 cargo test --release -p mote-cli book"
    );
}
