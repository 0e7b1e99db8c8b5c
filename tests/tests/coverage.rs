//! Every operator, and every form of it, occurs in a model that the other tests run.
//!
//! The matches here have no wildcard: a new operator does not compile until it is listed, and then fails until
//! `synthetic::everything` holds it.

use std::collections::BTreeSet;

use mote_runtime::internals::ops::conv::Sides;
use mote_runtime::internals::ops::rearrange::Pattern;
use mote_runtime::internals::ops::{Op, Pointwise, Weights};
use mote_runtime::internals::tensor::{Dtype, TensorId};
use mote_tests::chains;
use mote_tests::parts::Parts;
use mote_tests::synthetic::{Form, conditioned, model};
use mote_tests::wider;

const OPERATORS: [&str; 10] = [
    "input",
    "time_proj",
    "class_embed",
    "silu",
    "conv",
    "group_norm",
    "attention",
    "upsample",
    "avg_pool",
    "norm_conv",
];

/// Those that [`wider`] holds.
const WIDER: [&str; 2] = ["norm", "constant"];

const FORMS: [&str; 11] = [
    "conv: concatenation",
    "conv: residual addend",
    "conv: stride 2",
    "conv: through an upsampling",
    "conv: vector addend",
    "conv: Q24 output",
    "norm: concatenation",
    "norm: scale and shift",
    "norm: with SiLU",
    "norm: without SiLU",
    "attention: several heads",
];

/// Windows that [`wider`] holds.
const WINDOWS: [&str; 10] = [
    "rearrange: depth to space",
    "rearrange: phases to space",
    "rearrange: space to depth",
    "rearrange: repetition",
    "rearrange: other rows",
    "band: of one",
    "band: of two",
    "conv: rectangle",
    "conv: strides that differ",
    "conv: stride above 2",
];

/// Attentions and pools that [`wider`] holds.
const ATTENTIONS: [&str; 6] = [
    "pool: mean",
    "pool: maximum",
    "cross attention: keys of its inputs alone",
    "cross attention: constant rows",
    "linear attention: keys of its inputs alone",
    "linear attention: constant rows",
];

/// Convolutions in groups that [`wider`] holds.
const GROUPS: [&str; 6] = [
    "grouped: depthwise",
    "grouped: several inputs",
    "grouped: several outputs",
    "grouped: addend",
    "grouped: strides",
    "grouped: Q24 output",
];

const WIDER_FORMS: [&str; 11] = [
    "constant: in a sum",
    "constant: alone",
    "norm: by position",
    "norm: over all positions",
    "norm: centred",
    "norm: not centred",
    "norm: a least divisor",
    "norm: concatenation",
    "norm: scale and shift",
    "norm: with SiLU",
    "norm: without SiLU",
];

fn name(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "input",
        Op::TimeProj(_) => "time_proj",
        Op::ClassEmbed(_) => "class_embed",
        Op::Silu(_) => "silu",
        Op::Conv(_) => "conv",
        Op::GroupNorm(_) => "group_norm",
        Op::Attention(_) => "attention",
        Op::CrossAttention(_) => "cross_attention",
        Op::Pool(_) => "pool",
        Op::LinearAttention(_) => "linear_attention",
        Op::Upsample(_) => "upsample",
        Op::Rearrange(_) => "rearrange",
        Op::Band(_) => "band",
        Op::AvgPool(_) => "avg_pool",
        Op::NormConv(_) => "norm_conv",
        Op::Grouped(_) => "grouped_conv",
        Op::Readout(_) => "readout",
        Op::Softmax(_) => "softmax",
        Op::Norm(_) => "norm",
        Op::Pointwise(_) => "pointwise",
        Op::Condition(_) => "condition",
        Op::Constant(_) => "constant",
    }
}

