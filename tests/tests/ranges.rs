//! Networks whose numbers lie far from one, against the float network.

use mote_engine::memory::AlignedBytes;
use mote_graph::graph::Graph;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints::{checkpoint, digits};
use mote_tools::backend::OpenModel;
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
    let opened = OpenModel {
        model: &model,
        bytes: memory.bytes(),
    };
    let config = Config::of(model.header(), 10);
    let found = against(opened, checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
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

/// The last normalization's factors are tiny, the last convolution's weights large: Q16 between them lost nearly all. What weights of 8 bits
/// lose of this network they lose anywhere: with 16 bits integers are closer than f16.
#[test]
fn a_normalization_far_below_one_keeps_its_bits() {
    for factor in [1e-3f32, 1e-5] {
        let small = changed(&digits(), |graph| {
            times(graph, "conv_norm_out.weight", factor);
            times(graph, "conv_norm_out.bias", factor);
            times(graph, "conv_out.weight", 1.0 / factor);
        });
        let wanted = [(Scheme::F16, 40.0), (Scheme::W16A16, 52.0), (Scheme::W8A16, 29.0)];
        at_least(&format!("gamma of {factor}"), &small, &wanted);
    }
}

/// Powers of two that leave a normalization's epsilon nothing: the least number stands there, far below what values in f16 spread by.
#[test]
fn a_layer_far_beyond_f16_leaves_an_epsilon() {
    let far = changed(&digits(), |graph| {
        times(graph, "up_blocks.1.resnets.0.conv1.bias", 6e30)
    });
    for scheme in [Scheme::F16, Scheme::W8A16] {
        let notes = converted(&far, scheme).notes;
        let said = notes
            .iter()
            .any(|note| note.contains("'up_blocks.1.resnets.0.conv1'") && note.contains("65504"));
        assert!(said, "{scheme}: {notes:?}");
    }
}

/// The first convolution's values are beyond 65504, and every normalization brings them back.
#[test]
fn a_layer_beyond_f16_is_held_in_a_larger_unit() {
    let change = |graph: &mut Graph| {
        times(graph, "conv_in.weight", 1e5);
        times(graph, "conv_in.bias", 1e5);
    };
    let large = changed(&digits(), change);
    let converted = converted(&large, Scheme::F16);
    let [note] = &converted.notes[..] else {
        panic!("{:?}", converted.notes);
    };
    assert!(note.contains("'conv_in'") && note.contains("65504"), "{note}");
    let wanted = [
        (Scheme::F16, 58.0),
        (Scheme::W8A16, 38.5),
        (Scheme::W8A8, 34.0),
        (Scheme::Auto, 65.0),
    ];
    at_least("beyond f16", &large, &wanted);
}

/// A weight that f16 cannot hold, where nothing can make it smaller: the last convolution's.
#[test]
fn a_weight_beyond_f16_is_refused_by_its_layer() {
    let large = changed(&digits(), |graph| times(graph, "conv_out.weight", 1e7));
    for scheme in [Scheme::F16, Scheme::W8A16] {
        let error = convert(&large, &Options::of(scheme), &|_| {})
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(error.contains("'conv_out'") && error.contains("65504"), "{error}");
    }
}

/// The skip connections of the first level are larger than what they are joined to, and weights make up for it.
#[test]
fn halves_of_a_concatenation_far_apart_keep_their_bits() {
    let factor = 1e4f32;
    let apart = changed(&digits(), |graph| {
        for key in ["conv_in", "down_blocks.0.resnets.0.conv2"] {
            times(graph, &format!("{key}.weight"), factor);
            times(graph, &format!("{key}.bias"), factor);
        }
        times(graph, "down_blocks.0.downsamplers.0.conv.weight", 1.0 / factor);
        for resnet in 0..2 {
            let key = format!("up_blocks.1.resnets.{resnet}.conv_shortcut.weight");
            let shortcut = graph.params.get_mut(&key).expect("a shortcut");
            // `(out, in)`: the second half of the inputs.
            for row in shortcut.data.chunks_exact_mut(24) {
                row[12..].iter_mut().for_each(|w| *w /= factor);
            }
        }
    });
    let wanted = [
        (Scheme::F16, 63.0),
        (Scheme::W8A16, 48.0),
        (Scheme::W8A8, 40.0),
        (Scheme::W4A16, 31.0),
    ];
    at_least("halves", &apart, &wanted);
}

/// Nothing is said of a model as it should be.
#[test]
fn a_good_model_has_no_notes() {
    let checkpoint = checkpoint(&digits());
    for scheme in [Scheme::F16, Scheme::W8A8, Scheme::W4A8] {
        assert_eq!(converted(&checkpoint, scheme).notes, Vec::<String>::new(), "{scheme}");
    }
}

/// Runs that go where calibration has not been: every layer of the first step is as it should be, and the one that fails is named with its
/// step.
#[test]
fn a_layer_that_fails_later_is_named_with_its_step() {
    let large = changed(&digits(), |graph| times(graph, "conv_out.weight", 5.0));
    let notes = converted(&large, Scheme::W16A16).notes;
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.contains("f16 model") && note.contains("loses most ("), "{note}");
    let lost: f64 = note
        .split_once("loses most (")
        .and_then(|(_, rest)| rest.split_once(" dB in step "))
        .and_then(|(db, _)| db.parse().ok())
        .expect("a distance");
    assert!(lost < 20.0 && !note.contains("in step 1)"), "{note}");
}

/// A network whose runs leave what a state holds, in every scheme.
#[test]
fn a_state_that_is_cut_is_said() {
    let wrong = changed(&digits(), |graph| times(graph, "conv_in.weight", -1.0));
    for scheme in [Scheme::F16, Scheme::W8A16] {
        let notes = converted(&wrong, scheme).notes;
        let said = notes.iter().any(|note| {
            note.contains("the sampler's state reaches 64 in step ") && note.contains("or sample with --clip stock")
        });
        assert!(said, "{scheme}: {notes:?}");
    }
}

/// One input of a convolution is tiny and has large weights: on the scale of these, 8 bits have nothing left of the others.
#[test]
fn a_layer_that_loses_the_image_is_named() {
    let layer = "up_blocks.1.resnets.1.conv2";
    let uneven = changed(&digits(), |graph| {
        for key in ["weight", "bias"] {
            let key = format!("up_blocks.1.resnets.1.norm2.{key}");
            graph.params.get_mut(&key).expect("a normalization").data[0] /= 1e4;
        }
        let conv = graph.params.get_mut(&format!("{layer}.weight")).expect("a convolution");
        // `(out, in, row, col)`: the first of 12 inputs.
        for filter in conv.data.chunks_exact_mut(12 * 9) {
            filter[..9].iter_mut().for_each(|w| *w *= 1e4);
        }
    });
    for scheme in [Scheme::W8A8, Scheme::W8A16] {
        let notes = converted(&uneven, scheme).notes;
        let [note] = &notes[..] else {
            panic!("{scheme}: {notes:?}")
        };
        assert!(
            note.contains(&format!("'{layer}'")) && note.contains("f16 model"),
            "{scheme}: {note}"
        );
    }
    for scheme in [Scheme::F16, Scheme::W16A16] {
        assert_eq!(converted(&uneven, scheme).notes, Vec::<String>::new(), "{scheme}");
    }
}
