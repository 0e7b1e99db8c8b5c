//! The module that a node is part of, for reports: as the exporter says it, or as its weights are called.

use crate::exported::program::{Node, Stored};
use std::collections::{BTreeMap, BTreeSet};

/// The innermost of the node's scopes, `['', 'a', 'a.b', 'node']`, or of its name, `/a/a.0/Operator`; or that of its weight.
pub(super) fn of(scopes: &str, name: &str, inputs: &[String], stored: &BTreeMap<String, Stored>) -> String {
    let listed: Vec<&str> = scopes.split('\'').skip(1).step_by(2).collect();
    let module = match listed[..] {
        [.., module, _] => module.to_string(),
        _ => named(name),
    };
    // A graph that was exported twice has lost its scopes; its weights have their names.
    let owner = |input: &String| {
        let owner = input.strip_suffix(".weight").or(input.strip_suffix(".bias"))?;
        (stored.contains_key(input) && owner.starts_with(&module)).then(|| owner.to_string())
    };
    inputs.iter().find_map(owner).unwrap_or(module)
}

/// The module in a node's name. A child of a sequence repeats the sequence's own name: `/net/net.0/Gemm`.
fn named(name: &str) -> String {
    let Some(path) = name.strip_prefix('/') else {
        return String::new();
    };
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    let mut module = String::new();
    for (i, part) in parts.iter().enumerate() {
        let repeated = |next: &&str| next.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'));
        if parts.get(i + 1).is_some_and(repeated) {
            continue;
        }
        if !module.is_empty() {
            module.push('.');
        }
        module.push_str(part);
    }
    module
}

/// Writes `module@1` for the `module_1` that is no module of its own, but a second call of `module`: one without weights.
pub(super) fn again(nodes: &mut [Node], stored: &BTreeMap<String, Stored>) {
    let known: BTreeSet<String> = nodes.iter().map(|node| node.module.clone()).collect();
    let holds = |module: &str| {
        let prefix = format!("{module}.");
        stored
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&prefix))
    };
    for node in nodes {
        let Some((first, call)) = node.module.rsplit_once('_') else {
            continue;
        };
        let counted = !call.is_empty() && call.len() < 6 && call.bytes().all(|byte| byte.is_ascii_digit());
        if counted && known.contains(first) && !holds(&node.module) {
            node.module = format!("{first}@{call}");
        }
    }
}
