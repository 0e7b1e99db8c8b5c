//! The page holds what it was given and nothing from elsewhere.

use super::live::{self, Expected, Live, WASM};
use super::*;

fn full() -> ReportData {
    let picture = |caption: &str| Picture {
        png: vec![1, 2, 3],
        width: 8,
        height: 8,
        caption: caption.to_owned(),
    };
    ReportData {
        title: "tiny <model>".to_owned(),
        command: "mote convert tiny -o tiny.mote".to_owned(),
        facts: vec![("Scheme".to_owned(), "w8a8".to_owned())],
        notes: vec!["16 bits where <no> arena grows".to_owned()],
        live: None,
        samples: vec![picture("seed 1")],
        samples_caption: "20 steps".to_owned(),
        films: vec![Film {
            caption: "seed 1".to_owned(),
            frames: vec![picture("950"), picture("0")],
        }],
        quality: Some(Quality {
            images: 8,
            x0_psnr_db_mean: 47.5,
            x0_psnr_db_p5: 44.0,
            x0_psnr_db_min: 44.0,
            worst: vec![picture("seed 5, here"), picture("seed 5, the float network")],
            steps: vec![
                StepQuality {
                    timestep: 950,
                    state_psnr_db: 80.0,
                    eps_sqnr_db: 50.0,
                },
                StepQuality {
                    timestep: 0,
                    state_psnr_db: f64::INFINITY,
                    eps_sqnr_db: 40.0,
                },
            ],
        }),
        sensitivity: vec![SensitivityBar {
            name: "conv_in".to_owned(),
            psnr_db: 31.0,
            ..SensitivityBar::default()
        }],
        memory: Some(MemoryMap {
            arena_bytes: 100,
            lower_bound_bytes: 96,
            operators: 2,
            blocks: vec![Block::default()],
        }),
        boards: vec![BoardFit {
            name: "microbit".to_owned(),
            ..BoardFit::default()
        }],
        backends: vec![BackendCheck {
            name: "cpu".to_owned(),
            available: true,
            ..BackendCheck::default()
        }],
        operators: vec![OperatorRow {
            name: "conv_in".to_owned(),
            macs: 1234,
            elements: 1,
            ..OperatorRow::default()
        }],
    }
}

#[test]
fn every_section_is_there_and_nothing_comes_from_elsewhere() {
    let page = html(&full());
    for title in [
        "Notes",
        "Samples",
        "From noise to image",
        "Against the float",
        "Sensitivity",
        "Memory",
        "Boards",
        "Same bytes",
        "Operators",
    ] {
        assert!(page.contains(&format!("<h2>{title}")), "{title}");
    }
    assert!(page.contains("tiny &lt;model&gt;") && page.contains("data:image/png;base64,AQID"));
    for outside in ["http", "<script", "<link", "@import", "src=\"/"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn an_empty_report_has_no_sections() {
    assert!(!html(&ReportData::default()).contains("<section"));
}

#[test]
fn tags_are_balanced() {
    let page = html(&full());
    for tag in [
        "section", "figure", "table", "tbody", "tr", "td", "span", "svg", "g", "div", "p", "dl", "main",
    ] {
        let (open, close) = (
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count(),
            page.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(open, close, "<{tag}>");
    }
}

#[test]
fn a_page_that_samples_brings_all_that_it_needs() {
    let live = Live {
        model: vec![1, 2, 3],
        steps: 4,
        expected: vec![Expected {
            seed: "7".to_owned(),
            steps: 4,
            digest: "00000000000000ff".to_owned(),
            by: "board:</script>".to_owned(),
        }],
        condition: None,
        classes: 3,
        guidance: true,
        samplers: vec![(0, "ddim"), (4, "heun")],
    };
    let page = html(&ReportData {
        live: Some(live),
        ..full()
    });
    for part in [
        "<h2>Draw here",
        "name=\"class\"",
        "name=\"guidance\"",
        "name=\"sampler\"",
        "AQID",
        "mote_step",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    for outside in ["http", "<link", "@import", "src=\"/", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(WASM.starts_with(b"\0asm"));
    assert!(WASM.len() < 150_000, "{} bytes", WASM.len());
}

#[test]
fn the_module_lacks_what_the_page_says_that_it_lacks() {
    let script = include_str!("../../../runtime/c/wasm/build");
    let left_out = script
        .split_once("grep -vxE 'default|")
        .and_then(|(_, rest)| rest.split_once('\''));
    let mut left_out: Vec<&str> = left_out.expect("the list of parts").0.split('|').collect();
    let mut said = live::NOT_IN_PAGE.map(|feature| feature.name()).to_vec();
    left_out.sort_unstable();
    said.sort_unstable();
    assert_eq!(left_out, said);
}
