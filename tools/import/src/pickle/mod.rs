//! Files of `torch.save`: a ZIP archive of one pickle and the numbers of each storage.
//!
//! ```text
//! NAME/data.pkl    dictionaries of tensors: machine.rs, item.rs
//! NAME/data/0 …    raw little-endian numbers
//! ```

mod item;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use item::Stored;

use super::exported::Tensor;
use super::{ImportError, shown};
use crate::files;
use crate::zip::{self, Entry};
use item::Item;
use machine::Items;
use mote_graph::config::printable;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file that is read, and largest pickle in one.
const MOST_BYTES: u64 = 2 << 30;
const MOST_PICKLE: usize = 64 << 20;

/// A file of `torch.save`.
#[derive(Debug)]
pub(super) struct Saved {
    path: String,
    bytes: Vec<u8>,
    entries: BTreeMap<String, Entry>,
    root: String,
    items: Items,
}

impl Saved {
    /// Reads the pickle of the file `path`; numbers are read when they are asked for.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let bytes = files::read_as(path, MOST_BYTES, files::Form::Zip)
            .map_err(|source| ImportError::unread(path, source, "copy it again, or save the network again"))?;
        let refuse = |problem: String| ImportError::Exported {
            path: shown(path),
            problem,
        };
        let list = zip::entries(&bytes).ok_or_else(|| {
            refuse("it is no whole ZIP archive: load it with PyTorch 1.6 or later and save it again".to_string())
        })?;
        let pickle = list
            .iter()
            .find(|entry| entry.name == "data.pkl" || entry.name.ends_with("/data.pkl"));
        let pickle =
            pickle.ok_or_else(|| refuse("it holds no data.pkl, so it is no file of torch.save".to_string()))?;
        if pickle.size > MOST_PICKLE {
            return Err(refuse(format!(
                "its data.pkl has {} bytes, more than {MOST_PICKLE}",
                pickle.size
            )));
        }
        let contents = zip::contents(&bytes, pickle).map_err(|problem| refuse(format!("its data.pkl {problem}")))?;
        let items = machine::read(&contents).map_err(|problem| refuse(format!("its pickle is refused: {problem}")))?;
        let root = pickle.name.trim_end_matches("data.pkl").to_string();
        let entries = list.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        Ok(Self {
            path: shown(path),
            bytes,
            entries,
            root,
            items,
        })
    }

    /// The whole file, for its digest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The tensors of the dictionary that these keys lead to; `None` where there is none.
    pub fn tensors(&self, keys: &[&str]) -> Option<BTreeMap<String, Stored>> {
        let mut at = self.items.root;
        for key in keys {
            let Item::Dict(pairs) = &self.items.list[at] else {
                return None;
            };
            let named = |(own, _): &&(usize, usize)| matches!(&self.items.list[*own], Item::Text(text) if text == key);
            at = pairs.iter().rev().find(named)?.1;
        }
        let Item::Dict(pairs) = &self.items.list[at] else {
            return None;
        };
        let tensor = |(key, value): &(usize, usize)| match (&self.items.list[*key], &self.items.list[*value]) {
            (Item::Text(key), Item::Tensor(stored)) => Some((key.clone(), stored.clone())),
            _ => None,
        };
        let tensors: BTreeMap<String, Stored> = pairs.iter().filter_map(tensor).collect();
        (!tensors.is_empty()).then_some(tensors)
    }

    /// The numbers of a tensor that is called `name`.
    pub fn tensor(&self, name: &str, stored: &Stored) -> Result<Tensor, ImportError> {
        let refuse = |problem: String| ImportError::Exported {
            path: self.path.clone(),
            problem: format!("tensor `{}` {problem}", printable(name)),
        };
        let file = format!("{}data/{}", self.root, stored.key);
        let entry = self
            .entries
            .get(&file)
            .ok_or_else(|| refuse(format!("lies in {}, which is missing", printable(&file))))?;
        if entry.size > self.bytes.len() {
            return Err(refuse("is packed, which PyTorch does not do".to_string()));
        }
        let bytes = zip::contents(&self.bytes, entry).map_err(refuse)?;
        let count = stored.sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
        if count.is_none_or(|count| count > Tensor::MOST) {
            return Err(refuse(format!(
                "has extents {:?}, which are too many elements",
                stored.sizes
            )));
        }
        Tensor::stored(
            stored.kind,
            stored.sizes.clone(),
            &stored.strides,
            stored.offset,
            &bytes,
        )
        .map_err(refuse)
    }
}
