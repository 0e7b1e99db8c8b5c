//! What becomes of small graphs, and what a program keeps of them.

use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};

use super::lower;
use crate::ops::Kind;
use crate::ops::pointwise::table::Scalar;
use crate::ops::pointwise::{Addend, Pointwise};
use crate::program::{FusedOp, Program, SlotId};

/// A graph of `(2, 4, 4)` samples under construction.
struct Nodes(Builder);

impl Nodes {
    fn new() -> (Self, ValueId) {
        let mut builder = Builder::new();
        let sample = builder.sample([2, 4, 4]).expect("a sample");
        (Self(builder), sample)
    }

    fn push(&mut self, name: &str, op: impl Into<ops::Op>, inputs: &[ValueId]) -> ValueId {
        self.0.push(name, op, inputs).expect("shapes that fit")
    }

    /// A convolution of two output channels whose weights are 3 and whose biases are 6.
    fn conv(&mut self, name: &str, input: ValueId, kernel: usize) -> ValueId {
        self.conv_to(2, name, input, kernel)
    }

    /// The same with `outs` output channels.
    fn conv_to(&mut self, outs: usize, name: &str, input: ValueId, kernel: usize) -> ValueId {
        let ins = self.0.shape(input)[0];
        let mut param = |what: &str, shape: Vec<usize>, value: f32| {
            let data = vec![value; shape.iter().product()];
            let key = format!("{name}.{what}");
            self.0.param(&key, Param { shape, data });
            key
        };
        let weight = param("weight", vec![outs, ins, kernel, kernel], 3.0);
        let bias = Some(param("bias", vec![outs], 6.0));
        let conv = ops::Conv::square(weight, bias, kernel, 1, [kernel / 2; 4]);
        self.push(name, conv, &[input])
    }

    fn norm(&mut self, name: &str, input: ValueId) -> ValueId {
        let channels = self.0.shape(input)[0];
        let [weight, bias] = ["gamma", "beta"].map(|what| format!("{name}.{what}"));
        for key in [&weight, &bias] {
            let (shape, data) = (vec![channels], vec![1.0; channels]);
            self.0.param(key, Param { shape, data });
        }
        let norm = ops::Norm::group(1, 1e-5, weight, bias);
        self.push(name, norm, &[input])
    }

    fn program(self, output: ValueId) -> (Graph, Program) {
        let graph = self.0.finish(output).expect("a sound graph");
        let program = lower(&graph).expect("operators for all of it");
        (graph, program)
    }
}

/// Names of the nodes that an operator stands for.
fn origin<'g>(graph: &'g Graph, op: &FusedOp) -> Vec<&'g str> {
    let names = op.origin.nodes.iter();
    names.map(|node| graph.nodes[*node].name.as_str()).collect()
}

#[test]
fn a_resnet_keeps_what_it_was_fused_from_and_its_divisor() {
    let (mut nodes, x) = Nodes::new();
    let first = nodes.conv("first", x, 3);
    let norm = nodes.norm("norm", first);
    let silu = nodes.push("silu", ops::Silu, &[norm]);
    let second = nodes.conv("second", silu, 3);
    let sum = nodes.push("sum", ops::Add { divisor: 2.0 }, &[first, second]);
    let (graph, program) = nodes.program(sum);
    let fused: Vec<_> = program.ops.iter().map(|op| origin(&graph, op)).collect();
    let expected = [
        vec!["sample"],
        vec!["first"],
        vec!["norm", "silu"],
        vec!["second", "sum"],
    ];
    assert_eq!(fused, expected);
    let [.., last] = &program.ops[..] else {
        panic!("operators")
    };
    assert_eq!((last.name.as_str(), last.origin.value), ("second", Some(sum)));
    assert_eq!(program.slot(last.out).name, "sum");
    let conv = last.kind.conv().expect("a convolution");
    assert_eq!((conv.divisor, conv.addend), (2.0, Some((SlotId(1), 0.5))));
    assert!(conv.weight.iter().all(|w| *w == 1.5) && conv.bias == [3.0, 3.0]);
}

/// `h + conv(h)`: the device reads what is under the kernel apart from the term.
#[test]
fn what_a_convolution_reads_is_no_term_of_it() {
    let (mut nodes, x) = Nodes::new();
    let first = nodes.conv("first", x, 3);
    let second = nodes.conv("second", first, 3);
    let sum = nodes.push("sum", ops::Add { divisor: 1.0 }, &[first, second]);
    let out = nodes.conv("out", sum, 1);
    let (_, program) = nodes.program(out);
    let conv = program.ops[2].kind.conv().expect("a convolution");
    assert!(conv.addend.is_none() && matches!(program.ops[3].kind, Kind::Pointwise(_)));
}

