//! Images as training wants them: from -1 to 1, some held out.

use super::size::Size;
use super::{DataError, Images, Raw, Split, content};
use mote_train::dataset::Dataset;
use mote_train::random::{Purpose, permutation};
use std::path::Path;

/// What is wanted of the data.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DataOptions {
    /// `(channel, row, col)`; `None` keeps what is there.
    pub shape: Option<[usize; 3]>,
    /// Values that become -1 and 1; `None` is black and white where the format says, else the smallest and largest found.
    pub range: Option<[f32; 2]>,
    /// Images held out where the file itself holds none out; `None` is a tenth, at most 1,000.
    pub held_out: Option<usize>,
}

/// Brings `raw` into shape. `path` is used in errors only.
pub fn dataset(path: &Path, mut raw: Raw, wanted: &DataOptions) -> Result<Dataset, DataError> {
    let train = raw
        .take(Split::Train)
        .ok_or_else(|| content(path, "holds no images to train on: the array is named train_x"))?;
    let range = wanted.range.or(raw.range).unwrap_or_else(|| {
        let fold = |start: f32, f: fn(f32, f32) -> f32| train.pixels.iter().fold(start, |m, v| f(m, *v));
        [fold(f32::INFINITY, f32::min), fold(f32::NEG_INFINITY, f32::max)]
    });
    if range[0] >= range[1] {
        return Err(content(
            path,
            format!("all values lie at {}: give --range LOW,HIGH", range[0]),
        ));
    }
    let shape = wanted.shape.unwrap_or(raw.shape);
    let size = Size::new(raw.shape, shape).map_err(|problem| content(path, problem))?;
    let len: usize = raw.shape.iter().product();
    let fitted = |part: Images| -> Images {
        let unit = |v: &f32| ((v - range[0]) / (range[1] - range[0]) * 2.0 - 1.0).clamp(-1.0, 1.0);
        let sized = |image: &[f32]| size.apply(&image.iter().map(unit).collect::<Vec<_>>());
        let pixels = part.pixels.chunks_exact(len).flat_map(sized);
        Images {
            pixels: pixels.map(|v| v as f32).collect(),
            labels: part.labels,
        }
    };
    let count = train.pixels.len() / len;
    let all = fitted(train);
    let (train, held_out) = match raw.test {
        Some(test) => (all, fitted(test)),
        None => {
            let held_out = wanted.held_out.unwrap_or((count / 10).min(1000));
            if held_out >= count {
                let problem = format!(
                    "holds {count} images: --hold-out {held_out} leaves none to train on, give it below {count}"
                );
                return Err(content(path, problem));
            }
            split(all, shape.iter().product(), count, held_out)
        }
    };
    let labels = train.labels.iter().chain(&held_out.labels);
    Ok(Dataset {
        shape,
        classes: labels.max().map_or(0, |m| m + 1),
        train,
        held_out,
    })
}

/// Takes `held_out` images away, by a permutation that is always the same.
fn split(all: Images, len: usize, count: usize, held_out: usize) -> (Images, Images) {
    let order = permutation(0, Purpose::HeldOut, 0, count);
    let (out, rest) = order.split_at(held_out);
    let pick = |indices: &[usize]| {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        Images {
            pixels: sorted
                .iter()
                .flat_map(|i| all.pixels[i * len..][..len].iter().copied())
                .collect(),
            labels: sorted.iter().filter_map(|i| all.labels.get(*i).copied()).collect(),
        }
    };
    (pick(rest), pick(out))
}
