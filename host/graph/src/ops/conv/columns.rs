//! The column matrix of a convolution: a row for each input channel and tap, a column for each output.

use crate::Real;
#[cfg(target_arch = "x86_64")]
use crate::matrix::Direct;
use crate::ops::Shape;

/// How the column matrix follows from the input of one group.
pub(super) struct Columns {
    pub n: usize,
    /// Channels of a group; rows and columns of the image.
    pub input: Shape,
    /// Its channels play no part.
    pub output: Shape,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Zeros at the top and at the left; those at the bottom and right follow from the extents.
    pub pad: [usize; 2],
}

impl Columns {
    /// Rows of the matrix.
    pub fn taps(&self) -> usize {
        self.input[0] * self.taps_of_a_channel()
    }

    /// Elements of the input, of all samples.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.planes()[0]
    }

    pub fn are_the_input(&self) -> bool {
        self.kernel == [1; 2] && self.keeps_extents()
    }

    /// The matrix, in `scratch` where the input is not the matrix.
    pub fn matrix<'a, T: Real>(&self, x: &'a [T], scratch: &'a mut [T]) -> &'a [T] {
        if self.are_the_input() {
            return x;
        }
        self.gather(x, scratch);
        scratch
    }

    /// The convolution to `outs` channels where each tap is a shifted image.
    #[cfg(target_arch = "x86_64")]
    pub fn direct(&self, outs: usize) -> Option<Direct> {
        self.keeps_extents().then_some(Direct {
            n: self.n,
            channels: self.input[0],
            outs,
            image: [self.input[1], self.input[2]],
            kernel: self.kernel,
            dilation: self.dilation,
            pad: self.pad,
        })
    }

    fn taps_of_a_channel(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn keeps_extents(&self) -> bool {
        self.stride == [1; 2] && self.input[1..] == self.output[1..]
    }

    /// Elements of an input's channel, and of a row of the matrix.
    fn planes(&self) -> [usize; 2] {
        [self.input, self.output].map(|[_, rows, cols]| self.n * rows * cols)
    }

    /// Fills the column matrix.
    pub fn gather<T: Real>(&self, x: &[T], columns: &mut [T]) {
        let ([plane, row], taps) = (self.planes(), self.taps_of_a_channel());
        let rows = columns.chunks_exact_mut(row).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / taps, i % taps);
            let x = &x[channel * plane..][..plane];
            if self.keeps_extents() {
                let (to, from, len) = self.overlap(tap, plane);
                row[..to].fill(T::ZERO);
                row[to..to + len].copy_from_slice(&x[from..from + len]);
                row[to + len..].fill(T::ZERO);
                self.clear_outside(tap, row);
            } else {
                self.each(tap, |at, from| row[at] = from.map_or(T::ZERO, |from| x[from]));
            }
        }
    }

    /// Adds the columns' gradient to the input's; what lies outside the input is lost.
    pub fn scatter<T: Real>(&self, columns: &mut [T], dx: &mut [T]) {
        let ([plane, row], taps) = (self.planes(), self.taps_of_a_channel());
        let rows = columns.chunks_exact_mut(row).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / taps, i % taps);
            let dx = &mut dx[channel * plane..][..plane];
            if self.keeps_extents() {
                self.clear_outside(tap, row);
                let (to, from, len) = self.overlap(tap, plane);
                let pairs = dx[from..from + len].iter_mut().zip(&row[to..to + len]);
                pairs.for_each(|(d, r)| *d += *r);
            } else {
                self.each(tap, |at, from| {
                    if let Some(from) = from {
                        dx[from] += row[at];
                    }
                });
            }
        }
    }

    /// Rows and columns from an output to what the tap reads.
    fn offset(&self, tap: usize) -> [isize; 2] {
        let taps = [tap / self.kernel[1], tap % self.kernel[1]];
        [0, 1].map(|i| (taps[i] * self.dilation[i]) as isize - self.pad[i] as isize)
    }

    /// Of a shifted plane: first element written, first element read, how many.
    fn overlap(&self, tap: usize, plane: usize) -> (usize, usize, usize) {
        let [dy, dx] = self.offset(tap);
        let shift = dy * self.input[2] as isize + dx;
        let lost = shift.unsigned_abs().min(plane);
        let (to, from) = if shift < 0 { (lost, 0) } else { (0, lost) };
        (to, from, plane - lost)
    }

    /// Zeros where the tap reads outside the image, in a plane of outputs.
    fn clear_outside<T: Real>(&self, tap: usize, row: &mut [T]) {
        let [dy, dx] = self.offset(tap);
        let (rows, cols) = (self.input[1], self.input[2]);
        let outside = |at: usize, by: isize, extent: usize| at.checked_add_signed(by).is_none_or(|at| at >= extent);
        if dy != 0 {
            for image in row.chunks_exact_mut(rows * cols) {
                for (y, line) in image.chunks_exact_mut(cols).enumerate() {
                    if outside(y, dy, rows) {
                        line.fill(T::ZERO);
                    }
                }
            }
        }
        for x in (0..cols).filter(|x| outside(*x, dx, cols)) {
            row.iter_mut().skip(x).step_by(cols).for_each(|v| *v = T::ZERO);
        }
    }

    /// Every output of a plane with the input that the tap reads there, if it is inside.
    fn each(&self, tap: usize, mut visit: impl FnMut(usize, Option<usize>)) {
        let ([dy, dx], [down, along]) = (self.offset(tap), self.stride);
        let ([_, rows, cols], [_, out_rows, out_cols]) = (self.input, self.output);
        let inside = |at: usize, by: isize, extent: usize| at.checked_add_signed(by).filter(|at| *at < extent);
        for line in 0..self.n * out_rows {
            let (image, y) = (line / out_rows, inside(line % out_rows * down, dy, rows));
            for x in 0..out_cols {
                let from = y
                    .zip(inside(x * along, dx, cols))
                    .map(|(y, x)| (image * rows + y) * cols + x);
                visit(line * out_cols + x, from);
            }
        }
    }
}