#[test]
fn concatenations_and_upsamplings_are_read_through() {
    let (mut nodes, x) = Nodes::new();
    let [a, b] = ["a", "b"].map(|name| nodes.conv(name, x, 1));
    let joined = nodes.push("joined", ops::Concat, &[a, b]);
    let normed = nodes.norm("norm", joined);
    let grown = nodes.push("grown", ops::Upsample2, &[normed]);
    let out = nodes.conv("out", grown, 3);
    let (_, program) = nodes.program(out);
    assert_eq!(program.ops.len(), 5);
    let Kind::Norm(norm) = &program.ops[3].kind else {
        panic!("a normalization")
    };
    assert_eq!(norm.source, [SlotId(1), SlotId(2)]);
    let conv = program.ops[4].kind.conv().expect("a convolution");
    assert!(conv.upsample && conv.source == [SlotId(3)]);
}

#[test]
fn softmax_and_a_readout_by_timestep_have_operators() {
    let (mut nodes, x) = Nodes::new();
    let scores = nodes.push("scores", ops::Softmax, &[x]);
    let (weight, bias) = ("readout.weight".to_owned(), "readout.bias".to_owned());
    let values = |count: usize| (0..count).map(|v| v as f32).collect::<Vec<_>>();
    for (key, shape) in [(&weight, vec![2, 3, 2]), (&bias, vec![2, 3])] {
        let data = values(shape.iter().product());
        nodes.0.param(key, Param { shape, data });
    }
    let first = vec![0, 5];
    let readout = nodes.push("readout", ops::Readout { weight, bias, first }, &[scores]);
    let (_, program) = nodes.program(readout);
    assert!(matches!(program.ops[1].kind, Kind::Softmax(_)));
    let conv = program.ops[2].kind.conv().expect("a linear layer");
    assert_eq!((&conv.groups[..], conv.taps()), (&[0, 5][..], 2));
    assert_eq!((&conv.weight, &conv.bias), (&values(12), &values(6)));
}

/// An upsampling that something else than a convolution reads is an operator of its own.
#[test]
fn an_upsampling_that_others_read_is_computed() {
    let (mut nodes, x) = Nodes::new();
    let first = nodes.conv("first", x, 1);
    let grown = nodes.push("grown", ops::Upsample2, &[first]);
    let pooled = nodes.push("pooled", ops::AvgPool2, &[grown]);
    let (_, program) = nodes.program(pooled);
    assert!(matches!(program.ops[2].kind, Kind::Upsample(_)));
    assert!(matches!(program.ops[3].kind, Kind::AvgPool(_)));
}

/// The timestep's SiLU is asked for by every resnet.
#[test]
fn the_same_silu_is_computed_once() {
    let (mut nodes, x) = Nodes::new();
    let pooled = nodes.push("pooled", ops::AvgPool2, &[x]);
    let [a, b] = ["a", "b"].map(|name| nodes.push(name, ops::Silu, &[pooled]));
    let [c, d] = [("c", a), ("d", b)].map(|(name, input)| nodes.conv(name, input, 1));
    let sum = nodes.push("sum", ops::Add { divisor: 1.0 }, &[c, d]);
    let (graph, program) = nodes.program(sum);
    let silus = program.ops.iter().filter(|op| matches!(op.kind, Kind::Silu(_)));
    assert_eq!(silus.map(|op| origin(&graph, op)).collect::<Vec<_>>(), [["a"]]);
}

#[test]
fn what_has_no_operator_is_refused_by_its_name() {
    let refusal = |build: &dyn Fn(&mut Nodes, ValueId) -> ValueId| {
        let (mut nodes, x) = Nodes::new();
        let output = build(&mut nodes, x);
        let graph = nodes.0.finish(output).expect("a sound graph");
        lower(&graph).expect_err("no operator").to_string()
    };
    let sum = refusal(&|nodes, x| {
        let [a, b] = ["a", "b"].map(|name| nodes.push(name, ops::Concat, &[x, x]));
        nodes.push("sum", ops::Add { divisor: 1.0 }, &[a, b])
    });
    assert!(sum.contains("'sum'") && sum.contains("a concatenation"), "{sum}");
    let joined = refusal(&|nodes, x| {
        let joined = nodes.push("joined", ops::Concat, &[x, x]);
        nodes.push("pooled", ops::AvgPool2, &[joined])
    });
    assert!(
        joined.contains("'pooled'") && joined.contains("a concatenation"),
        "{joined}"
    );
}

const MISH: ops::Pointwise = ops::Pointwise {
    function: ops::Function::Mish,
};
const SUM: ops::Add = ops::Add { divisor: 1.0 };

/// Operators by what they stand for, the first (the sample) left out.
fn origins<'g>(graph: &'g Graph, program: &Program) -> Vec<Vec<&'g str>> {
    program.ops.iter().skip(1).map(|op| origin(graph, op)).collect()
}

