//! Condition vectors: what a run is given beside its noise, in real numbers and in a model's fixed point.

mod given;
mod images;
mod read;

pub use given::Given;
pub use images::Images;
pub use mote_compile::FixedPoint;

use crate::Error;
use mote_runtime::internals::numeric::normal::uniform_word;
use std::sync::Arc;

/// Condition vectors in real numbers: a row an image, or one row for all.
///
/// ```
/// use mote_tools::Conditions;
///
/// let one = Conditions::parse("0.25,-0.5")?;
/// assert_eq!((one.count(), one.row(7)), (1, &[0.25, -0.5][..]));
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What they were read from, for errors.
    name: String,
    /// Numbers of a row; at least one.
    width: usize,
    /// Finite; a whole number of rows, at least one.
    numbers: Vec<f64>,
}

impl Conditions {
    /// Rows of `width` numbers one after the other.
    ///
    /// # Errors
    /// Of kind `Input` for no row, part of a row, or a number that is not finite. `name` says what they are.
    pub fn new(name: impl Into<String>, width: usize, numbers: Vec<f64>) -> Result<Self, Error> {
        let name = name.into();
        if width == 0 || numbers.is_empty() || !numbers.len().is_multiple_of(width) {
            let found = numbers.len();
            return Err(
                Error::input(format_args!("{name}: {found} numbers are no rows of {width}"))
                    .help("give a condition vector, or one an image"),
            );
        }
        match numbers.iter().position(|v| !v.is_finite()) {
            None => Ok(Self { name, width, numbers }),
            Some(at) => Err(Error::input(format_args!(
                "{name}: number {} of condition {} is {}",
                at % width,
                at / width,
                numbers[at]
            ))
            .help("conditions are finite numbers: check how they were written")),
        }
    }

    /// `count` rows drawn evenly from `range`, from `seed`.
    pub(crate) fn uniform(seed: u64, [low, high]: [f64; 2], width: usize, count: usize) -> Self {
        let number = |i: usize| low + (high - low) * f64::from(uniform_word(seed, 0, i as u32)) / 4_294_967_296.0;
        Self {
            name: "drawn conditions".into(),
            width: width.max(1),
            numbers: (0..width.max(1) * count.max(1)).map(number).collect(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// Numbers of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The row of an image: its own, or the one that is for all. More images than rows begin again at the first.
    #[must_use]
    pub fn row(&self, image: usize) -> &[f64] {
        let row = image % self.count();
        &self.numbers[row * self.width..][..self.width]
    }

    /// The row of an image alone.
    pub(crate) fn alone(&self, image: usize) -> Self {
        Self {
            name: self.name.clone(),
            width: self.width,
            numbers: self.row(image).to_vec(),
        }
    }

    /// Some of the rows, evenly spread over all of them.
    pub(crate) fn spread(&self, count: usize) -> Self {
        let all = self.count();
        let picked = (0..count.clamp(1, all)).map(|i| self.row(i * all / count.clamp(1, all)));
        Self {
            name: self.name.clone(),
            width: self.width,
            numbers: picked.flatten().copied().collect(),
        }
    }

    /// The least and the largest number.
    pub(crate) fn extremes(&self) -> [f64; 2] {
        let low = self.numbers.iter().copied().fold(f64::INFINITY, f64::min);
        [low, self.numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
    }

    /// Refuses rows of another length than a network's.
    pub(crate) fn check_width(&self, expected: usize) -> Result<(), Error> {
        if self.width == expected {
            return Ok(());
        }
        let (name, width) = (&self.name, self.width);
        Err(Error::input(format_args!(
            "{name}: a condition of {width} numbers, and the model takes {expected}"
        ))
        .help(format_args!("give rows of {expected} numbers")))
    }

    /// The rows of `images` images in a fixed point; rows that are for several are held once.
    pub(crate) fn fixed(&self, point: &FixedPoint, images: usize) -> Vec<Arc<[i32]>> {
        let row = |i: usize| self.row(i).iter().map(|v| point.number(*v)).collect();
        let rows: Vec<Arc<[i32]>> = (0..self.count().min(images)).map(row).collect();
        (0..images).map(|i| rows[i % rows.len()].clone()).collect()
    }
}
