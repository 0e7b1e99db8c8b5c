//! Convolutions in f64 without a column matrix: each tap is a shifted load from a padded image. A column matrix in f64 does not fit a
//! cache, and making it takes longer than the sums.

use core::arch::x86_64::*;

/// A convolution of one group and of stride 1, whose output has the input's extents.
#[derive(Debug, Clone, Copy)]
pub struct Direct {
    /// Samples.
    pub n: usize,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub outs: usize,
    /// Rows and columns of an image.
    pub image: [usize; 2],
    /// Taps of each axis.
    pub kernel: [usize; 2],
    /// Step between taps.
    pub dilation: [usize; 2],
    /// Zeros at the top and at the left.
    pub pad: [usize; 2],
}

/// Numbers of a register.
const WIDE: usize = 8;
/// Registers of outputs of a channel.
const REGISTERS: usize = 4;

/// Runs of up to [`WIDE`] outputs of a row: where the first tap reads within an image, where the output goes, and how many.
type Run = (usize, usize, usize);

impl Direct {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rows and columns with the padding on both sides.
    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|i| self.image[i] + (self.kernel[i] - 1) * self.dilation[i])
    }

    /// Copies a sample, zeros around each channel.
    fn pad(&self, x: &[f64], sample: usize, to: &mut [f64]) {
        let ([rows, cols], [high, wide]) = (self.image, self.padded());
        to.fill(0.0);
        for (channel, to) in to.chunks_exact_mut(high * wide).take(self.channels).enumerate() {
            let from = &x[(channel * self.n + sample) * rows * cols..][..rows * cols];
            let lines = to.chunks_exact_mut(wide).skip(self.pad[0]);
            for (to, from) in lines.zip(from.chunks_exact(cols)) {
                to[self.pad[1]..self.pad[1] + cols].copy_from_slice(from);
            }
        }
    }

    /// Adds to `out`, or writes it where it is not to be kept: `(out, sample, row, col)`, from `x` of `(channel, sample, row, col)` and `weights`
    /// of `(out, channel, row, col)`. `false` where this is not the way to do it: then `out` is as it was.
    pub fn run(&self, x: &[f64], weights: &[f64], scratch: &mut [f64], keep: bool, out: &mut [f64]) -> bool {
        let ([rows, cols], [high, wide]) = (self.image, self.padded());
        let plane = self.n * rows * cols;
        let here = is_x86_feature_detected!("avx512f");
        let fits = x.len() == self.channels * plane && out.len() == self.outs * plane;
        if !here || !fits || weights.len() != self.outs * self.channels * self.taps() {
            return false;
        }
        if self.taps() == 1 {
            // The image is read in place, and nothing lies behind it.
            let runs: Vec<Run> = (0..plane).step_by(WIDE).map(|at| (at, at, WIDE)).collect();
            if !plane.is_multiple_of(WIDE) || plane < REGISTERS * WIDE {
                return false;
            }
            self.sample(x, (plane, &[0]), weights, &runs, keep, (out, 0));
            return true;
        }
        // A register may read past the last row.
        let len = self.channels * high * wide + WIDE;
        let reach = [0, 1].iter().all(|&i| self.pad[i] + self.image[i] <= self.padded()[i]);
        if scratch.len() < len || cols < WIDE / 2 || !reach {
            return false;
        }
        let offset = |tap: usize| {
            let (row, col) = (tap / self.kernel[1], tap % self.kernel[1]);
            row * self.dilation[0] * wide + col * self.dilation[1]
        };
        let offsets: Vec<usize> = (0..self.taps()).map(offset).collect();
        let row = |y: usize| {
            let firsts = (0..cols).step_by(WIDE);
            firsts.map(move |x| (y * wide + x, y * cols + x, (cols - x).min(WIDE)))
        };
        let runs: Vec<Run> = (0..rows).flat_map(row).collect();
        for sample in 0..self.n {
            self.pad(x, sample, &mut scratch[..len]);
            let to = (&mut *out, sample * rows * cols);
            self.sample(&scratch[..len], (high * wide, &offsets), weights, &runs, keep, to);
        }
        true
    }

    /// Every output of `runs`, from images of `step` numbers that are read at `offsets`.
    fn sample(
        &self,
        x: &[f64],
        (step, offsets): (usize, &[usize]),
        weights: &[f64],
        runs: &[Run],
        keep: bool,
        (out, first): (&mut [f64], usize),
    ) {
        let plane = self.n * self.image[0] * self.image[1];
        let reach = (self.channels - 1) * step + offsets.iter().max().unwrap_or(&0) + WIDE;
        for &(from, to, len) in runs {
            assert!(from + reach <= x.len() && first + to + len <= plane && len <= WIDE);
        }
        assert!(weights.len() >= self.outs * self.channels * offsets.len() && out.len() >= self.outs * plane);
        let reads = Reads {
            x,
            channels: self.channels,
            step,
            offsets,
            weights,
            plane,
            first,
            keep,
        };
        let mut channel = 0;
        while channel < self.outs {
            // SAFETY: the caller found the instructions, and every read and write was just held to its slice.
            channel += unsafe {
                match self.outs - channel {
                    6.. => reads.outputs::<6>(channel, runs, out),
                    4.. => reads.outputs::<4>(channel, runs, out),
                    2.. => reads.outputs::<2>(channel, runs, out),
                    _ => reads.outputs::<1>(channel, runs, out),
                }
            };
        }
    }
}

