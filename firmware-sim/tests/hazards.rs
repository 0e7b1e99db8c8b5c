//! The timing models, held to every published timing in `tests/data/hazards`.

use mote_firmware_sim::cycles::{Bound, Instruction, Kind, Pipeline};

const TABLES: [&str; 3] = [
    include_str!("data/hazards/m0.txt"),
    include_str!("data/hazards/m3m4.txt"),
    include_str!("data/hazards/m33.txt"),
];

fn kind(name: &str) -> Kind {
    match name {
        "m0" => Kind::M0,
        "m0+" => Kind::M0Plus,
        "m3" => Kind::M3,
        "m4" => Kind::M4,
        "m33" => Kind::M33,
        _ => panic!("no core is called {name}"),
    }
}

/// The cycles by which a sequence delays what follows it.
fn cycles(kind: Kind, bound: Bound, sequence: &str) -> f64 {
    let mut core = Pipeline::new(kind, bound);
    for text in sequence.split(';') {
        let (text, taken) = match text.trim().strip_suffix("@taken") {
            Some(text) => (text.trim(), true),
            None => (text.trim(), false),
        };
        let (text, narrow) = match text.strip_suffix(".n") {
            Some(text) => (text, true),
            None => (text, false),
        };
        core.run(&Instruction::parse(kind, text, narrow), taken);
    }
    core.run(&Instruction::parse(kind, "add.w r10, r10, r10", false), false);
    core.cycles() - 1.0
}

#[test]
fn every_published_timing_is_reproduced_exactly() {
    let (mut wrong, mut held) = (Vec::new(), 0);
    for line in TABLES
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| !line.starts_with('#'))
    {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [cores, sequence, expected, _source] = parts[..] else {
            panic!("{line}")
        };
        let (least, most) = expected.split_once("..").unwrap_or((expected, expected));
        for name in cores.split(' ') {
            for (bound, expected) in [(Bound::Least, least), (Bound::Most, most)] {
                let found = cycles(kind(name), bound, sequence);
                held += 1;
                if found != expected.parse::<f64>().expect("a number of cycles") {
                    wrong.push(format!("{name}, {bound:?}: {found} cycles\n    {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {held}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(held > 300, "{held} timings");
}
