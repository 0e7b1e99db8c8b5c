//! The page: its frame, its style, the order of its sections.

use super::data::ReportData;
use super::text::escape;
use super::{live, pictures, plots, tables};

const STYLE: &str = include_str!("style.css");

/// The report as one self-contained HTML page.
pub fn html(data: &ReportData) -> String {
    let live = data.live.as_ref();
    let note = |note: &String| format!("<li>{}</li>\n", escape(note));
    let notes = match data.notes.as_slice() {
        [] => String::new(),
        notes => format!("<ul>\n{}</ul>\n", notes.iter().map(note).collect::<String>()),
    };
    let sections = [
        section(
            "Draw here",
            &live.map(live::caption).unwrap_or_default(),
            live.map(live::section).unwrap_or_default(),
        ),
        section("Samples", &data.samples_caption, pictures::grid(&data.samples)),
        section(
            "From noise to image",
            "The sampler's state x_t, as a picture, at the training timesteps under it.",
            pictures::films(&data.films),
        ),
        section("Notes", "What the conversion said.", notes),
        section(
            "Against the float model",
            "Both start from the same noise. PSNR of the state after each step, with peak 2, and signal to quantization noise \
             of the network's output; higher is closer.",
            data.quality.as_ref().map(plots::quality).unwrap_or_default(),
        ),
        section(
            "Sensitivity by layer",
            "PSNR of the final image, predicted with this tensor alone at 8 bits and every other error taken away. A long bar is \
             a sensitive tensor, an empty one lies 40 dB above the most sensitive; after the arrow, what was chosen for it.",
            plots::sensitivity(&data.sensitivity),
        ),
        section(
            "Memory over the operators",
            "Every rectangle is a tensor: as wide as it lives, as high as its bytes in the arena. Hatched is scratch memory \
             of one operator.",
            data.memory.as_ref().map(plots::arena).unwrap_or_default(),
        ),
        section(
            "Boards",
            "Code, model and memory against what each simulated board has. Instructions are counted in simulation; they are \
             not cycles.",
            tables::boards(&data.boards),
        ),
        section(
            "Same bytes everywhere",
            "Each backend runs the same file from the same seeds; every step's state is compared bit for bit.",
            tables::backends(&data.backends),
        ),
        section(
            "Operators",
            "In the order in which they run.",
            tables::operators(&data.operators),
        ),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Mote report</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{head}{sections}</main>\n</body>\n</html>\n",
        title = escape(&data.title),
        head = head(data),
        sections = sections.concat(),
    )
}

fn head(data: &ReportData) -> String {
    let command = match data.command.as_str() {
        "" => String::new(),
        command => format!("<pre class=\"scroll\"><code>{}</code></pre>\n", escape(command)),
    };
    let fact = |(label, value): &(String, String)| {
        let class = if value.len() > 40 { " class=\"wide\"" } else { "" };
        format!(
            "<div{class}><dt>{}</dt><dd>{}</dd></div>\n",
            escape(label),
            escape(value)
        )
    };
    format!(
        "<header>\n<p class=\"brand\">Mote</p>\n<h1>{}</h1>\n{command}<dl class=\"facts\">\n{}</dl>\n</header>\n",
        escape(&data.title),
        data.facts.iter().map(fact).collect::<String>(),
    )
}

/// A section, or nothing where there is nothing to show.
fn section(title: &str, caption: &str, body: String) -> String {
    if body.is_empty() {
        return body;
    }
    let caption = if caption.is_empty() {
        String::new()
    } else {
        format!("<p class=\"caption\">{}</p>\n", escape(caption))
    };
    format!("<section>\n<h2>{}</h2>\n{caption}{body}</section>\n", escape(title))
}
