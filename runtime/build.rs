//! Names the kernel family of the target core (`mote_family`), for `src/family`, and whose kernels are compiled (`mote_kernels`).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MOTE_FAMILY");
    let names = FAMILIES.map(|name| format!("\"{name}\"")).join(", ");
    for name in ["mote_family", "mote_kernels"] {
        println!("cargo::rustc-check-cfg=cfg({name}, values({names}))");
    }
    let family = env::var("MOTE_FAMILY").unwrap_or_else(|_| of_target().to_owned());
    if let Some(why) = refused(&family) {
        println!("cargo::error=MOTE_FAMILY is {family}: {why}");
        return;
    }
    println!("cargo::rustc-cfg=mote_family=\"{family}\"");
    // Without the part `fast` no family's kernels are compiled.
    let fast = env::var_os("CARGO_FEATURE_FAST").is_some();
    let kernels = if fast { family.as_str() } else { "portable" };
    println!("cargo::rustc-cfg=mote_kernels=\"{kernels}\"");
    // Facts that the numeric functions go by: they know no family.
    for name in ["mote_narrow_multiply", "mote_sigmoid_lines"] {
        println!("cargo::rustc-check-cfg=cfg({name})");
    }
    if family == "armv6m" {
        // Products of 64 bits are library code.
        println!("cargo::rustc-cfg=mote_narrow_multiply");
    }
    if matches!(kernels, "dsp" | "helium") {
        // The kernels hold the sigmoid's table as lines: one table is enough.
        println!("cargo::rustc-cfg=mote_sigmoid_lines");
    }
    // Armv8-M has the DSP and MVE instructions as options that the target leaves out, and assembly does not follow `target-cpu`.
    let armv8m = env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv8m.main"));
    let directive = match family.as_str() {
        "dsp" if armv8m => ".cpu cortex-m33",
        "helium" => ".cpu cortex-m55",
        _ => "",
    };
    println!("cargo::rustc-env=MOTE_ASSEMBLER={directive}");
}

const FAMILIES: [&str; 6] = ["portable", "armv6m", "armv7m", "dsp", "helium", "simd128"];

/// Why a family cannot be, where its instructions are none of the target's. On a desktop any family's types can be looked at.
fn refused(family: &str) -> Option<String> {
    if !FAMILIES.contains(&family) {
        return Some(format!("the families are {}", FAMILIES.join(", ")));
    }
    let target = env::var("TARGET").unwrap_or_default();
    let core = target.split('-').next().unwrap_or_default();
    let has = match core {
        "thumbv6m" | "thumbv8m.base" => &["portable", "armv6m"][..],
        "thumbv7m" => &["portable", "armv6m", "armv7m"],
        "thumbv7em" => &["portable", "armv6m", "armv7m", "dsp"],
        "thumbv8m.main" => &["portable", "armv6m", "armv7m", "dsp", "helium"],
        _ if core.starts_with("riscv") => &["portable"],
        _ => return None,
    };
    let can = has.contains(&family);
    (!can).then(|| format!("{target} has no such instructions; it can run {}", has.join(", ")))
}

/// The family that every core of the target can run. `MOTE_FAMILY` overrides it. A Cortex-M33 without its DSP option is one that is compiled
/// with `-Ctarget-feature=-dsp`, or with `MOTE_FAMILY=armv7m`.
fn of_target() -> &'static str {
    let var = |name| env::var(name).unwrap_or_default();
    let target = var("TARGET");
    // Cargo does not name the features that rustc calls unstable.
    let flags = var("CARGO_ENCODED_RUSTFLAGS");
    let mve = ["+mve", "cortex-m52", "cortex-m55", "cortex-m85"]
        .iter()
        .any(|name| flags.contains(name));
    match target.split('-').next().unwrap_or_default() {
        "thumbv6m" | "thumbv8m.base" => "armv6m",
        "thumbv7m" => "armv7m",
        "thumbv7em" => "dsp",
        "thumbv8m.main" if flags.contains("-dsp") => "armv7m",
        "thumbv8m.main" if mve => "helium",
        "thumbv8m.main" => "dsp",
        "wasm32" if var("CARGO_CFG_TARGET_FEATURE").split(',').any(|name| name == "simd128") => "simd128",
        _ => "portable",
    }
}
