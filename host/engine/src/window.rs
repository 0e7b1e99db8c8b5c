//! The padded input of a convolution: every tap of a kernel row lies beside the last, so that no position is special and no
//! column is gathered.

use crate::family::Line;
use mote_runtime::internals::ops::conv::Geometry;

/// Layout of a padded input: `(row, col, channel)`, the channels rounded up to four bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Rows and columns, padding included.
    pub size: [usize; 2],
    /// Channels that are there.
    pub channels: usize,
    /// Channels with those added that meet weights of 0.
    pub padded: usize,
    /// Bytes of an element.
    pub bytes: usize,
    geometry: Geometry,
}

impl Window {
    /// For a convolution over `channels` channels of `bytes` bytes each, 1 or 2.
    pub fn new(geometry: Geometry, channels: usize, bytes: usize) -> Self {
        let extent = |i: usize| (geometry.output[i] - 1) * geometry.stride.axis(i) + geometry.kernel.axis(i);
        Self {
            size: [extent(0), extent(1)],
            channels,
            padded: channels.next_multiple_of(4 / bytes),
            bytes,
            geometry,
        }
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.size[1] * self.padded * self.bytes
    }

    /// Bytes of all.
    pub fn len(&self) -> usize {
        self.size[0] * self.row_bytes()
    }

    /// Groups of four bytes in a kernel row: the lines of weights that it meets.
    pub fn quads(&self) -> usize {
        self.geometry.kernel.cols() * self.padded * self.bytes / 4
    }

    /// Bytes between the windows of neighbouring positions of a row.
    pub fn step(&self) -> usize {
        self.geometry.stride.cols() * self.padded * self.bytes
    }

    /// Whether the last position of a row and the first of the next are neighbours too.
    pub fn is_even(&self) -> bool {
        self.geometry.output[1] * self.step() == self.geometry.stride.rows() * self.row_bytes()
    }

    /// Whether it is the input as it stands.
    pub fn is_input(&self) -> bool {
        let g = &self.geometry;
        g.kernel.is(1)
            && g.stride.is(1)
            && (g.pad, g.upsample) == ([0, 0], false)
            && self.size == g.input
            && self.padded == self.channels
    }

    /// Byte offset of the first tap of each output position.
    pub fn offsets(&self) -> Vec<u32> {
        let g = &self.geometry;
        let at = |y: usize, x: usize| y * g.stride.rows() * self.row_bytes() + x * self.step();
        let row = |y| (0..g.output[1]).map(move |x| at(y, x) as u32);
        (0..g.output[0]).flat_map(row).collect()
    }

    /// Fills `to` with `from`, each element through `map`, and `pad` around it; `from` is read through the x2 where there is one.
    #[inline(always)]
    pub fn fill<S: Copy, D: Copy>(&self, from: &[S], to: &mut [D], pad: D, map: impl Fn(S) -> D) {
        let g = &self.geometry;
        let zoom = usize::from(g.upsample);
        let across = (g.input[1] << zoom).min(self.size[1] - g.pad[1]);
        for (row, to) in to
            .chunks_exact_mut(self.size[1] * self.padded)
            .take(self.size[0])
            .enumerate()
        {
            let y = row.wrapping_sub(g.pad[0]);
            if y >= g.input[0] << zoom {
                to.fill(pad);
                continue;
            }
            let from = &from[(y >> zoom) * g.input[1] * self.channels..][..g.input[1] * self.channels];
            let (left, rest) = to.split_at_mut(g.pad[1] * self.padded);
            let (middle, right) = rest.split_at_mut(across * self.padded);
            paint(left, pad);
            paint(right, pad);
            if zoom == 0 && self.padded == self.channels {
                copy(middle, from, &map);
            } else {
                for (x, to) in middle.chunks_exact_mut(self.padded).enumerate() {
                    copy(&mut to[..self.channels], &from[(x >> zoom) * self.channels..], &map);
                }
            }
        }
    }
}

/// Fills a few elements, for which a call would be slow.
#[inline(always)]
fn paint<D: Copy>(to: &mut [D], pad: D) {
    let (groups, rest) = to.as_chunks_mut::<8>();
    for group in groups {
        *group = [pad; 8];
    }
    for to in rest {
        *to = pad;
    }
}

/// Copies through `map`. Rows are often a few channels long: groups of 64, then of eight, so that short ones are quick as well.
#[inline(always)]
pub(crate) fn copy<S: Copy, D: Copy>(to: &mut [D], from: &[S], map: &impl Fn(S) -> D) {
    let len = to.len().min(from.len());
    let (to, from) = groups::<64, S, D>(&mut to[..len], &from[..len], map);
    let (to, from) = groups::<8, S, D>(to, from, map);
    for (to, &from) in to.iter_mut().zip(from) {
        *to = map(from);
    }
}

/// Copies groups of `N` and gives the rest.
#[inline(always)]
fn groups<'t, 'f, const N: usize, S: Copy, D: Copy>(
    to: &'t mut [D],
    from: &'f [S],
    map: &impl Fn(S) -> D,
) -> (&'t mut [D], &'f [S]) {
    let (to, to_rest) = to.as_chunks_mut::<N>();
    let (from, from_rest) = from.as_chunks::<N>();
    for (to, from) in to.iter_mut().zip(from) {
        // By value: the compiler need not wonder whether the two overlap.
        let (from, mut mapped) = (*from, *to);
        for i in 0..N {
            mapped[i] = map(from[i]);
        }
        *to = mapped;
    }
    (to_rest, from_rest)
}

/// Makes `buffer` hold `bytes` bytes and gives them.
#[inline(always)]
pub(crate) fn bytes_of(buffer: &mut Vec<Line>, bytes: usize) -> &mut [u8] {
    let lines = bytes.div_ceil(size_of::<Line>());
    if buffer.len() < lines {
        buffer.resize(lines, Line([0; 64]));
    }
    &mut bytemuck::cast_slice_mut(buffer)[..bytes]
}
