//! The shipped PTX: that it is of this source, and that the exact paths hold nothing inexact.

use std::path::{Path, PathBuf};

use mote_cuda::PTX;
use mote_runtime::internals::numeric::table;
use mote_tests::source_hash;

/// A folder of kernels.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../host/cuda/kernels")
        .join(name)
}

fn kernels() -> PathBuf {
    folder("")
}

/// The first line of the PTX of the kernels in `folder` and of `shared` ones.
pub fn source_line(folder: &Path, shared: &[PathBuf]) -> String {
    let paths = std::fs::read_dir(folder)
        .expect("the kernels are here")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "cu" || ext == "cuh"));
    source_hash::source_line(paths.chain(shared.iter().cloned()).collect())
}

#[test]
fn the_ptx_is_of_this_source() {
    assert_eq!(
        PTX.lines().next(),
        Some(source_line(&kernels(), &[]).as_str()),
        "the kernels have changed: run host/cuda/kernels/build"
    );
}

/// What stands at the beginning of a line of code.
pub fn opcodes(ptx: &'static str) -> impl Iterator<Item = &'static str> {
    ptx.lines().filter_map(|line| {
        let code = line.trim();
        let code = code
            .strip_prefix('@')
            .map_or(code, |guarded| guarded.split_once(' ').map_or("", |(_, code)| code));
        code.split_whitespace()
            .next()
            .filter(|word| word.contains('.') && !word.starts_with('.'))
    })
}

#[test]
fn no_operation_is_fused_flushed_or_approximate() {
    let floats = opcodes(PTX).filter(|op| op.contains(".f32") || op.contains(".f64") || op.contains(".f16"));
    let mut seen = 0;
    for op in floats {
        seen += 1;
        assert!(
            !(op.starts_with("fma")
                || op.starts_with("mad")
                || op.contains(".ftz")
                || op.contains(".approx")
                || op.contains(".full")),
            "{op}"
        );
        let rounds = ["div", "sqrt", "add", "sub", "mul"]
            .iter()
            .any(|name| op.split('.').next() == Some(name));
        // Where nothing is said, PTX rounds to nearest even, but may fuse.
        assert!(!rounds || op.contains(".rn"), "{op} does not say how it rounds");
    }
    assert!(seen > 100, "only {seen} operations on floats were found");
}

#[test]
fn products_of_bytes_are_on_tensor_cores_in_every_signedness() {
    for types in ["s8.s8", "u8.s8", "s8.u8", "u8.u8"] {
        let name = format!("mma.sync.aligned.m16n8k32.row.col.s32.{types}.s32");
        assert!(opcodes(PTX).any(|op| op == name), "{name}");
    }
    assert!(PTX.contains("\n.version 8.4\n.target sm_80\n"));
    assert!(!PTX.contains(".local"), "a kernel keeps arrays in slow memory");
}

#[test]
fn records_of_operators_are_the_hosts() {
    let texts = [
        ("ops.cuh", mote_cuda::ops::in_c()),
        ("network/network_ops.cuh", mote_cuda::network::ops::in_c()),
    ];
    for (name, text) in texts {
        let path = kernels().join(name);
        if std::env::var_os("MOTE_UPDATE_TABLES").is_some() {
            std::fs::write(&path, &text).expect("a file that can be written");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("the records"), text, "{name}");
    }
}

/// A table in C.
fn c_table<T: std::fmt::Display>(kind: &str, name: &str, values: &[T], suffix: &str) -> String {
    let rows = values.chunks(8).map(|row| {
        let row: Vec<String> = row.iter().map(|v| format!("{v}{suffix}")).collect();
        format!("    {},\n", row.join(", "))
    });
    format!(
        "static __device__ const {kind} {name}[{}] = {{\n{}}};\n",
        values.len(),
        rows.collect::<String>()
    )
}

#[test]
fn tables_are_the_runtimes() {
    let text = [
        "// The tables of NUMERICS.md. A test writes them from the runtime's:\n".to_owned(),
        "// MOTE_UPDATE_TABLES=1 cargo test --release -p mote-tests --test cuda tables\n".to_owned(),
        "#pragma once\n#include \"types.cuh\"\n\n".to_owned(),
        format!("#define LN_2_Q57 {}ULL\n", table::LN_2_Q57),
        format!("#define TWO_PI_Q29 {}U\n", table::TWO_PI_Q29),
        format!("#define ONE_THIRD_Q31 {}LL\n\n", ((1i64 << 31) + 1) / 3),
        c_table("i32", "SINE_Q30", &table::SINE_Q30, ""),
        c_table("u16", "RECIPROCAL_Q8", &table::RECIPROCAL_Q8, ""),
        c_table("u64", "LN_RECIPROCAL_Q57", &table::LN_RECIPROCAL_Q57, "ULL"),
        c_table("u32", "EXP2_NEG_Q30", &table::EXP2_NEG_Q30, "U"),
        c_table("u16", "SIGMOID_Q17", &table::SIGMOID_Q17, ""),
        c_table("u16", "RSQRT_Q15", &table::RSQRT_Q15, ""),
    ]
    .concat();
    let path = kernels().join("tables.cuh");
    if std::env::var_os("MOTE_UPDATE_TABLES").is_some() {
        std::fs::write(&path, &text).expect("a file that can be written");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("the tables"), text);
}
