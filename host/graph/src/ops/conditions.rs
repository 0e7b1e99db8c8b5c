//! What a network is told beside sample and timestep.

/// What a batch is conditioned on. A slice of labels is one without vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Conditions<'a> {
    /// A class label a sample; empty for a network without labels.
    pub labels: &'a [usize],
    /// `(sample, number)`: a condition vector a sample, as the network was trained on them; empty for a network without one.
    pub vectors: &'a [f64],
}

impl Conditions<'_> {
    /// Those of the samples of a range, of `n` samples in all.
    #[must_use]
    pub(crate) fn part(&self, range: std::ops::Range<usize>, n: usize) -> Self {
        let each = self.vectors.len() / n.max(1);
        Self {
            labels: self.labels.get(range.clone()).unwrap_or(&[]),
            vectors: self.vectors.get(range.start * each..range.end * each).unwrap_or(&[]),
        }
    }
}

impl<'a> From<&'a [usize]> for Conditions<'a> {
    fn from(labels: &'a [usize]) -> Self {
        Self { labels, vectors: &[] }
    }
}

impl<'a, const N: usize> From<&'a [usize; N]> for Conditions<'a> {
    fn from(labels: &'a [usize; N]) -> Self {
        Self::from(labels.as_slice())
    }
}

impl<'a> From<&'a Vec<usize>> for Conditions<'a> {
    fn from(labels: &'a Vec<usize>) -> Self {
        Self::from(labels.as_slice())
    }
}
