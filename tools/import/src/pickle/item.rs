//! What a pickle of tensors is made of, and what the few functions that it may name make.

use super::machine::Result;
use crate::exported::Kind;
use mote_graph::config::printable;

/// An item. Parts are indices of items.
#[derive(Debug, Clone)]
pub(super) enum Item {
    None,
    Int(i64),
    Text(String),
    Tuple(Vec<usize>),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    Global(String),
    Storage {
        kind: Kind,
        key: String,
    },
    Tensor(Stored),
    /// What is of no interest: a float, bytes, settings of a training run.
    Other,
}

/// A tensor: the file of its numbers, and how it lies in it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub kind: Kind,
    pub key: String,
    pub offset: usize,
    pub sizes: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Types of storage, and the number that the schema of exported programs has for each.
const STORAGES: [(&str, i64); 9] = [
    ("torch.ByteStorage", 1),
    ("torch.CharStorage", 2),
    ("torch.ShortStorage", 3),
    ("torch.IntStorage", 4),
    ("torch.LongStorage", 5),
    ("torch.HalfStorage", 6),
    ("torch.FloatStorage", 7),
    ("torch.DoubleStorage", 8),
    ("torch.BFloat16Storage", 13),
];

/// Settings that training frameworks save beside tensors: they are passed over, and nothing of them is made.
const PASSED: [&str; 13] = [
    "_codecs.encode",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
    "collections.defaultdict",
    "builtins.dict",
    "builtins.list",
    "builtins.int",
    "__builtin__.dict",
    "torch.Size",
];

/// What calling `function` with `arguments` makes.
pub(super) fn call(items: &[Item], function: usize, arguments: usize) -> Result<Item> {
    let Item::Global(name) = &items[function] else {
        return match items[function] {
            Item::Other => Ok(Item::Other),
            _ => Err("it calls what is no function".to_string()),
        };
    };
    let arguments: &[usize] = match &items[arguments] {
        Item::Tuple(parts) => parts,
        _ => return Err(format!("it calls {} without arguments", printable(name))),
    };
    match name.as_str() {
        "collections.OrderedDict" => Ok(Item::Dict(vec![])),
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => tensor(items, arguments),
        "torch._utils._rebuild_parameter" => match arguments.first().map(|first| &items[*first]) {
            Some(Item::Tensor(stored)) => Ok(Item::Tensor(stored.clone())),
            _ => Err("it makes a parameter of what is no tensor".to_string()),
        },
        name if PASSED.contains(&name) => Ok(Item::Other),
        name => Err(format!(
            "it asks for {}, which is not run: save the network's state_dict alone, or as safetensors",
            printable(name)
        )),
    }
}

fn tensor(items: &[Item], arguments: &[usize]) -> Result<Item> {
    let [storage, offset, sizes, strides, ..] = arguments else {
        return Err("a tensor lacks its storage, extents or strides".to_string());
    };
    let Item::Storage { kind, key } = &items[*storage] else {
        return Err("a tensor's storage is none".to_string());
    };
    let numbers = |index: usize| -> Option<Vec<usize>> {
        let (Item::Tuple(parts) | Item::List(parts)) = &items[index] else {
            return None;
        };
        let number = |part: &usize| match items[*part] {
            Item::Int(value) => usize::try_from(value).ok(),
            _ => None,
        };
        parts.iter().map(number).collect()
    };
    let offset = match items[*offset] {
        Item::Int(value) => usize::try_from(value).ok(),
        _ => None,
    };
    let found = offset.zip(numbers(*sizes)).zip(numbers(*strides));
    match found {
        Some(((offset, sizes), strides)) if sizes.len() == strides.len() && sizes.len() <= 16 => {
            Ok(Item::Tensor(Stored {
                kind: *kind,
                key: key.clone(),
                offset,
                sizes,
                strides,
            }))
        }
        _ => Err("a tensor's extents and strides do not fit".to_string()),
    }
}

/// A storage by its persistent number: `('storage', type, key, location, count)`.
pub(super) fn persistent(items: &[Item], id: usize) -> Result<Item> {
    let problem = || "it refers to something outside of the file that is no storage".to_string();
    let Item::Tuple(parts) = &items[id] else {
        return Err(problem());
    };
    let [tag, kind, key, ..] = parts[..] else {
        return Err(problem());
    };
    match (&items[tag], &items[kind], &items[key]) {
        (Item::Text(tag), Item::Global(kind), Item::Text(key)) if tag == "storage" => {
            let known = STORAGES.iter().find(|(name, _)| name == kind);
            let kind = known.and_then(|(_, number)| Kind::of(*number)).ok_or_else(|| {
                format!(
                    "it asks for {}, which is no type of storage that is read",
                    printable(kind)
                )
            })?;
            Ok(Item::Storage { kind, key: key.clone() })
        }
        _ => Err(problem()),
    }
}
