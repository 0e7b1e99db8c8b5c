//! Images in memory, as training sees them.

/// Images of one shape, some of them held out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
    /// To train on.
    pub train: Images,
    /// To measure on, never trained on.
    pub held_out: Images,
    /// Number of labels; 0 where there are none.
    pub classes: usize,
}

/// Images one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Images {
    /// `(image, channel, row, col)`, from -1 to 1.
    pub pixels: Vec<f32>,
    /// A label an image, or none at all.
    pub labels: Vec<usize>,
}

impl Dataset {
    /// Elements of an image.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Images of a part.
    #[must_use]
    pub fn count(&self, images: &Images) -> usize {
        images.pixels.len() / self.image_len().max(1)
    }
}
