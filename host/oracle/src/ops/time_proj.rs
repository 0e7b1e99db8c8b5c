//! Sinusoidal features of the timestep.

use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::file::weights;
use crate::planes::Planes;
use crate::scalar::rounding::Rounding;
use crate::scalar::sine::sin_cos_q30;

pub const KIND: Kind = Kind {
    name: "time_proj",
    read: |r, file| Some(Box::new(TimeProj::read(r, file)?)),
};

#[derive(Debug)]
struct TimeProj {
    out: TensorId,
    /// Turns a timestep, Q32, of half as many channels as the output has.
    phases: Vec<u32>,
    cos_first: bool,
}

impl TimeProj {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let (out, phases, cos_first) = (r.tensor()?, r.at()?, r.flag()?);
        let [channels, 1, 1] = file.tensor(out)?.shape() else {
            return None;
        };
        let phases = weights::uint32(file, phases, channels / 2)?;
        (channels > 0 && channels % 2 == 0).then_some(Self { out, phases, cos_first })
    }

    /// Feature `c` in Q15.
    fn feature_q15(&self, time_q16: u32, c: usize, r: Rounding) -> i64 {
        let half = self.phases.len();
        let turns_q48 = i128::from(self.phases[c % half]) * i128::from(time_q16);
        let angle = Rounding::default().shift(turns_q48, 16) % (1 << 32);
        let (sine, cosine) = sin_cos_q30(angle as u32);
        let is_cosine = (c < half) == self.cos_first;
        let v_q30 = if is_cosine { cosine } else { sine };
        (r.shift(v_q30.into(), 15) as i64).min(32_767)
    }
}

impl Operator for TimeProj {
    fn out(&self) -> TensorId {
        self.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let feature = |c| self.feature_q15(at.call.time_q16, c, at.r);
        Some(Planes::from_fn(at.shape(), |c, _, _| at.store(feature(c))))
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let feature = |c| self.feature_q15(at.call.time_q16, c, Rounding::default()) as f32 / 32_768.0;
        Some(Planes::from_fn(at.shape(), |c, _, _| at.store_float(feature(c))))
    }
}
