//! Networks whose numbers lie far from one, against the float network.

use mote_engine::memory::AlignedBytes;
use mote_graph::graph::Graph;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints::{checkpoint, digits, fashion};
use mote_tools::backend::Target;
use mote_tools::convert::{Converted, Options, convert};
use mote_tools::import::Checkpoint;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};

/// A trained checkpoint with a changed graph.
fn changed(from: &std::path::Path, change: impl Fn(&mut Graph)) -> Checkpoint {
    let mut checkpoint = checkpoint(from);
    change(&mut checkpoint.graph);
    checkpoint.trained = None;
    checkpoint
}

/// Multiplies a parameter.
fn times(graph: &mut Graph, key: &str, factor: f32) {
    let param = graph.params.get_mut(key);
    let param = param.unwrap_or_else(|| panic!("no parameter {key}"));
    param.data.iter_mut().for_each(|v| *v *= factor);
}

fn converted(checkpoint: &Checkpoint, scheme: Scheme) -> Converted {
    convert(checkpoint, &Options::of(scheme), &|_| {}).expect("it converts")
}

/// Mean PSNR of final images against those of the float network, dB.
fn psnr(checkpoint: &Checkpoint, converted: &Converted) -> f64 {
    let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let target = Target {
        model: &model,
        bytes: memory.bytes(),
    };
    let config = Config::of(model.header(), 10);
    let found = against(target, checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
    found.expect("the float network runs").x0_psnr_db_mean
}

#[track_caller]
fn at_least(what: &str, checkpoint: &Checkpoint, wanted: &[(Scheme, f64)]) {
    for (scheme, least) in wanted {
        let found = psnr(checkpoint, &converted(checkpoint, *scheme));
        println!("{what}, {scheme}: {found:.1} dB");
        assert!(found >= *least, "{what}, {scheme}: {found:.1} dB, {least} wanted");
    }
}

/// The last normalization's factors are tiny, the last convolution's weights large: Q16 between them lost nearly all.
#[test]
fn a_normalization_far_below_one_keeps_its_bits() {
    for factor in [1e-3f32, 1e-5] {
        let small = changed(&digits(), |graph| {
            times(graph, "conv_norm_out.weight", factor);
            times(graph, "conv_norm_out.bias", factor);
            times(graph, "conv_out.weight", 1.0 / factor);
        });
        let wanted = [(Scheme::F16, 40.0), (Scheme::W8A16, 40.0), (Scheme::W8A8, 30.0)];
        at_least(&format!("gamma of {factor}"), &small, &wanted);
    }
}
