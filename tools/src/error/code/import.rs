//! Codes of reading a checkpoint.

use crate::import::ImportError;
use mote_graph::config::ConfigError;
use mote_graph::graph::GraphError;

codes! { ImportError, IMPORT:
    NotAFolder 1101 "The path is no folder, and no file that is read as a checkpoint."
        "Give the pipeline's folder, the folder of its network, or the file that `mote convert --help` names."
    NoUnet 1102 "The folder holds no network in a place that is known."
        "Give the folder that `save_pretrained` wrote, with `model_index.json`, `unet/`, `transformer/` or `config.json`."
    SecondNetwork 1103 "A second network lies beside the one that would be converted, and no index says what it is for."
        "Copy the network and its scheduler into a folder of their own, and convert that."
    NoScheduler 1104 "No scheduler's configuration lies with the network: noise levels are in no other file, and are not guessed."
        "Save the scheduler with `save_pretrained`, or copy its `scheduler_config.json` to where the message says."
    Read 1105 "The system does not let a file be read."
        "Check that it exists and may be read."
    TooLarge 1106 "A file is larger than any that is read."
        "Take a smaller model: this one is none for a microcontroller."
    OtherWeights 1107 "The weights lie in another container than safetensors."
        "Load the model in Python and save it with `safe_serialization=True`."
    Variants 1108 "The folder holds several variants of the weights, and none without a variant."
        "Leave one of them in the folder."
    Shards 1109 "The index of the weights' parts names a file or a tensor that is not there."
        "Copy all files of the model again, or save it with a larger `max_shard_size`."
    Twice 1110 "Two files hold a tensor of the same name."
        "Copy the model's files again, without those of another save."
    Exported 1111 "The exported program is damaged, or in a form that is not read."
        "Export it again with `torch.export.save`, by a version of PyTorch that `docs/exported.md` names."
    Node 1112 "A node of the exported program is no layer that is known."
        "The message names operator and module. `docs/exported.md` lists the layers; write this one with them."
    NoManifest 1113 "Nothing says what the inputs of the exported program are."
        "Write `mote.json` beside it, as the message shows."
    Config 1114 "A setting of the checkpoint is malformed or not supported."
        "Set the field to what the message says is supported, where the network allows it, and save the checkpoint again. Nothing is approximated in its place."
    Container 1115 "A safetensors file is cut off or damaged."
        "Copy it again, or save the model again."
    MissingTensor 1116 "The configuration asks for a tensor that the weights do not hold."
        "Bring configuration and weights of one save together."
    TensorShape 1117 "A tensor has another shape than the configuration gives it."
        "Bring configuration and weights of one save together."
    TensorType 1118 "A tensor's elements are no floats."
        "Save the model in F32, F16, BF16 or F64; quantized weights are not read."
    NotFinite 1119 "A tensor holds NaN, infinity, or a number beyond f32."
        "The training run has diverged, or the file is damaged: take an earlier checkpoint."
    ExtraTensor 1120 "The weights hold tensors that the configuration has no place for."
        "Bring configuration and weights of one save together; a part that is not supported cannot be left out."
    TwoNames 1121 "A tensor is there under its present and its legacy name."
        "Remove one of the two."
    ; through Graph
}

code! { ConfigError, CONFIG: ConfigError 1150 "A setting is malformed, or is one that no model file holds."
"Set the field to what the message says is supported, and save the checkpoint again." }

codes! { GraphError, GRAPH:
    InputCount 1161 "A layer has another number of inputs than its operator takes."
        "The configuration describes no sound network: check the number of blocks and of layers."
    Mismatch 1162 "Two shapes that must agree do not."
        "Check the channels, extents and blocks of the configuration; the message names the layer and both numbers."
    MissingParam 1163 "A layer names a weight that is not there."
        "Bring configuration and weights of one save together."
    TooLarge 1164 "A layer would have more elements than any machine holds."
        "Check the extents and channels of the configuration."
    Order 1165 "A layer reads what no earlier layer has written."
        "This is a fault of the importer: report it with the checkpoint's configuration."
    DuplicateName 1166 "Two layers have one name."
        "This is a fault of the importer: report it with the checkpoint's configuration."
    NoOutput 1167 "The network has no output."
        "Check that the exported module returns its prediction."
    ; through
}
