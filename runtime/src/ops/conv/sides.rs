//! Extents of a kernel, and steps: the same for rows and columns, or one for each.
//!
//! Without the part `rectangles` there is one number for both axes, and what is compiled is what squares take.

use serde::{Deserialize, Serialize};

use crate::features::Feature;

/// Two small numbers in a byte of the file: that of the columns in the low four bits, that of the rows in the high ones. Rows of 0
/// stand for as many as the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides(pub u8);

impl Sides {
    /// The same for both axes, at most 15.
    pub const fn square(side: u8) -> Self {
        Self(side)
    }

    /// `rows` and `cols`, each at most 15.
    pub const fn of(rows: u8, cols: u8) -> Self {
        if rows == cols {
            Self(cols)
        } else {
            Self(rows << 4 | cols)
        }
    }

    /// Of the rows.
    #[inline(always)]
    pub const fn rows(self) -> u8 {
        match self.0 >> 4 {
            rows if Feature::Rectangles.is_built() && rows > 0 => rows,
            _ => self.cols(),
        }
    }

    /// Of the columns. Where there are squares alone, that is the byte: one with high bits is out of every range.
    #[inline(always)]
    pub const fn cols(self) -> u8 {
        if Feature::Rectangles.is_built() {
            self.0 & 15
        } else {
            self.0
        }
    }

    /// Of the rows (0) or of the columns (1).
    #[inline(always)]
    pub const fn axis(self, axis: usize) -> u8 {
        if axis == 0 { self.rows() } else { self.cols() }
    }

    /// Whether both axes have the same number.
    #[inline(always)]
    pub const fn is_square(self) -> bool {
        self.rows() == self.cols()
    }
}

/// [`Sides`] as the kernels have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    cols: usize,
    #[cfg(feature = "rectangles")]
    rows: usize,
}

impl Extent {
    /// Of the rows.
    #[inline(always)]
    pub const fn rows(&self) -> usize {
        #[cfg(feature = "rectangles")]
        return self.rows;
        #[cfg(not(feature = "rectangles"))]
        self.cols
    }

    /// Of the columns.
    #[inline(always)]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// Of the rows (0) or of the columns (1).
    #[inline(always)]
    pub const fn axis(&self, axis: usize) -> usize {
        if axis == 0 { self.rows() } else { self.cols }
    }

    /// Positions in a rectangle of these extents.
    #[inline(always)]
    pub const fn area(&self) -> usize {
        self.rows() * self.cols
    }

    /// Whether both are `side`.
    #[inline(always)]
    pub const fn is(&self, side: usize) -> bool {
        self.cols == side && self.rows() == side
    }
}

impl From<Sides> for Extent {
    #[inline(always)]
    fn from(sides: Sides) -> Self {
        Self {
            cols: sides.cols().into(),
            #[cfg(feature = "rectangles")]
            rows: sides.rows().into(),
        }
    }
}

#[cfg(all(test, feature = "rectangles"))]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_its_side_and_a_rectangle_both() {
        for rows in 1..16 {
            for cols in 1..16 {
                let sides = Sides::of(rows, cols);
                assert_eq!([sides.rows(), sides.cols()], [rows, cols]);
                assert_eq!(sides.is_square(), rows == cols);
                assert_eq!(sides == Sides::square(cols), rows == cols);
                let extent = Extent::from(sides);
                assert_eq!(extent.area(), usize::from(rows) * usize::from(cols));
                assert_eq!(extent.is(cols.into()), rows == cols);
            }
        }
    }
}
