//! Codes that checkpoints, training and comparisons meet, with files of [`super::made`].

use super::Row;

pub const ROWS: &[Row] = &[
    (
        "convert {dir}/sparse -o {dir}/x.mote",
        1106,
        &[
            "diffusion_pytorch_model.safetensors",
            "8589934592",
            "4294967296",
            "smaller model",
        ],
    ),
    (
        "convert {dir}/variants -o {dir}/x.mote",
        1108,
        &[
            "model.fp16.safetensors",
            "model.non_ema.safetensors",
            "leave one of them",
        ],
    ),
    (
        "convert {dir}/shards -o {dir}/x.mote",
        1109,
        &["index.json", "b.safetensors", "conv_in.bias", "max_shard_size"],
    ),
    (
        "convert {dir}/foreign -o {dir}/x.mote",
        1112,
        &["net.onnx", "Vnoc", "docs/exported.md"],
    ),
    (
        "convert {dir}/roles -o {dir}/x.mote",
        1113,
        &["roles/mote.json", "missing", "sample, timestep, class or condition"],
    ),
    (
        "convert {dir}/whole-numbers -o {dir}/x.mote",
        1118,
        &["`conv_in.bias`", "I32", "F32, F16, BF16 and F64"],
    ),
    (
        "convert {dir}/nan -o {dir}/x.mote",
        1119,
        &["`conv_in.bias`", "NaN", "element 0", "earlier checkpoint"],
    ),
    (
        "convert {dir}/stranger -o {dir}/x.mote",
        1120,
        &["model.safetensors", "`stranger`", "not of one model"],
    ),
    (
        "convert {dir}/beyond -o {dir}/x.mote --scheme f16",
        1201,
        &["layer 'conv_out'", "300000", "65504", "scale the layer down"],
    ),
    (
        "convert {digits} -o {dir}/x.mote --scheme auto --flash 20K --ram 4K --core cortex-m0",
        1205,
        &["bytes of flash", "20480", "4096", "smaller network"],
    ),
    (
        "convert {dir}/formats -o {dir}/x.mote --scheme w8a8",
        1204,
        &["quantization.json", "the activation", "remove the file"],
    ),
    (
        "plan {dir}/roll.mote -o {dir}/x.mote",
        1302,
        &["chain of 2015", "cannot be planned", "as it is"],
    ),
    (
        "split {dir}/latent.mote -o {dir}/x.mote",
        1305,
        &["decoder", "latents' network alone"],
    ),
    (
        "train --data {dir}/sixteen-images-idx3-ubyte -o {dir}/spoilt --steps 1 --batch 2",
        1311,
        &["state.safetensors", "no header", "remove the folder's training/"],
    ),
    (
        "train --data {dir}/sixteen-images-idx3-ubyte -o {dir}/other --steps 3 --batch 2",
        1312,
        &["state.safetensors", "steps was 1, is 3", "another folder"],
    ),
    (
        "train --data {images} -o {dir}/busy --steps 2",
        1313,
        &["busy", "another `mote train` is writing", "another folder"],
    ),
    (
        "train --data {images} -o {dir}/x --flash 20K --ram 4K --core cortex-m0",
        1321,
        &["described board", "20480", "4096", "mote boards"],
    ),
    (
        "convert {dir}/no-tensors -o {dir}/x.mote",
        1331,
        &["chain.safetensors", "No such file", "mote train --preset"],
    ),
    (
        "convert {dir}/other-tensors -o {dir}/x.mote",
        1333,
        &["chain.safetensors", "is missing", "mote train --preset"],
    ),
    (
        "sample {model} -o {dir}/x.png --from {dir}/huge.png",
        1423,
        &["huge.png", "1000000000 x 1000000000", "too many"],
    ),
    (
        "crosscheck {digits} {dir}/half.safetensors",
        1503,
        &["half.safetensors", "`fwd.out`", "`fwd.x`", "exported"],
    ),
    (
        "crosscheck {digits} {dir}/negative.safetensors",
        1505,
        &["negative.safetensors", "`fwd.t`", "-1", "exported"],
    ),
    (
        "validate {model} --against {digits} --seeds 1 --steps 1 --distribution 4 --data {dir}/three-images-idx3-ubyte --backends cpu",
        1523,
        &["3 images", "[1, 8, 8]", "at least 4", "--data"],
    ),
    (
        "eval {dir}/flat-noise --data {images} --images 1 --likelihood ode --tolerance 0.1",
        1808,
        &["timestep 0", "no continuous form"],
    ),
    (
        "eval {dir}/zero-snr --data {images} --images 1 --timesteps 1000",
        1809,
        &["timestep 999", "divides by zero"],
    ),
    (
        "sample {dir}/labels.mote -o {dir}/x.png",
        407,
        &["conditional", "--class"],
    ),
    (
        "sample {dir}/roll.mote -o {dir}/x.npz --interpolate 3",
        404,
        &["chain", "sampler of its own", "starts between seeds"],
    ),
    (
        "sample {model} -o {dir}/x.png --known 1,?",
        433,
        &["second factor", "chains of 2015", "--inpaint MASK"],
    ),
    (
        "sample {dir}/pulses.mote -o {dir}/x.npz --known 1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0 --known-noise 0.75",
        434,
        &["1610612736/2147483648", "one half", "--known-noise from 0 to 0.5"],
    ),
    (
        "sample {dir}/roll.mote -o {dir}/x.npz --steps 10",
        405,
        &["10 steps", "all of its 40", "--steps 40"],
    ),
    (
        "sample {dir}/zero-snr.mote -o {dir}/x.png --spacing trailing",
        416,
        &["alpha_bar is 0", "epsilon", "--spacing leading"],
    ),
    (
        "sample {dir}/multistep.mote -o {dir}/x.png --from {dir}/eight.png",
        418,
        &["goes on from the step before", "planned from"],
    ),
    (
        "sample {dir}/decoder.mote -o {dir}/x.png",
        427,
        &["decoder alone", "mote decode"],
    ),
    (
        "convert {dir}/two-names -o {dir}/x.mote",
        1121,
        &[
            "two-names/unet",
            "`mid_block.attentions.0.to_q.weight`",
            "query.weight`",
            "remove one",
        ],
    ),
    (
        "plan {dir}/variances.mote -o {dir}/x.mote --sampler ddpm",
        1304,
        &["learned variances", "holds none", "--variance small or large"],
    ),
    (
        "validate {dir}/labels.mote --against {dir}/unlabelled --class 1",
        1512,
        &["3", "--against"],
    ),
    (
        "validate {dir}/lander.mote --against {lander} --distribution 9 --condition 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0 \
         --seeds 1 --steps 1 --backends cpu",
        1521,
        &["condition vector", "leave --distribution out"],
    ),
    (
        "eval {dir}/pulses --model {model}",
        1006,
        &["digits.mote", "no model of this chain", "mote convert"],
    ),
    (
        "inspect {dir}/apart.mote",
        111,
        &["apart.mote", "another file", "Model::parse_apart"],
    ),
];
