//! Tables: boards, backends, operators. Each scrolls inside its own box where the screen is narrow.

use super::data::{BackendCheck, BoardFit, OperatorRow};
use super::text::{bytes, count, escape, grouped};

/// Whether it fits, board by board, with how full flash and RAM would be.
pub fn boards(boards: &[BoardFit]) -> String {
    let row = |b: &BoardFit| {
        let verdict = if b.fits {
            mark("yes", "fits")
        } else {
            mark("no", "does not fit")
        };
        let instructions = b.instructions_per_step.map_or_else(|| "–".to_owned(), count);
        format!(
            "<tr><td><strong>{}</strong><br><small>{}</small></td><td class=\"why\">{verdict}<br><small>{}</small></td><td>{}</td>\
             <td>{}</td><td class=\"n\">{instructions}</td></tr>\n",
            escape(&b.name),
            escape(&b.description),
            escape(&b.why),
            gauge(b.flash_bytes, b.flash_total_bytes),
            gauge(b.ram_bytes, b.ram_total_bytes),
        )
    };
    table(
        &["Board", "", "Flash", "RAM", "#Instructions a step"],
        boards.iter().map(row).collect(),
    )
}

/// Digest and mismatches, backend by backend.
pub fn backends(backends: &[BackendCheck]) -> String {
    let row = |b: &BackendCheck| {
        let verdict = match (b.available, b.mismatches) {
            (false, _) => mark("off", "not run"),
            (true, 0) => mark("yes", "same bits"),
            (true, _) => mark("no", "differs"),
        };
        let number = |v: usize| {
            if b.available {
                grouped(v as u64)
            } else {
                "–".to_owned()
            }
        };
        let remark = [b.first_divergence.as_str(), b.why.as_str()]
            .into_iter()
            .filter(|s| !s.is_empty());
        format!(
            "<tr><td><strong>{}</strong></td><td>{verdict}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td><code>{}</code></td><td class=\"why\">{}</td></tr>\n",
            escape(&b.name),
            number(b.images),
            number(b.steps),
            number(b.mismatches),
            escape(&b.digest),
            escape(&remark.collect::<Vec<_>>().join("; ")),
        )
    };
    table(
        &["Backend", "", "#Images", "#Steps", "#Mismatches", "Digest", "Remark"],
        backends.iter().map(row).collect(),
    )
}

/// What each operator computes, holds and costs; totals in the last row.
pub fn operators(operators: &[OperatorRow]) -> String {
    let row = |(i, o): (usize, &OperatorRow)| {
        let macs = if o.macs == 0 { String::new() } else { grouped(o.macs) };
        let weights = if o.weight_bytes == 0 {
            String::new()
        } else {
            grouped(o.weight_bytes)
        };
        format!(
            "<tr><td class=\"n dim\">{i}</td><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td>\
             <td class=\"n\">{macs}</td><td class=\"n\">{weights}</td><td class=\"n\">{}</td></tr>\n",
            escape(&o.name),
            escape(&o.kind),
            escape(&o.shape),
            escape(&o.dtype),
            escape(&o.weights),
            grouped(o.out_bytes),
        )
    };
    if operators.is_empty() {
        return String::new();
    }
    let sum = |f: fn(&OperatorRow) -> u64| grouped(operators.iter().map(f).sum());
    let total = format!(
        "<tr class=\"total\"><td></td><td>all</td><td></td><td></td><td></td><td></td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td></td></tr>\n",
        sum(|o| o.macs),
        sum(|o| o.weight_bytes),
    );
    let rows: String = operators.iter().enumerate().map(row).collect();
    table(
        &[
            "#",
            "Operator",
            "Kind",
            "#Output",
            "Format",
            "Weights",
            "#MACs",
            "#Weights, bytes",
            "#Output, bytes",
        ],
        rows + &total,
    )
}

/// A table in its scrolling box; a heading that starts with `#` stands over numbers.
fn table(headings: &[&str], rows: String) -> String {
    if rows.is_empty() {
        return rows;
    }
    let heading = |h: &&str| match h.strip_prefix('#') {
        Some(h) => format!("<th class=\"n\">{}</th>", if h.is_empty() { "#" } else { h }),
        None => format!("<th>{h}</th>"),
    };
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        headings.iter().map(heading).collect::<String>(),
    )
}

fn mark(class: &str, word: &str) -> String {
    format!("<span class=\"mark {class}\">{word}</span>")
}

/// Bytes needed of bytes there, with a bar.
fn gauge(used: u64, total: u64) -> String {
    let percent = used as f64 / total.max(1) as f64 * 100.0;
    let class = if used > total { "gauge over" } else { "gauge" };
    format!(
        "<span class=\"{class}\"><span class=\"bar\"><span style=\"width:{:.1}%\"></span></span>{} of {}</span>",
        percent.min(100.0),
        bytes(used),
        bytes(total),
    )
}
