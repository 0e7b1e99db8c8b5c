//! The report on a trained chain: one page, in the style of the conversion's.

use super::base64::encode;
use super::plots::curve;
use super::text::escape;

const STYLE: &str = include_str!("style.css");

/// Title, name of the horizontal axis, points.
pub type Curve = (String, String, Vec<(f64, f64)>);

/// Label and PNG file.
pub type Labelled = (String, Vec<u8>);

/// Heading, caption, pictures.
pub type Pictures = (String, String, Vec<Labelled>);

/// What is shown.
#[derive(Debug, Clone, Default)]
pub struct ChainReport {
    /// Name of the chain.
    pub title: String,
    /// Numbers and what they are.
    pub figures: Vec<(String, String)>,
    /// Plots.
    pub curves: Vec<Curve>,
    /// Sections of pictures.
    pub pictures: Vec<Pictures>,
}

/// The page.
pub fn html(report: &ChainReport) -> String {
    let figure = |(what, value): &(String, String)| format!("<span><b>{}</b> {}</span>", escape(value), escape(what));
    let plot = |(title, axis, points): &Curve| {
        format!(
            "<figure><figcaption>{}</figcaption>\n{}</figure>\n",
            escape(title),
            curve(points, axis)
        )
    };
    let picture = |(label, png): &Labelled| {
        format!(
            "<figure><img src=\"data:image/png;base64,{}\" alt=\"{label}\"><figcaption>{label}</figcaption></figure>\n",
            encode(png),
            label = escape(label),
        )
    };
    let section = |(heading, caption, pictures): &Pictures| {
        format!(
            "<section>\n<h2>{}</h2>\n<p class=\"caption\">{}</p>\n<div class=\"pair\">\n{}</div>\n</section>\n",
            escape(heading),
            escape(caption),
            pictures.iter().map(picture).collect::<String>()
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Mote report</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<p class=\"brand\">Mote</p>\n<h1>{title}</h1>\n\
         <p class=\"figures\">{}</p>\n<section>\n<h2>The bound</h2>\n<div class=\"pair\">\n{}</div>\n</section>\n{}</main>\n</body>\n</html>\n",
        report.figures.iter().map(figure).collect::<String>(),
        report.curves.iter().map(plot).collect::<String>(),
        report.pictures.iter().map(section).collect::<String>(),
        title = escape(&report.title),
    )
}
