//! A decoder that was exported by itself: `decoder.pt2` or `decoder.onnx` beside the network whose samples it makes pictures of.

use super::net::Net;
use super::operands::Value;
use super::reader::Reader;
use super::{ImportError, opened};
use crate::autoencoder::Decoder;
use crate::shown;
use std::collections::BTreeMap;
use std::path::Path;

/// Its names, of which the first that is there is taken.
const FILES: [&str; 2] = ["decoder.pt2", "decoder.onnx"];

/// The decoder in `folder`, for latents of the shape `(channel, row, col)`; `None` where there is none. Its one input is a latent as the
/// network makes it, of a batch of 1; its output is a picture, -1 to 1.
///
/// # Errors
/// Where it cannot be read, or has other inputs.
pub(crate) fn decoder(folder: &Path, latent: [usize; 3]) -> Result<Option<Decoder>, ImportError> {
    let Some(file) = FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file()) else {
        return Ok(None);
    };
    let (program, mut opened) = opened(&file)?;
    let refuse = |problem: String| ImportError::Exported {
        path: shown(&file),
        problem,
    };
    let [channels, rows, cols] = latent;
    let input = match &program.inputs[..] {
        [input] if input.sizes == [1, channels, rows, cols] => input,
        inputs => {
            let found: Vec<&Vec<usize>> = inputs.iter().take(8).map(|input| &input.sizes).collect();
            return Err(refuse(format!(
                "its inputs have extents {found:?}; a decoder has one, and the network makes latents of [1, {channels}, {rows}, {cols}]"
            )));
        }
    };
    let mut net = Net::new(program.nodes.iter().map(|node| node.module.as_str()));
    net.apart = opened.is_apart();
    let value = net.graph.sample(latent)?;
    net.taken("sample");
    let source = net.given(value);
    let view = net.shown_as(source, 4);
    let given = BTreeMap::from([(input.name.clone(), Value::Activation(view))]);
    let mut reader = Reader::new(&program, opened.store(), net, given);
    let value = reader.read()?;
    let mut net = reader.net;
    net.module = String::new();
    let picture = value
        .activation()
        .and_then(|view| net.image(view))
        .and_then(|source| net.value(source));
    let picture = picture.map_err(|problem| refuse(format!("the decoder's output: {problem}")))?;
    Ok(Some(Decoder {
        class: "decoder".to_string(),
        graph: net.finish(picture)?,
        sha256: opened.sha256(),
        config_file: shown(&file),
    }))
}
