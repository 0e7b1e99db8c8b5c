//! The float network's PTX: that it is of this source, that nothing in it is approximate, and that the exact kernels are apart from it.

use mote_cuda::{PTX, network};

use crate::ptx::{folder, opcodes, source_line};

#[test]
fn the_ptx_is_of_this_source() {
    let shared = ["types.cuh", "warp.cuh"].map(|name| folder("").join(name));
    assert_eq!(
        network::PTX.lines().next(),
        Some(source_line(&folder("network"), &shared).as_str()),
        "the kernels have changed: run host/cuda/kernels/build"
    );
}

#[test]
fn no_operation_is_flushed_or_approximate() {
    let mut seen = 0;
    for op in opcodes(network::PTX).filter(|op| op.contains(".f32") && !op.starts_with("mma")) {
        seen += 1;
        assert!(
            ![".ftz", ".approx", ".full"].iter().any(|inexact| op.contains(inexact)),
            "{op}"
        );
        let name = op.split('.').next().unwrap_or_default();
        let rounds = ["fma", "div", "sqrt", "add", "sub", "mul"].contains(&name);
        assert!(!rounds || op.contains(".rn"), "{op} does not say how it rounds");
    }
    assert!(seen > 100, "only {seen} operations on floats were found");
    assert!(network::PTX.contains("\n.version 8.4\n.target sm_80\n"));
    assert!(!network::PTX.contains(".local"), "a kernel keeps arrays in slow memory");
}

#[test]
fn products_of_halves_are_on_tensor_cores() {
    assert!(opcodes(network::PTX).any(|op| op == "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"));
}

#[test]
fn no_kernel_of_one_unit_is_in_the_other() {
    let entries = |ptx: &'static str| ptx.lines().filter_map(|line| line.strip_prefix(".visible .entry "));
    assert_eq!(entries(network::PTX).count(), 5);
    assert!(entries(network::PTX).all(|name| name.starts_with("network_")));
    assert!(entries(PTX).count() > 0 && entries(PTX).all(|name| !name.starts_with("network_")));
}
