//! Products of matrices, written as `einsum`, `matmul`, `bmm` or `baddbmm`.

use super::aten::Call;
use super::net::{Net, Result};
use super::operands::Value;
use super::source::Map;
use super::tensor::Tensor;
use super::view::View;

/// The results of a product.
pub(super) fn result(net: &mut Net, op: &str, call: &Call<'_>) -> Result<Vec<Value>> {
    if op == "einsum" {
        return einsum(net, call).map(|value| vec![value]);
    }
    let (a, b) = match op {
        "baddbmm" => (call.any(&["batch1"])?, call.any(&["batch2"])?),
        "bmm" | "mm" => (call.any(&["self"])?, call.any(&["mat2"])?),
        _ => (call.any(&["self"])?, call.any(&["other"])?),
    };
    if op == "baddbmm" && call.node.number_or("beta", 1.0)? != 0.0 {
        return Err("it adds a matrix, which is not known".to_string());
    }
    let (m, n) = (a.sizes().len(), b.sizes().len());
    if m < 2 || n < 2 {
        return Err("it is a product with a vector, which is not known".to_string());
    }
    // A weight on the right is a linear layer.
    if let Value::Constant(weight) = b {
        let [.., _, _] = weight.sizes[..] else {
            return Err("its weight has no two axes".to_string());
        };
        let view = View::whole(0, &weight.sizes);
        let flat = if weight.sizes[..n - 2].iter().all(|size| *size == 1) {
            View {
                axes: view.axes[n - 2..].to_vec(),
                ..view
            }
        } else {
            return Err("its weight is another one for each head, which is not known".to_string());
        };
        let turned = flat
            .permuted(&[1, 0])
            .map(|view| weight.shown(&view))
            .ok_or("its weight has no two axes")?;
        let view = call.as_activation(net, a)?;
        return Ok(vec![Value::Activation(net.linear(&view, turned, None)?)]);
    }
    let batch: Vec<char> = ('A'..='Z').take(m.max(n) - 2).collect();
    let labels = |rank: usize, last: [char; 2]| -> Vec<char> {
        let own = &batch[batch.len() - (rank - 2)..];
        [own, &last].concat()
    };
    let (first, second) = (labels(m, ['i', 'k']), labels(n, ['k', 'j']));
    let out = [&batch[..], &['i', 'j']].concat();
    let (x, y) = (
        Call::labelled(a.activation()?, &first),
        Call::labelled(b.activation()?, &second),
    );
    let mut view = net.contracted(x, y, &out)?;
    if op == "baddbmm" {
        view = net.scaled(&view, call.node.number_or("alpha", 1.0)?)?;
    }
    Ok(vec![Value::Activation(view)])
}

fn einsum(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let text: String = call
        .node
        .text("equation")
        .unwrap_or_default()
        .chars()
        .filter(|c| *c != ' ')
        .collect();
    let parts = call.operands.get("tensors").ok_or("it has no operands")?;
    let (inputs, out) = text.split_once("->").ok_or("its equation names no result")?;
    let labels: Vec<Vec<char>> = inputs.split(',').map(|own| own.chars().collect()).collect();
    let out: Vec<char> = out.chars().collect();
    let plain = |labels: &Vec<char>| {
        let mut sorted = labels.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == labels.len() && labels.iter().all(|c| c.is_ascii_alphabetic())
    };
    let fits = labels.len() == parts.len()
        && labels.iter().chain([&out]).all(plain)
        && labels
            .iter()
            .zip(parts)
            .all(|(own, part)| own.len() == part.sizes().len());
    if !fits {
        let text: String = text.escape_debug().take(80).collect();
        return Err(format!(
            "its equation `{text}` does not fit its operands, or repeats or leaves out an axis"
        ));
    }
    match &parts[..] {
        [only] => {
            let order: Option<Vec<usize>> = out
                .iter()
                .map(|label| labels[0].iter().position(|own| own == label))
                .collect();
            let view = order.and_then(|order| only.activation().ok()?.permuted(&order));
            view.map(Value::Activation)
                .ok_or_else(|| "its equation is more than an order of axes".to_string())
        }
        [a, Value::Constant(weight)] => weighted(net, call, (a, &labels[0]), (weight, &labels[1]), &out),
        [Value::Constant(weight), a] => weighted(net, call, (a, &labels[1]), (weight, &labels[0]), &out),
        [a, b] => {
            let (a, b) = (
                Call::labelled(a.activation()?, &labels[0]),
                Call::labelled(b.activation()?, &labels[1]),
            );
            net.contracted(a, b, &out).map(Value::Activation)
        }
        _ => Err("its equation has more than two operands".to_string()),
    }
}

/// A product with a constant matrix: a linear layer over one axis.
fn weighted(
    net: &mut Net,
    call: &Call<'_>,
    (x, own): (&Value, &[char]),
    (weight, labels): (&Tensor, &[char]),
    out: &[char],
) -> Result<Value> {
    let view = call.as_activation(net, x)?;
    let problem = "its constant is no matrix that is multiplied along one axis";
    let [first, second] = labels[..] else {
        return Err(problem.to_string());
    };
    let (summed, given) = if own.contains(&first) {
        (first, second)
    } else {
        (second, first)
    };
    let at = own.iter().position(|label| *label == summed).ok_or(problem)?;
    let order: Vec<usize> = (0..own.len()).filter(|i| *i != at).chain([at]).collect();
    let view = view.permuted(&order).ok_or(problem)?;
    let weight = match summed == first {
        true => View::whole(0, &weight.sizes)
            .permuted(&[1, 0])
            .map(|turned| weight.shown(&turned))
            .ok_or(problem)?,
        false => weight.clone(),
    };
    let view = net.linear(&view, weight, None)?;
    let mut names: Vec<char> = own.iter().copied().filter(|label| *label != summed).collect();
    names.push(given);
    let order: Option<Vec<usize>> = out
        .iter()
        .map(|label| names.iter().position(|own| own == label))
        .collect();
    let view = order.and_then(|order| view.permuted(&order)).ok_or(problem)?;
    net.map(&view, Map::Affine { scale: 1.0, shift: 0.0 })
        .map(Value::Activation)
}
