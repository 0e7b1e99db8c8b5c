//! What becomes of small graphs, and what a program keeps of them.

use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};

use super::lower;
use crate::ops::Kind;
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
        let ins = self.0.shape(input)[0];
        let mut param = |what: &str, shape: Vec<usize>, value: f32| {
            let data = vec![value; shape.iter().product()];
            let key = format!("{name}.{what}");
            self.0.param(&key, Param { shape, data });
            key
        };
        let weight = param("weight", vec![2, ins, kernel, kernel], 3.0);
        let bias = Some(param("bias", vec![2], 6.0));
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
        let pooled = nodes.push("pooled", ops::AvgPool2, &[x]);
        nodes.push("sum", ops::Add { divisor: 1.0 }, &[pooled, pooled])
    });
    assert!(
        sum.contains("'sum'") && sum.contains("no convolution before it"),
        "{sum}"
    );
    let affine = refusal(&|nodes, x| {
        let pooled = nodes.push("pooled", ops::AvgPool2, &[x]);
        let (scale, shift) = (2.0, 0.0);
        nodes.push("centred", ops::Affine { scale, shift }, &[pooled])
    });
    assert!(
        affine.contains("'centred'") && affine.contains("does not follow the sample"),
        "{affine}"
    );
    let joined = refusal(&|nodes, x| {
        let joined = nodes.push("joined", ops::Concat, &[x, x]);
        nodes.push("pooled", ops::AvgPool2, &[joined])
    });
    assert!(
        joined.contains("'pooled'") && joined.contains("a concatenation"),
        "{joined}"
    );
}
