//! Sample grid and film strips: pictures inside the page, enlarged without smoothing.

use super::base64::encode;
use super::data::{Film, Picture};
use super::text::escape;

/// Finished images side by side.
pub fn grid(pictures: &[Picture]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"grid\">\n{}</div>\n",
        pictures.iter().map(|p| figure(p, "sample")).collect::<String>()
    )
}

/// One strip a film, each scrolling inside its own box.
pub fn films(films: &[Film]) -> String {
    let strip = |film: &Film| {
        let frames: String = film.frames.iter().map(|p| figure(p, "state")).collect();
        let label = match film.caption.as_str() {
            "" => String::new(),
            caption => format!("<p class=\"label\">{}</p>\n", escape(caption)),
        };
        format!(
            "{label}<div class=\"scroll\"><div class=\"film\" style=\"--frames:{}\">\n{frames}</div></div>\n",
            film.frames.len()
        )
    };
    films.iter().filter(|film| !film.frames.is_empty()).map(strip).collect()
}

fn figure(picture: &Picture, what: &str) -> String {
    let caption = escape(&picture.caption);
    let under = if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{caption}</figcaption>")
    };
    format!(
        "<figure><img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{what} {caption}\">{under}</figure>\n",
        encode(&picture.png),
        picture.width,
        picture.height,
    )
}
