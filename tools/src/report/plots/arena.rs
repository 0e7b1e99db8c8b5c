//! The activation arena: x is the operator, y the byte, a rectangle a tensor.

use super::axis::byte_ticks;
use crate::report::data::{Block, MemoryMap};
use crate::report::text::{bytes, escape, grouped, tail};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 460.0;
/// Room for the labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [72.0, 12.0, 26.0, 40.0];
/// Width of a character of a label, about.
const CHARACTER: f64 = 6.4;
/// Number formats that have a colour of their own, in the order of the legend, with the class of each.
const FORMATS: [(&str, &str); 4] = [("int8", "i8"), ("int16", "i16"), ("f16", "f16"), ("int32 Q24", "q24")];

/// The figures, the legend and the map.
pub fn arena(map: &MemoryMap) -> String {
    let over = map.arena_bytes as f64 / map.lower_bound_bytes.max(1) as f64 * 100.0 - 100.0;
    let place = Place::new(map);
    format!(
        "<p class=\"figures\"><span><b>{}</b> bytes of arena</span><span><b>{}</b> bytes are the lower bound</span>\
         <span><b>{over:.1} %</b> above it</span></p>\n{}<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"memory map\">\n<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" \
         patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" x2=\"0\" y1=\"0\" \
         y2=\"6\"/></pattern></defs>\n{}{}{}</svg></div>\n",
        grouped(map.arena_bytes as u64),
        grouped(map.lower_bound_bytes as u64),
        legend(map),
        place.axes(map),
        map.blocks.iter().map(|b| place.block(b)).collect::<String>(),
        place.levels(map),
    )
}

fn legend(map: &MemoryMap) -> String {
    let used = FORMATS
        .iter()
        .filter(|(name, _)| map.blocks.iter().any(|b| !b.scratch && b.dtype == *name));
    let entry = |(name, class): &(&str, &str)| format!("<span><i class=\"{class}\"></i>{name}</span>");
    format!(
        "<p class=\"legend\">{}<span><i class=\"scratch\"></i>scratch</span></p>\n",
        used.map(entry).collect::<String>()
    )
}

/// From operators and bytes to the page.
struct Place {
    x_scale: f64,
    y_scale: f64,
}

impl Place {
    fn new(map: &MemoryMap) -> Self {
        let [left, right, above, below] = MARGIN;
        let top = map.arena_bytes.max(map.lower_bound_bytes).max(1);
        Self {
            x_scale: (WIDTH - left - right) / (map.operators + 1) as f64,
            y_scale: (HEIGHT - above - below) / top as f64,
        }
    }

    fn x(&self, operator: usize) -> f64 {
        MARGIN[0] + self.x_scale * operator as f64
    }

    fn y(&self, byte: usize) -> f64 {
        HEIGHT - MARGIN[3] - self.y_scale * byte as f64
    }

    fn block(&self, b: &Block) -> String {
        let (x, y) = (self.x(b.def), self.y(b.offset + b.bytes));
        let (width, height) = (
            self.x_scale * (b.last + 1 - b.def) as f64,
            self.y_scale * b.bytes as f64,
        );
        let class = match FORMATS.iter().find(|(name, _)| *name == b.dtype) {
            _ if b.scratch => "scratch",
            Some((_, class)) => class,
            None => "f16",
        };
        let room = ((width - 8.0) / CHARACTER) as usize;
        let label = if height < 15.0 || room < 4 || b.scratch {
            String::new()
        } else {
            let (x, y) = (x + width / 2.0, y + height / 2.0 + 4.0);
            format!(
                "<text class=\"mid name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                escape(tail(&b.name, room))
            )
        };
        format!(
            "<g><title>{}: {} bytes at {}, operators {} to {}, {}</title><rect class=\"block {class}\" x=\"{x:.1}\" \
             y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>{label}</g>\n",
            escape(&b.name),
            grouped(b.bytes as u64),
            grouped(b.offset as u64),
            b.def,
            b.last,
            escape(&b.dtype),
            width.max(0.5),
            height.max(0.5),
        )
    }

    fn axes(&self, map: &MemoryMap) -> String {
        let (left, right) = (MARGIN[0], WIDTH - MARGIN[1]);
        let row = |v: usize| {
            format!(
                "<line class=\"grid-line\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"end\" \
                 x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                left - 8.0,
                self.y(v) + 4.0,
                bytes(v as u64),
                y = self.y(v),
            )
        };
        let every = (map.operators / 10).max(1);
        let column = |op: usize| {
            let x = self.x(op) + self.x_scale / 2.0;
            format!(
                "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{op}</text>\n",
                HEIGHT - MARGIN[3] + 18.0
            )
        };
        format!(
            "{}{}<text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">operator</text>\n",
            byte_ticks(map.arena_bytes, 5).into_iter().map(row).collect::<String>(),
            (0..map.operators).step_by(every).map(column).collect::<String>(),
            (left + right) / 2.0,
            HEIGHT - 4.0,
        )
    }

    /// The arena's size and the lower bound, over everything else.
    fn levels(&self, map: &MemoryMap) -> String {
        let right = WIDTH - MARGIN[1];
        let level = |byte: usize, class: &str| {
            let y = self.y(byte);
            format!(
                "<line class=\"level {class}\" x1=\"{}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n",
                MARGIN[0]
            )
        };
        let words = if map.arena_bytes == map.lower_bound_bytes {
            "arena = lower bound"
        } else {
            "arena; dashed: lower bound"
        };
        let label = format!(
            "<text class=\"end\" x=\"{right}\" y=\"{:.1}\">{words}</text>\n",
            self.y(map.arena_bytes) - 8.0
        );
        level(map.arena_bytes, "peak") + &level(map.lower_bound_bytes, "bound") + &label
    }
}
