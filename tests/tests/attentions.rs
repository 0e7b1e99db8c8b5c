//! Networks with memory keys and values and linear attention: the float graph, its f16 model and its integer models say the same.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::ops::Op;
use mote_runtime::{Config, Model};
use mote_tools::backend::Target;
use mote_tools::convert::{Options, convert};
use mote_tools::import::{Checkpoint, import};
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};
use std::path::Path;

fn network(name: &str) -> Checkpoint {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/importers/lucidrains");
    import(&home.join(name)).expect("a checkpoint")
}

/// Attentions with and without rows, of a converted network: linear ones, and others over other keys.
fn attentions(model: &Model<'_>) -> [usize; 3] {
    let mut found = [0; 3];
    for op in model.ops() {
        match op {
            Op::LinearAttention(a) => found[usize::from(a.rows.is_some())] += 1,
            Op::CrossAttention(_) => found[2] += 1,
            _ => {}
        }
    }
    found
}

#[test]
fn integers_and_f16_are_close_to_the_float_network() {
    for (name, operators, least) in [
        ("signal", [4, 0, 0], [50.0, 40.0, 25.0]),
        ("image", [0, 2, 3], [50.0, 40.0, 25.0]),
    ] {
        let checkpoint = network(name);
        for (scheme, least) in [Scheme::F16, Scheme::W8A16, Scheme::W8A8].into_iter().zip(least) {
            let converted = convert(&checkpoint, &Options::of(scheme), &|_| {}).expect("the network converts");
            let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
            let model = Model::parse(memory.bytes()).expect("a valid model");
            assert_eq!(attentions(&model), operators, "{name}, {scheme}");
            let target = Target {
                model: &model,
                bytes: memory.bytes(),
            };
            let config = Config::of(model.header(), 10);
            let found = against(target, &checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
            let found = found.expect("the float network runs").x0_psnr_db_mean;
            println!("{name}, {scheme}: {found:.1} dB");
            assert!(found >= least, "{name}, {scheme}: {found:.1} dB, {least} wanted");
        }
    }
}
