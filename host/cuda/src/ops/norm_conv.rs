//! A normalization inside a convolution: on a GPU memory is not what is short, and the two run one after the other.

use mote_runtime::internals::ops::NormConv;

use super::conv::Groups;
use super::{Built, DeviceTensor, OnGpu, conv};
use crate::builder::Builder;

impl OnGpu for NormConv {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        // All rows of what a window holds a few of.
        let whole = DeviceTensor {
            rows: b.tensor(self.norm.source.first)?.rows,
            ..b.tensor(self.norm.out)?
        };
        let whole = b.behind(whole);
        let mut built = self.norm.build(b)?;
        for norm in &mut built {
            norm.op.out = whole;
        }
        built.extend(conv::build(&self.conv, Groups::ONE, Some(whole), b)?);
        Some(built)
    }

    fn refused(&self) -> Option<&'static str> {
        conv::refused(&self.conv)
    }
}
