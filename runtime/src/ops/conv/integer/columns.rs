//! im2col: the input under one output position, `(row, col, channel)` of the kernel window, as a column of a block.

use core::ops::Range;

use super::strips;
use crate::family::{self, COLUMNS, Family, Layout, Native, Neighbours, Scale, Window, padded};
use crate::family::{CHUNK, InputPart};
use crate::features::MODULATES;
use crate::ops::conv::{Extent, Geometry};
use crate::tensor::view::View;

/// Walks the output positions in order and fills a column for each.
pub struct Gather<'b, 'a> {
    parts: &'b [InputPart<'a>],
    pub(super) channels: usize,
    kernel: Extent,
    stride: Extent,
    /// Columns of the stored input, and of the output.
    pub(super) widths: [usize; 2],
    pub(super) zoom: u32,
    /// Rows and columns of the (doubled) input with the zeros above and to the left.
    pub(super) ends: [usize; 2],
    pub(super) pad: [usize; 2],
    block: Layout,
    pub(super) way: Filling<'a>,
    /// First row and column under the kernel, counted from the first zero.
    pub(super) at: [usize; 2],
    /// Output positions left in the row; in a strip, rows left.
    pub(super) left: usize,
    /// Output positions done.
    done: usize,
}

/// How columns are filled.
pub(super) enum Filling<'a> {
    /// One after the other, kernel row by kernel row.
    Each,
    /// Four neighbours at once: one channel under a 3x3 kernel.
    Single(View<'a>),
    /// One after the other from one int8 activation as it is stored, of more than a few channels. What of it is under the kernel,
    /// and where the first of its rows begins there.
    Windows {
        data: &'a [i8],
        zero: i32,
        window: Window,
        line: usize,
    },
    /// Positions of two int8 activations, brought to their common scale.
    Points([Scale; 2]),
    /// Four neighbours at once, and then those below them: see [`super::strips`].
    Strips { data: &'a [i8], zero: i32, six: Neighbours },
}

impl<'a> Filling<'a> {
    fn new(parts: &[InputPart<'a>], g: &Geometry, block: &Layout) -> Self {
        if let [a, b] = parts
            && (g.kernel.is(1) && g.stride.is(1) && block.lanes == COLUMNS)
            && (g.input, g.pad) == (g.output, [0; 2])
            && let (Some(a), Some(b)) = (Self::point(a), Self::point(b))
        {
            return Self::Points([a, b]);
        }
        let [
            part @ InputPart {
                view, requant: None, ..
            },
        ] = *parts
        else {
            return Self::Each;
        };
        match view {
            View::I8(data, zero) if strips::serve(g, part.channels, block) => Self::Strips {
                data,
                zero,
                six: Neighbours::default(),
            },
            _ if g.upsample => Self::Each,
            _ if g.kernel.is(3) && g.stride.is(1) && [part.channels, block.lanes] == [1, COLUMNS] => Self::Single(view),
            View::I8(data, zero) if block.taps > Native::THIN => Self::Windows {
                data,
                zero,
                window: Window::default(),
                line: 0,
            },
            _ => Self::Each,
        }
    }

    /// What brings a part of a concatenation to its columns, where it is int8 in whole groups of channels.
    fn point(part: &InputPart<'_>) -> Option<Scale> {
        match (part.view, part.requant) {
            (View::I8(_, zero), Some(requant)) if part.channels.is_multiple_of(4) => Native::scale(&requant, zero),
            _ => None,
        }
    }
}

impl<'b, 'a> Gather<'b, 'a> {
    /// From the first output position on, which [`Gather::enter`] begins.
    pub fn new(parts: &'b [InputPart<'a>], g: &Geometry, block: Layout) -> Self {
        let zoom = u32::from(g.upsample);
        let way = Filling::new(parts, g, &block);
        let strips = matches!(way, Filling::Strips { .. });
        Self {
            parts,
            channels: parts.iter().map(|p| p.channels).sum(),
            kernel: g.kernel,
            stride: g.stride,
            widths: [g.input[1], g.output[1]],
            zoom,
            ends: [(g.input[0] << zoom) + g.pad[0], (g.input[1] << zoom) + g.pad[1]],
            pad: g.pad,
            block,
            way,
            at: [0; 2],
            left: g.output[usize::from(!strips)],
            done: 0,
        }
    }

    /// Fills the first `count` columns of the block with the next positions' input: gives the first of them, and which taps of
    /// a whole column the block holds.
    #[inline(never)]
    pub fn fill(&mut self, columns: &mut [i16], count: usize) -> (usize, Range<usize>) {
        if Native::STRIPS && matches!(self.way, Filling::Strips { .. }) {
            return self.strip(columns);
        }
        let first = self.done;
        self.done += count;
        let held = (first, 0..padded(self.block.taps));
        if let (Filling::Single(view), true, Some(columns)) = (
            &self.way,
            count == COLUMNS && self.left >= COLUMNS,
            columns.first_chunk_mut(),
        ) {
            self.neighbours(*view, columns);
            (1..COLUMNS).for_each(|_| self.skip());
            self.advance();
            return held;
        }
        if let Filling::Points(scales) = &self.way {
            let mut tap = 0;
            for (part, scale) in self.parts.iter().zip(scales) {
                if let View::I8(data, _) = part.view {
                    let from = &data[first * part.channels..][..count * part.channels];
                    Native::points8(from, part.channels, scale, &mut columns[tap * COLUMNS..]);
                }
                tap += part.channels;
            }
            return held;
        }
        self.each(columns, count);
        held
    }

    /// Taps that meet zeros, of a block of neighbours from output position `at` on under a kernel of one row. At the beginning: how many in the
    /// first two columns, and how many more in the first. At the end: how many in the last one, and in the last two. `None` where there
    /// are none, or they are not whole groups.
    #[inline(always)]
    pub fn cut(&self, at: usize) -> Option<[usize; 4]> {
        let [width, outputs] = [self.ends[1] - self.pad[1], self.widths[1]];
        let kernel = self.kernel.cols();
        let plain = self.kernel.rows() == 1 && (self.stride.cols(), self.zoom) == (1, 0);
        let col = at % outputs.max(1);
        if !plain || col + COLUMNS > outputs || !self.channels.is_multiple_of(16) {
            return None;
        }
        // Taps before which column `lane` is left of the input, and from which on it is right of it.
        let before = |lane: usize| self.pad[1].saturating_sub(col + lane);
        let behind = |lane: usize| kernel.saturating_sub((width + self.pad[1]).saturating_sub(col + lane));
        let (two, three) = ([before(1), behind(2)], [before(0), behind(3)]);
        let one = if three[0] + three[1] < kernel {
            [three[0] - two[0], three[1] - two[1]]
        } else {
            [0; 2]
        };
        let cut = [two[0], one[0], one[1], two[1]];
        let all: usize = cut.iter().sum();
        (all > 0 && all < kernel).then(|| cut.map(|taps| taps * self.channels))
    }

    /// One column after the other.
    #[inline(never)]
    fn each(&mut self, columns: &mut [i16], count: usize) {
        let mut joined = [0; CHUNK];
        for lane in 0..count {
            match &self.way {
                Filling::Windows { window, .. } if window.taps > 0 => self.clipped(columns, lane),
                _ => self.next(columns, lane, &mut joined),
            }
        }
    }

    /// Fills column `lane` of the block from an int8 tensor, some rows of which are under the kernel.
    fn clipped(&mut self, columns: &mut [i16], lane: usize) {
        let [row, col] = self.at;
        let (from, full) = (col.saturating_sub(self.pad[1]), self.kernel.cols() * self.channels);
        let within = col >= self.pad[1] && col + self.kernel.cols() <= self.ends[1];
        if !(within && matches!(&self.way, Filling::Windows { window, .. } if window.inside == full)) {
            let left = self.pad[1].saturating_sub(col).min(self.kernel.cols());
            let right = (col + self.kernel.cols())
                .saturating_sub(self.ends[1])
                .min(self.kernel.cols() - left);
            let now = self.window_of(row, left, right);
            if let Filling::Windows { window, .. } = &mut self.way {
                *window = now;
            }
        }
        if let Filling::Windows {
            data,
            zero,
            window,
            line,
        } = &self.way
        {
            let from = &data[(line + from * self.channels).min(data.len())..];
            Native::window8(from, window, *zero, columns, &self.block, lane);
        }
        self.advance();
    }

    /// What is under the kernel from a row of the (doubled) input on, without columns on the left and the right.
    fn window_of(&self, row: usize, left: usize, right: usize) -> Window {
        let above = self.pad[0].saturating_sub(row).min(self.kernel.rows());
        let below = (row + self.kernel.rows())
            .saturating_sub(self.ends[0])
            .min(self.kernel.rows() - above);
        let line = self.kernel.cols() * self.channels;
        let [left, right] = [left, right].map(|columns| columns * self.channels);
        Window::new(
            [above * line, below * line],
            self.kernel.rows() - above - below,
            [left, line - left - right, right],
            self.widths[0] * self.channels,
        )
    }

    /// Begins a row of outputs.
    pub fn enter(&mut self) {
        if matches!(self.way, Filling::Windows { .. }) {
            let now = self.window_of(self.at[0], 0, 0);
            if let Filling::Windows { window, line, .. } = &mut self.way {
                *window = now;
                *line = self.at[0].saturating_sub(self.pad[0]) * self.widths[0] * self.channels;
            }
        }
    }

    /// Fills a block with four neighbours in a row: six elements of each of three lines, one channel.
    fn neighbours(&self, view: View<'_>, columns: &mut [i16; Layout::elements(COLUMNS, 9)]) {
        let [row, col] = self.at;
        // The elements inside: those before the first zero on the right, less those on the left.
        let left = self.pad[1].saturating_sub(col).min(6);
        let right = self.ends[1].saturating_sub(col).clamp(left, 6);
        let from = (row * self.widths[0] + col).wrapping_sub(self.pad[0] * self.widths[0] + self.pad[1]);
        macro_rules! spread {
            ($columns:ident, $line:expr, $first:literal: $($lane:literal $tap:literal),*) => {
                let (mut line, y) = ([0; 6], row + $line);
                if y >= self.pad[0] && y < self.ends[0] {
                    line = six(view, from.wrapping_add($line * self.widths[0]), left, right);
                }
                $($columns[family::place($first + $tap, $lane)] = line[$lane + $tap];)*
            };
        }
        // Where a column's taps lie at even distances, the lines are alike.
        if const { family::place(3, 0) == 3 * COLUMNS && family::place(6, 0) == 6 * COLUMNS } {
            for (line, columns) in columns
                .as_chunks_mut::<{ 3 * COLUMNS }>()
                .0
                .iter_mut()
                .take(3)
                .enumerate()
            {
                spread!(columns, line, 0: 0 0, 1 0, 2 0, 3 0, 0 1, 1 1, 2 1, 3 1, 0 2, 1 2, 2 2, 3 2);
            }
            return;
        }
        spread!(columns, 0, 0: 0 0, 1 0, 2 0, 3 0, 0 1, 1 1, 2 1, 3 1, 0 2, 1 2, 2 2, 3 2);
        spread!(columns, 1, 3: 0 0, 1 0, 2 0, 3 0, 0 1, 1 1, 2 1, 3 1, 0 2, 1 2, 2 2, 3 2);
        spread!(columns, 2, 6: 0 0, 1 0, 2 0, 3 0, 0 1, 1 1, 2 1, 3 1, 0 2, 1 2, 2 2, 3 2);
    }

    /// Fills column `lane` of the block with the next position's input, zero points removed.
    fn next(&mut self, columns: &mut [i16], lane: usize, joined: &mut [i16; CHUNK]) {
        let [row, col] = self.at;
        // Taps of a kernel row that are left of the input, inside, and right of it.
        let left = self.pad[1].saturating_sub(col).min(self.kernel.cols());
        let right = (col + self.kernel.cols())
            .saturating_sub(self.ends[1])
            .min(self.kernel.cols() - left);
        let inside = self.kernel.cols() - left - right;
        if let ([part], 0, true) = (
            self.parts,
            self.zoom,
            Native::THIN > 0 && self.block.taps <= Native::THIN,
        ) {
            self.thin(part, left, inside, columns, lane, joined);
            return self.advance();
        }
        if self.slides() && col > 0 {
            self.slide_over(columns, lane, joined);
            return self.advance();
        }
        let mut to = Cursor {
            columns,
            block: &self.block,
            lane,
            tap: 0,
            joined,
        };
        for y in row..row + self.kernel.rows() {
            if y < self.pad[0] || y >= self.ends[0] || inside == 0 {
                to.zeros(self.kernel.cols() * self.channels);
                continue;
            }
            if left > 0 {
                to.zeros(left * self.channels);
            }
            let line = ((y - self.pad[0]) >> self.zoom) * self.widths[0];
            self.span(line, (col + left) - self.pad[1], inside, &mut to);
            if right > 0 {
                to.zeros(right * self.channels);
            }
        }
        self.advance();
    }

    /// Whether all but a kernel's last column are those of the neighbour before: parts of a concatenation are brought to their common scale
    /// once, not once for each column that they are under.
    #[inline(always)]
    fn slides(&self) -> bool {
        MODULATES
            && Native::FOURS
            && (self.parts.len(), self.zoom, self.block.lanes) == (2, 0, COLUMNS)
            && (self.kernel.cols() > 1 && self.stride.cols() == 1)
            && self.channels.is_multiple_of(4)
    }

    /// Fills column `lane` from the one before, which lies in the block: that of the neighbour on the left.
    #[inline(never)]
    fn slide_over(&self, columns: &mut [i16], lane: usize, joined: &mut [i16; CHUNK]) {
        let [row, col] = self.at;
        let before = lane.checked_sub(1).unwrap_or(COLUMNS - 1);
        let line = self.kernel.cols() * self.channels;
        let last = col + self.kernel.cols() - 1;
        for (i, y) in (row..row + self.kernel.rows()).enumerate() {
            let tap = i * line;
            let (fours, _) = columns.as_chunks_mut::<4>();
            let mut to = tap + lane;
            for from in (tap + self.channels + before..tap + line + before).step_by(COLUMNS) {
                fours[to] = fours[from];
                to += COLUMNS;
            }
            let mut to = Cursor {
                columns: &mut *columns,
                block: &self.block,
                lane,
                tap: tap + line - self.channels,
                joined: &mut *joined,
            };
            if y < self.pad[0] || y >= self.ends[0] || last < self.pad[1] || last >= self.ends[1] {
                to.zeros(self.channels);
            } else {
                self.span((y - self.pad[0]) * self.widths[0], last - self.pad[1], 1, &mut to);
            }
        }
    }

    /// A column of few taps: row by row into `window`, then from there.
    fn thin(
        &self,
        part: &InputPart<'_>,
        left: usize,
        inside: usize,
        columns: &mut [i16],
        lane: usize,
        window: &mut [i16; CHUNK],
    ) {
        let [row, col] = self.at;
        window.fill(0);
        let line = self.kernel.cols() * self.channels;
        let from = (col + left).wrapping_sub(self.pad[1]);
        for (y, window) in (row..row + self.kernel.rows()).zip(window.chunks_exact_mut(line)) {
            if y < self.pad[0] || y >= self.ends[0] || inside == 0 {
                continue;
            }
            let at = ((y - self.pad[0]) * self.widths[0] + from) * self.channels;
            let window = &mut window[left * self.channels..][..inside * self.channels];
            match part.view {
                View::I8(data, zero) => {
                    for (to, &q) in window.iter_mut().zip(&data[at..]) {
                        *to = i16::from(q) - zero as i16;
                    }
                }
                View::I16(data) => {
                    for (to, &q) in window.iter_mut().zip(&data[at..]) {
                        *to = q;
                    }
                }
                View::F16(_) | View::Q24(_) => {}
            }
        }
        Native::copy16(&window[..padded(self.block.taps)], columns, 0, &self.block, lane);
    }

    #[inline(always)]
    fn skip(&mut self) {
        self.at[1] += self.stride.cols();
        self.left -= 1;
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.skip();
        if self.left == 0 {
            self.at = [self.at[0] + self.stride.rows(), 0];
            self.left = self.widths[1];
            self.enter();
        }
    }

    /// Copies `count` columns of one input row, from column `from` on.
    fn span(&self, line: usize, from: usize, count: usize, to: &mut Cursor<'_>) {
        if let ([part], 0) = (self.parts, self.zoom) {
            // Neighbours in a row are neighbours in memory.
            return to.copy(part, (line + from) * part.channels, count * part.channels);
        }
        for x in from..from + count {
            for part in self.parts {
                to.copy(part, (line + (x >> self.zoom)) * part.channels, part.channels);
            }
        }
    }
}

/// Six elements of a line, those from `left` to `right` from the input, in which the first would lie at `from`.
#[inline(never)]
fn six(view: View<'_>, from: usize, left: usize, right: usize) -> [i16; 6] {
    // Where at most an end of them is missing, with its neighbour in memory.
    let found = match view {
        _ if left > 1 || right < 5 => None,
        View::I8(data, zero) => data
            .get(from..)
            .and_then(|six| six.first_chunk())
            .map(|&[a, b, c, d, e, f]| {
                let widen = |q: i8| i16::from(q) - zero as i16;
                [widen(a), widen(b), widen(c), widen(d), widen(e), widen(f)]
            }),
        View::I16(data) => data.get(from..).and_then(|six| six.first_chunk()).copied(),
        View::F16(_) | View::Q24(_) => None,
    };
    if let Some(mut six) = found {
        if left == 1 {
            six[0] = 0;
        }
        if right == 5 {
            six[5] = 0;
        }
        return six;
    }
    let mut six = [0; 6];
    for (i, to) in (left..right).zip(&mut six[left..right]) {
        *to = view.at(from.wrapping_add(i)) as i16;
    }
    six
}

/// Where the next tap goes.
struct Cursor<'c> {
    columns: &'c mut [i16],
    block: &'c Layout,
    lane: usize,
    tap: usize,
    /// Elements of a concatenation on their common scale, a few at a time.
    joined: &'c mut [i16; CHUNK],
}

impl Cursor<'_> {
    fn zeros(&mut self, count: usize) {
        Native::zeros(count, self.columns, self.tap, self.block, self.lane);
        self.tap += count;
    }

    fn copy(&mut self, part: &InputPart<'_>, at: usize, count: usize) {
        let (block, lane, tap) = (self.block, self.lane, self.tap);
        self.tap += count;
        match (part.view, part.requant) {
            (View::I8(data, zero), None) => {
                Native::copy8(&data[at..at + count], zero, self.columns, tap, block, lane);
            }
            (View::I16(data), None) => Native::copy16(&data[at..at + count], self.columns, tap, block, lane),
            _ => {
                for done in (0..count).step_by(CHUNK) {
                    let joined = &mut self.joined[..(count - done).min(CHUNK)];
                    part.join(at + done, joined);
                    Native::copy16(joined, self.columns, tap + done, block, lane);
                }
            }
        }
    }
}