/// What the sums are made of.
struct Reads<'a> {
    x: &'a [f64],
    channels: usize,
    /// Numbers of a channel of `x`.
    step: usize,
    /// Of each tap, in a channel.
    offsets: &'a [usize],
    weights: &'a [f64],
    /// Numbers of a channel of the output.
    plane: usize,
    /// Where the sample begins in it.
    first: usize,
    keep: bool,
}

impl Reads<'_> {
    /// `OUTS` channels from `channel` on; gives how many.
    ///
    /// # Safety
    /// AVX-512 F is here; every channel's images and weights, and the outputs of `runs`, are within their slices.
    #[target_feature(enable = "avx512f")]
    unsafe fn outputs<const OUTS: usize>(&self, channel: usize, runs: &[Run], out: &mut [f64]) -> usize {
        let taps = self.channels * self.offsets.len();
        for runs in runs.chunks(REGISTERS) {
            let at: [usize; REGISTERS] = core::array::from_fn(|i| runs[i.min(runs.len() - 1)].0);
            let mut sums = [[_mm512_setzero_pd(); REGISTERS]; OUTS];
            // SAFETY: the caller's promise.
            unsafe {
                let (mut x, mut w) = (self.x.as_ptr(), self.weights.as_ptr().add(channel * taps));
                for _ in 0..self.channels {
                    for &offset in self.offsets {
                        let x: [__m512d; REGISTERS] = core::array::from_fn(|i| _mm512_loadu_pd(x.add(offset + at[i])));
                        for (o, sums) in sums.iter_mut().enumerate() {
                            let w = _mm512_set1_pd(*w.add(o * taps));
                            for (sum, x) in sums.iter_mut().zip(x) {
                                *sum = _mm512_fmadd_pd(x, w, *sum);
                            }
                        }
                        w = w.add(1);
                    }
                    x = x.wrapping_add(self.step);
                }
                for (o, sums) in sums.into_iter().enumerate() {
                    for (&(_, to, len), sum) in runs.iter().zip(sums) {
                        let mask = ((1u32 << len) - 1) as __mmask8;
                        let to = out.as_mut_ptr().add((channel + o) * self.plane + self.first + to);
                        let before = if self.keep {
                            _mm512_maskz_loadu_pd(mask, to)
                        } else {
                            _mm512_setzero_pd()
                        };
                        _mm512_mask_storeu_pd(to, mask, _mm512_add_pd(before, sum));
                    }
                }
            }
        }
        OUTS
    }
}