/// Diffusion Policy's residual block: two passes over the elements behind each convolution.
#[test]
fn modulation_and_residual_join_the_function_before_them() {
    let (mut nodes, x) = Nodes::new();
    let first = nodes.conv("first", x, 3);
    let norm = nodes.norm("norm", first);
    let mish = nodes.push("mish", MISH, &[norm]);
    // The vector is made behind the function.
    let pooled = nodes.push("pooled", ops::AvgPool2, &[x]);
    let pooled = nodes.push("pooled2", ops::AvgPool2, &[pooled]);
    let halves = ["half.0", "half.1"].map(|name| nodes.conv(name, pooled, 1));
    let vector = nodes.push("vector", ops::Concat, &halves);
    let vector = nodes.push("act", MISH, &[vector]);
    let film = nodes.conv_to(4, "film", vector, 1);
    let modulated = nodes.push("modulated", ops::Modulate { one: false }, &[mish, film]);
    let second = nodes.conv("second", modulated, 3);
    let norm = nodes.norm("norm2", second);
    let mish = nodes.push("mish2", MISH, &[norm]);
    let sum = nodes.push("sum", SUM, &[mish, x]);
    let (graph, program) = nodes.program(sum);
    let expected = [
        vec!["first"],
        vec!["norm"],
        vec!["pooled"],
        vec!["pooled2"],
        vec!["half.0"],
        vec!["half.1"],
        vec!["act"],
        vec!["act"],
        vec!["film"],
        vec!["mish", "modulated"],
        vec!["second"],
        vec!["norm2"],
        vec!["mish2", "sum"],
    ];
    assert_eq!(origins(&graph, &program), expected);
    // The function of a concatenation is that of its halves, which the linear layer reads as one.
    assert_eq!(
        program.ops[9].kind.conv().expect("a linear layer").source,
        [SlotId(7), SlotId(8)]
    );
    let Kind::Pointwise(film) = &program.ops[10].kind else {
        panic!("a pointwise operator")
    };
    assert_eq!((film.src, film.one, film.factor), (SlotId(2), 0.0, Some(SlotId(9))));
    assert_eq!(film.addend, Some(Addend::Modulation));
    let Kind::Pointwise(sum) = &program.ops[13].kind else {
        panic!("a pointwise operator")
    };
    assert_eq!((sum.one, sum.addend), (1.0, Some(Addend::Slot(SlotId(0), 1.0))));
}

/// A convolution has the sum in its accumulator, whichever of the two comes first.
#[test]
fn a_convolution_takes_the_sum_before_a_function_does() {
    for conv_first in [false, true] {
        let (mut nodes, x) = Nodes::new();
        let pooled = nodes.push("pooled", ops::AvgPool2, &[x]);
        let mut made = [None; 2];
        for i in if conv_first { [1, 0] } else { [0, 1] } {
            made[i] = Some(match i {
                0 => nodes.push("mish", MISH, &[pooled]),
                _ => nodes.conv("conv", pooled, 1),
            });
        }
        let values: Vec<ValueId> = made.into_iter().flatten().collect();
        let sum = nodes.push("sum", SUM, &values);
        let (graph, program) = nodes.program(sum);
        let expected = [vec!["pooled"], vec!["mish"], vec!["conv", "sum"]];
        assert_eq!(origins(&graph, &program), expected, "{conv_first}");
    }
}

/// adaLN's gate before the residual, sums and products of what nothing absorbs, and a value with itself.
#[test]
fn gates_sums_and_products_are_pointwise_operators() {
    let (mut nodes, x) = Nodes::new();
    let a = nodes.push("a", ops::AvgPool2, &[x]);
    let v = nodes.push("v", ops::AvgPool2, &[a]);
    let gated = nodes.push("gated", ops::Multiply, &[a, v]);
    let sum = nodes.push("sum", ops::Add { divisor: 1.0 }, &[a, gated]);
    let square = nodes.push("square", ops::Multiply, &[sum, sum]);
    let centred = nodes.push(
        "centred",
        ops::Affine {
            scale: 2.0,
            shift: -1.0,
        },
        &[square],
    );
    let twice = nodes.push("twice", ops::Add { divisor: 4.0 }, &[centred, centred]);
    let product = nodes.push("product", ops::Multiply, &[twice, sum]);
    let half = nodes.push("half", ops::Add { divisor: 2.0 }, &[product, a]);
    let (graph, program) = nodes.program(half);
    let expected = [
        vec!["a"],
        vec!["v"],
        vec!["gated"],
        vec!["sum"],
        vec!["square", "centred"],
        vec!["twice", "product"],
        vec!["half"],
    ];
    assert_eq!(origins(&graph, &program), expected);
    let kind = |i: usize| {
        let Kind::Pointwise(op) = &program.ops[i].kind else {
            panic!("a pointwise operator")
        };
        op.clone()
    };
    let gate = Pointwise {
        one: 0.0,
        factor: Some(SlotId(2)),
        ..Pointwise::of(SlotId(1))
    };
    assert_eq!(kind(3), gate);
    // The residual is read elsewhere too: the sum is made where the gated value is.
    let sum = Pointwise {
        addend: Some(Addend::Slot(SlotId(1), 1.0)),
        ..Pointwise::of(SlotId(3))
    };
    assert_eq!(kind(4), sum);
    let scaled = |scale, shift| Scalar::Affine { scale, shift };
    assert_eq!(kind(5).function, [Scalar::Square, scaled(2.0, -1.0)]);
    assert_eq!(
        (kind(6).function, kind(6).factor),
        (vec![scaled(0.5, 0.0)], Some(SlotId(4)))
    );
    assert_eq!((kind(7).one, kind(7).addend), (0.5, Some(Addend::Slot(SlotId(1), 0.5))));
}
