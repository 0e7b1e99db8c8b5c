//! Boards that are too small: what would help.

use mote_tools::backend::apart::Cut;
use mote_tools::project::{Kind, NewProject};
use mote_tools::target::{Described, Target};
use mote_tools::{Fit, ModelFile};

use crate::project::Place;

fn board(flash: &str, ram: &str) -> Target {
    let figures = Described {
        flash: Some(flash.into()),
        ram: Some(ram.into()),
        core: Some("cortex-m4f".into()),
        clock: None,
    };
    let board = Target::asked(None, &figures).unwrap_or_else(|error| panic!("{error}"));
    board.expect("it is asked for")
}

#[test]
fn a_cut_is_proposed_where_it_helps() {
    let place = Place::new();
    let file = ModelFile::open(&place.model).expect("it is a model");
    let remedy = |flash, ram, more| {
        let fit = Fit::of(&board(flash, ram), file.model(), file.bytes().len(), false);
        Cut::remedy(&fit, file.model(), file.bytes(), more)
    };
    assert_eq!(remedy("512K", "32K", [0, 0]), None, "it fits");
    let said = remedy("96K", "32K", [0, 0]).expect("it fits when it is cut");
    assert!(said.contains("`mote split` leaves"), "{said}");
    assert_eq!(remedy("32K", "32K", [0, 0]), None, "the code alone is too large");
    assert_eq!(remedy("96K", "8K", [0, 0]), None, "no room for buffers");
    assert_eq!(remedy("96K", "32K", [0, 64 * 1024]), None, "nor for what else there is");
}

#[test]
fn a_project_for_a_small_board_says_so() {
    let place = Place::new();
    let folder = place.path().join("small");
    let tiny = place.path().join("tiny.toml");
    let text = "name = \"tiny\"\ncore = \"cortex-m4f\"\nflash = \"96K\"\nflash_start = 0x08000000\nram = \"32K\"\nram_start = 0x20000000\n";
    std::fs::write(&tiny, text).expect("it can be written");
    let board = Target::named(&tiny.display().to_string()).unwrap_or_else(|error| panic!("{error}"));
    let project = NewProject {
        folder: folder.clone(),
        kind: Kind::Rust,
        model: place.model.clone(),
        board,
        steps: None,
        mote: None,
    };
    let error = project.write().expect_err("it does not fit");
    let help = error.advice().unwrap_or_default();
    assert!(help.contains("external flash"), "{error}: {help}");
    assert!(!folder.exists());
}