/// Forms of `op` in a file whose tensors are `shape`d: positions and number format by index.
fn forms(op: &Op, shape: &dyn Fn(u16) -> (usize, Dtype)) -> Vec<&'static str> {
    let mut forms = Vec::new();
    let mut add = |there: bool, form| forms.extend(there.then_some(form));
    if let Some(c) = op.conv() {
        let vector = c.addend.map(|a| shape(a.tensor.0).0 < shape(c.out.0).0);
        add(c.source.second.is_some(), "conv: concatenation");
        add(vector == Some(false), "conv: residual addend");
        add(vector == Some(true), "conv: vector addend");
        add(c.stride == Sides::square(2), "conv: stride 2");
        add(!c.kernel.is_square(), "conv: rectangle");
        add(!c.stride.is_square(), "conv: strides that differ");
        add(c.stride.cols() > 2, "conv: stride above 2");
        add(c.upsample, "conv: through an upsampling");
        add(shape(c.out.0).1 == Dtype::Q24, "conv: Q24 output");
    }
    if let Some(n) = op.norm() {
        add(n.source.second.is_some(), "norm: concatenation");
        add(n.scale_shift.is_some(), "norm: scale and shift");
        add(n.silu, "norm: with SiLU");
        add(!n.silu, "norm: without SiLU");
    }
    match op {
        Op::Norm(n) => {
            add(n.by_position, "norm: by position");
            add(!n.by_position, "norm: over all positions");
            add(n.centred, "norm: centred");
            add(!n.centred, "norm: not centred");
            add(n.floor, "norm: a least divisor");
            add(n.source.second.is_some(), "norm: concatenation");
            add(n.scale_shift.is_some(), "norm: scale and shift");
            add(n.silu, "norm: with SiLU");
            add(!n.silu, "norm: without SiLU");
        }
        Op::Attention(a) => add(a.heads > 1, "attention: several heads"),
        Op::Pool(p) => add(
            true,
            if p.mean.is_some() {
                "pool: mean"
            } else {
                "pool: maximum"
            },
        ),
        Op::CrossAttention(a) => {
            add(a.rows.is_none(), "cross attention: keys of its inputs alone");
            add(a.rows.is_some(), "cross attention: constant rows");
        }
        Op::LinearAttention(a) => {
            add(a.rows.is_none(), "linear attention: keys of its inputs alone");
            add(a.rows.is_some(), "linear attention: constant rows");
        }
        Op::Conv(_) | Op::GroupNorm(_) | Op::NormConv(_) => {}
        Op::Grouped(g) => {
            let outs = shape(g.conv.out.0).0;
            add(outs == usize::from(g.groups), "grouped: depthwise");
            add(
                shape(g.conv.source.first.0).0 > usize::from(g.groups),
                "grouped: several inputs",
            );
            add(outs > usize::from(g.groups), "grouped: several outputs");
            add(g.conv.addend.is_some(), "grouped: addend");
            add(g.conv.stride != Sides::square(1), "grouped: strides");
            add(shape(g.conv.out.0).1 == Dtype::Q24, "grouped: Q24 output");
        }
        Op::Input(_) | Op::TimeProj(_) | Op::ClassEmbed(_) | Op::Silu(_) => {}
        Op::Rearrange(r) => add(
            true,
            match r.way {
                Pattern::Channels => "rearrange: depth to space",
                Pattern::Phases => "rearrange: phases to space",
                Pattern::Depth => "rearrange: space to depth",
                Pattern::Repeat => "rearrange: repetition",
                Pattern::Reshape => "rearrange: other rows",
            },
        ),
        Op::Band(r) => {
            add(r.second.is_none(), "band: of one");
            add(r.second.is_some(), "band: of two");
        }
        Op::Upsample(_) | Op::AvgPool(_) | Op::Readout(_) | Op::Softmax(_) => {}
        Op::Pointwise(p) => forms.extend(pointwise_forms(p, shape)),
        Op::Condition(_) => {}
        Op::Constant(c) => add(
            true,
            match c.sum {
                Some(_) => "constant: in a sum",
                None => "constant: alone",
            },
        ),
    }
    forms
}

