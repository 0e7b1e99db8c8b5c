//! What a backend's step costs, as tables.

use super::print::{bytes, count, heading, table};
use mote_firmware_sim::RuntimeFlash;
use mote_tools::bench::{BackendCost, IMAGE_STEPS, OperatorCost};

/// For a terminal.
pub fn text(rows: &[BackendCost], with_operators: bool) -> String {
    let head = [
        "backend",
        "a step",
        "per MAC",
        "images/s",
        "flash code",
        "runtime alone",
        "flash model",
        "arena",
        "statics",
        "stack",
        "RAM",
        "",
    ];
    let size = |v: Option<u64>| v.map_or("-".to_owned(), bytes);
    let cells = |row: &BackendCost| {
        let step = match (row.instructions_per_step, row.ms_per_step) {
            (Some(instructions), _) => format!("{} instructions", count(instructions)),
            (None, Some(ms)) => format!("{ms:.3} ms"),
            _ => "-".into(),
        };
        vec![
            row.name.clone(),
            step,
            row.instructions_per_mac.map_or("-".into(), |v| format!("{v:.2}")),
            row.images_per_second.map_or("-".into(), |v| format!("{v:.2}")),
            size(row.flash_code_bytes),
            size(row.flash_runtime_bytes),
            bytes(row.flash_model_bytes),
            bytes(row.arena_bytes),
            size(row.statics_bytes),
            size(row.stack_bytes),
            size(row.ram_bytes),
            row.why.clone().unwrap_or_default(),
        ]
    };
    let lines: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).to_vec())
        .chain(rows.iter().map(cells))
        .collect();
    let mut out = format!("{}\n{}", heading("Cost"), table(&lines));
    out += &format!("  (instructions, not cycles; an image is {IMAGE_STEPS} steps; RAM is arena, statics and stack)\n");
    for row in rows.iter().filter(|row| with_operators && !row.operators.is_empty()) {
        out += &format!(
            "\n{}\n{}",
            heading(&row.name),
            operators_text(&row.operators, &row.kinds)
        );
        out += &row.flash_runtime.as_ref().map_or(String::new(), flash_parts);
    }
    out
}

/// The tables of PERFORMANCE.md: whole steps, then shares by kind of operator.
pub fn markdown(rows: &[BackendCost]) -> String {
    let kib = |v: Option<u64>| v.map_or("-".into(), |v| format!("{:.1}", v as f64 / 1024.0));
    let mut out = String::from(
        "| backend | instructions a step | per MAC | RAM KiB | arena | stack | flash code KiB | runtime alone | model |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().filter(|row| row.instructions_per_step.is_some()) {
        out += &format!(
            "| {} | {} | {:.2} | {} | {} | {} | {} | {} | {} |\n",
            row.name,
            row.instructions_per_step.map_or("-".into(), count),
            row.instructions_per_mac.unwrap_or(0.0),
            kib(row.ram_bytes),
            kib(Some(row.arena_bytes)),
            kib(row.stack_bytes),
            kib(row.flash_code_bytes),
            kib(row.flash_runtime_bytes),
            kib(Some(row.flash_model_bytes)),
        );
    }
    out +=
        "\nShare of a step, and instructions a multiply-accumulate (attention, convolution) or an element (others)\n\n";
    out += "| backend | kind | operators | instructions | share | each |\n|---|---|---|---|---|---|\n";
    for row in rows {
        for kind in row.kinds.iter().filter(|kind| kind.share >= 0.001) {
            let each = kind.instructions_per_mac.or(kind.instructions_per_element);
            out += &format!(
                "| {} | {} | {} | {} | {:.1} % | {} |\n",
                row.name,
                kind.name,
                kind.operators,
                kind.instructions.map_or("-".into(), count),
                100.0 * kind.share,
                each.map_or("-".into(), |each| format!("{each:.2}")),
            );
        }
    }
    out
}

/// The runtime's flash by module.
fn flash_parts(runtime: &RuntimeFlash) -> String {
    let whole = format!(
        "runtime's flash, -O{}, {}",
        runtime.opt_level,
        runtime.features.join(" ")
    );
    let lines: Vec<Vec<String>> = std::iter::once((whole.as_str(), runtime.bytes))
        .chain(runtime.parts.iter().map(|part| (part.name.as_str(), part.bytes)))
        .map(|(name, bytes)| vec![name.to_owned(), bytes.to_string(), String::new()])
        .collect();
    format!("\n{}", table(&lines))
}

/// Two tables: operators, and their sums by kind.
fn operators_text(operators: &[OperatorCost], kinds: &[OperatorCost]) -> String {
    let number_of = |kind: &OperatorCost| format!("{} x", kind.operators);
    format!(
        "{}\n{}",
        rows(["operator", "kind"], operators, &|op| op.op.clone()),
        rows(["kind", "operators"], kinds, &number_of)
    )
}

fn rows([first, second]: [&str; 2], operators: &[OperatorCost], cell: &dyn Fn(&OperatorCost) -> String) -> String {
    let head = [
        first,
        second,
        "MACs",
        "elements",
        "cost",
        "per MAC",
        "per element",
        "share",
        "",
    ];
    let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.2}"));
    let cells = |op: &OperatorCost| {
        let cost = match (op.instructions, op.ms) {
            (Some(instructions), _) => count(instructions),
            (None, ms) => format!("{:.3} ms", ms.unwrap_or(0.0)),
        };
        vec![
            op.name.clone(),
            cell(op),
            count(op.macs),
            count(op.elements),
            cost,
            number(op.instructions_per_mac),
            number(op.instructions_per_element),
            format!("{:.1} %", 100.0 * op.share),
            String::new(),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    table(
        &std::iter::once(head)
            .chain(operators.iter().map(cells))
            .collect::<Vec<_>>(),
    )
}
