//! Shapes, order and cost.

use super::{Builder, Graph, GraphError, Op, Param, ValueId, ops};

fn conv(kernel: usize, stride: usize, pad: [usize; 4]) -> Op {
    Op::Conv(ops::Conv::square("w", None, kernel, stride, pad))
}

fn builder(shape: &[usize]) -> (Builder, ValueId) {
    let mut g = Builder::new();
    g.param(
        "w",
        Param {
            shape: shape.to_vec(),
            data: vec![0.0; shape.iter().product()],
        },
    );
    let x = g.sample([4, 8, 6]).unwrap();
    (g, x)
}

fn small() -> Graph {
    let (mut g, x) = builder(&[6, 4, 3, 3]);
    let y = g.push("conv", conv(3, 2, [0, 0, 1, 1]), &[x]).unwrap();
    let y = g.push("attend", ops::Attention { heads: 3 }, &[y, y, y]).unwrap();
    g.tap("block", y);
    g.finish(y).unwrap()
}

#[test]
fn shapes_and_macs_by_hand() {
    let graph = small();
    assert_eq!((graph.sample_shape(), graph.output_shape()), ([4, 8, 6], [6, 4, 3]));
    // 6 x 4 x 3 outputs of 4 x 9 products, then 2 x 6 channels x 12 positions squared.
    assert_eq!(graph.macs(), 6 * 4 * 3 * 36 + 2 * 6 * 144);
    assert_eq!(graph.param_count(), 216);
}

#[test]
fn what_does_not_fit_is_refused_at_its_node() {
    let (mut g, x) = builder(&[6, 4, 3, 3]);
    let v = g.push("v", ops::AvgPool2, &[x]).unwrap();
    for (op, inputs) in [
        (conv(1, 1, [0; 4]), vec![x]),
        (conv(3, 3, [1; 4]), vec![x]),
        (Op::Conv(ops::Conv::linear("none", None)), vec![x]),
        (Op::Add(ops::Add { divisor: 1.0 }), vec![x, v]),
        (Op::Add(ops::Add { divisor: 0.0 }), vec![x, x]),
        (Op::AddChannel(ops::AddChannel), vec![x, v]),
        (Op::ScaleShift(ops::ScaleShift), vec![x, v]),
        (Op::Modulate(ops::Modulate { one: false }), vec![x, v]),
        (Op::Multiply(ops::Multiply), vec![x, v]),
        (Op::Concat(ops::Concat), vec![x, v]),
        (Op::Concat(ops::Concat), vec![]),
        (Op::Attention(ops::Attention { heads: 3 }), vec![x, x, x]),
        (Op::Attention(ops::Attention { heads: 0 }), vec![x, x, x]),
        (Op::Silu(ops::Silu), vec![x, x]),
        (
            Op::TimeProj(ops::TimeProj {
                dim: 3,
                flip_sin_to_cos: true,
                freq_shift: 0.0,
                max_period: 1e4,
            }),
            vec![],
        ),
        (
            Op::TimeProj(ops::TimeProj {
                dim: 2,
                flip_sin_to_cos: true,
                freq_shift: 1.0,
                max_period: 1e4,
            }),
            vec![],
        ),
        (
            Op::ClassEmbed(ops::ClassEmbed {
                weight: "w".to_string(),
            }),
            vec![],
        ),
    ] {
        let error = g.push(&format!("bad {op:?} {inputs:?}"), op, &inputs).unwrap_err();
        assert!(error.to_string().contains("`bad"), "{error}");
    }
    assert_eq!(
        g.push("v", ops::Silu, &[x]),
        Err(GraphError::DuplicateName("v".to_string()))
    );
    assert!(matches!(
        Builder::new().sample([1 << 20, 1 << 20, 1 << 30]),
        Err(GraphError::TooLarge { .. })
    ));
}

#[test]
fn a_graph_from_elsewhere_is_checked_as_a_whole() {
    small().check().unwrap();
    let broken: [&dyn Fn(&mut Graph); 7] = [
        &|g| g.nodes.swap(0, 1),
        &|g| g.nodes[1].inputs[0] = ValueId(99),
        &|g| g.nodes[1].output = ValueId(0),
        &|g| g.values[1].shape = [6, 4, 4],
        &|g| g.output = Some(ValueId(7)),
        &|g| g.params.get_mut("w").unwrap().data.truncate(1),
        &|g| g.taps.push(("block".to_string(), ValueId(0))),
    ];
    for (i, change) in broken.iter().enumerate() {
        let mut graph = small();
        change(&mut graph);
        assert!(graph.check().is_err(), "change {i}");
    }
    assert_eq!(Graph::default().check(), Err(GraphError::NoOutput));
}