#[test]
fn every_operator_in_every_form_has_a_test_model() {
    for form in Form::ALL {
        let file = model(form);
        let memory = mote_engine::memory::AlignedBytes::copy_of(&file);
        let model = mote_runtime::Model::parse(memory.bytes()).expect("the model is valid");
        let shape = |id: u16| {
            let tensor = model
                .tensor(mote_runtime::internals::tensor::TensorId(id))
                .expect("the tensor is there");
            (tensor.positions(), tensor.dtype)
        };
        let operators: BTreeSet<_> = model.ops().map(|op| name(&op)).collect();
        let mut expected = BTreeSet::from(OPERATORS);
        if form == Form::F16 {
            expected.remove("norm_conv");
        }
        assert_eq!(operators, expected, "{form:?}");
        let found: BTreeSet<_> = model.ops().flat_map(|op| forms(&op, &shape)).collect();
        assert_eq!(found, BTreeSet::from(FORMS), "{form:?}");
    }
}

const POINTWISE_FORMS: [&str; 13] = [
    "a function",
    "a function and more",
    "no function",
    "in Q24",
    "factor: none",
    "factor: modulation",
    "factor: whole",
    "factor: a vector",
    "factor: one channel",
    "addend: none",
    "addend: whole",
    "addend: a vector",
    "factor and addend",
];

fn pointwise_forms(p: &Pointwise, shape: &dyn Fn(u16) -> (usize, Dtype)) -> Vec<&'static str> {
    let mut forms = vec![match (p.table, p.affine) {
        (Some(_), None) => "a function",
        (Some(_), Some(_)) => "a function and more",
        (None, _) => "no function",
    }];
    let mut add = |there: bool, form| forms.extend(there.then_some(form));
    let (positions, dtype) = shape(p.out.0);
    add(dtype == Dtype::Q24, "in Q24");
    let Some(affine) = p.affine else { return forms };
    let of = |id: TensorId| shape(id.0).0;
    let addend = affine.addend.map(|addend| addend.tensor);
    match affine.factor.map(|factor| factor.tensor) {
        None => add(true, "factor: none"),
        Some(_) if addend == Some(None) => add(true, "factor: modulation"),
        Some(id) if id.0 == MASK => add(true, "factor: one channel"),
        Some(id) => add(
            true,
            if of(id) == positions {
                "factor: whole"
            } else {
                "factor: a vector"
            },
        ),
    }
    match addend.flatten() {
        None => add(addend.is_none(), "addend: none"),
        Some(id) if of(id) == positions => add(true, "addend: whole"),
        Some(_) => add(true, "addend: a vector"),
    }
    add(
        affine.factor.is_some() && addend.flatten().is_some(),
        "factor and addend",
    );
    forms
}

/// The activation with one channel of the programs of pointwise operators.
const MASK: u16 = 3;

#[test]
fn every_form_of_a_pointwise_operator_has_a_test_model() {
    for form in Form::ALL {
        let file = mote_tests::pointwise::model(form, 2);
        let memory = mote_engine::memory::AlignedBytes::copy_of(&file);
        let model = mote_runtime::Model::parse(memory.bytes()).expect("the model is valid");
        let tensor = |id: u16| model.tensor(TensorId(id)).expect("the tensor is there");
        let shape = |id: u16| (tensor(id).positions(), tensor(id).dtype);
        assert_eq!(tensor(MASK).channels, 1);
        let found: BTreeSet<_> = model
            .ops()
            .filter(|op| matches!(op, Op::Pointwise(_)))
            .flat_map(|op| forms(&op, &shape))
            .collect();
        assert_eq!(found, BTreeSet::from(POINTWISE_FORMS), "{form:?}");
    }
}

#[test]
fn every_operator_that_a_gpu_does_not_take_has_a_test_model() {
    for form in Form::ALL {
        let ops = Parts::of(&wider::model(0, form)).ops();
        let shape = |_| (0, Dtype::I16);
        let names: BTreeSet<_> = ops.iter().map(name).collect();
        assert!(names.is_superset(&BTreeSet::from(WIDER)), "{form:?}: {names:?}");
        let of_wider = ops.iter().filter(|op| WIDER.contains(&name(op)));
        let found: BTreeSet<_> = of_wider.flat_map(|op| forms(op, &shape)).collect();
        assert_eq!(found, BTreeSet::from(WIDER_FORMS), "{form:?}");
    }
}

#[test]
fn every_window_that_a_gpu_does_not_take_has_a_test_model() {
    for form in Form::ALL {
        let ops = Parts::of(&wider::windows_model(0, form)).ops();
        let found: BTreeSet<_> = ops.iter().flat_map(|op| forms(op, &|_| (0, Dtype::I16))).collect();
        let expected = BTreeSet::from(WINDOWS);
        assert!(found.is_superset(&expected), "{form:?}: {found:?}");
    }
}

#[test]
fn every_attention_and_pool_that_a_gpu_does_not_take_has_a_test_model() {
    for form in Form::ALL {
        let ops = Parts::of(&wider::attentions_model(0, form)).ops();
        let found: BTreeSet<_> = ops.iter().flat_map(|op| forms(op, &|_| (0, Dtype::I16))).collect();
        let expected = BTreeSet::from(ATTENTIONS);
        assert!(found.is_superset(&expected), "{form:?}: {found:?}");
    }
}

#[test]
fn every_convolution_in_groups_has_a_test_model() {
    for form in Form::ALL {
        let memory = mote_engine::memory::AlignedBytes::copy_of(&wider::groups_model(2, form));
        let model = mote_runtime::Model::parse(memory.bytes()).expect("a valid model");
        let tensor = |id| {
            model
                .tensor(mote_runtime::internals::tensor::TensorId(id))
                .expect("it is there")
        };
        let shape = |id: u16| (usize::from(tensor(id).channels), tensor(id).dtype);
        let grouped = model.ops().filter(|op| matches!(op, Op::Grouped(_)));
        let found: BTreeSet<_> = grouped.flat_map(|op| forms(&op, &shape)).collect();
        assert_eq!(found, BTreeSet::from(GROUPS), "{form:?}");
    }
}

#[test]
fn the_condition_has_a_test_model() {
    for form in Form::ALL {
        let operators: Vec<_> = Parts::of(&conditioned(form)).ops().iter().map(name).collect();
        assert!(operators.contains(&"condition"), "{form:?}: {operators:?}");
    }
}

#[test]
fn every_operator_of_the_chains_has_a_test_model() {
    for scheme in chains::SCHEMES {
        let operators: BTreeSet<_> = chains::all(scheme)
            .iter()
            .flat_map(|(_, file)| Parts::of(file).ops())
            .map(|op| name(&op))
            .collect();
        let expected = BTreeSet::from(["input", "conv", "silu", "softmax", "readout"]);
        assert_eq!(operators, expected, "{}", scheme.name());
    }
}

#[test]
fn every_width_of_weights_and_activations_has_a_test_model() {
    let widths = |form| {
        let file = model(form);
        let width = |weights: Weights| match weights {
            Weights::W8 { .. } => "int8",
            Weights::W4 { .. } => "int4",
            Weights::W16 { .. } => "int16",
            Weights::F16 { .. } => "f16",
        };
        let ops = Parts::of(&file).ops();
        let widths = ops.iter().filter_map(|op| op.conv().map(|c| width(c.weights)));
        widths.collect::<BTreeSet<_>>()
    };
    assert_eq!(widths(Form::F16), BTreeSet::from(["f16"]));
    assert_eq!(widths(Form::Mixed), BTreeSet::from(["int8", "int16"]));
    assert_eq!(widths(Form::W4A8), BTreeSet::from(["int4"]));
    let dtypes = |form| {
        let records = Parts::of(&model(form)).sections[1].clone();
        records
            .chunks_exact(20)
            .map(|record| record[10])
            .collect::<BTreeSet<u8>>()
    };
    let both = BTreeSet::from([
        Dtype::I8 as u8,
        Dtype::I16 as u8,
        Dtype::Q24 as u8,
        Dtype::Scratch as u8,
    ]);
    assert_eq!(dtypes(Form::Mixed), both);
    assert_eq!(dtypes(Form::W8A8), both);
}

/// The oracle is compulsory: an operator that it lacks is one whose bits nobody has checked.
#[test]
fn the_oracle_has_every_operator() {
    let oracle: Vec<_> = mote_oracle::kinds().collect();
    assert_eq!(
        oracle,
        Op::KINDS,
        "write what is missing in host/oracle/src/ops, from NUMERICS.md and not from the kernel"
    );
}
