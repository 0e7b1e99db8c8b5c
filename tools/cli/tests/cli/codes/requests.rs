//! Codes that small files and odd requests meet.

use super::Row;

pub const ROWS: &[Row] = &[
    (
        "inspect {dir}/cut.mote",
        101,
        &["cut.mote", "59692", "29846", "cut off", "copy it again"],
    ),
    (
        "inspect {dir}/cut.png",
        102,
        &["cut.png", "not a Mote model", "magic bytes", "mote convert"],
    ),
    (
        "inspect {dir}/format.mote",
        103,
        &["format.mote", "99", "version 2", "convert again"],
    ),
    (
        "inspect {dir}/numeric.mote",
        104,
        &["numeric.mote", "99", "version 1", "convert again"],
    ),
    (
        "inspect {dir}/sum.mote",
        105,
        &["sum.mote", "'weights'", "damaged", "copy it again"],
    ),
    (
        "inspect {dir}/none.mote",
        1001,
        &["none.mote", "No such file", "path of a model file"],
    ),
    (
        "sample {model} -o {dir}/x.png --steps 0",
        402,
        &["0 steps", "1 to 1000", "--steps"],
    ),
    (
        "sample {model} -o {dir}/x.png --steps 1000",
        403,
        &["steps_offset 1", "1000 steps", "fewer --steps"],
    ),
    (
        "sample {model} -o {dir}/x.png --class 3",
        406,
        &["class 3", "no class labels", "leave --class out"],
    ),
    (
        "sample {model} -o {dir}/x.png --guidance 2",
        408,
        &["null class", "leave --guidance out"],
    ),
    (
        "sample {model} -o {dir}/x.png --condition 1,2",
        424,
        &["takes none", "leave --condition out"],
    ),
    (
        "sample {model} -o {dir}/x.png --sampler ddpm --variance learned",
        429,
        &["gives no variances", "fixed one"],
    ),
    (
        "sample {model} -o {dir}/x.png --sampler euler",
        411,
        &["noise levels", "leave --sampler"],
    ),
    (
        "sample {model} -o {dir}/x.png --eta 2",
        1000,
        &["'2'", "--eta", "between 0 and 1"],
    ),
    (
        "sample {model} -o {dir}/none/x.png",
        1002,
        &["none/x.png", "cannot write", "folder that can be written"],
    ),
    (
        "sample {model} -o {dir}/x.png --noise {vectors}:nope",
        1413,
        &["vectors.safetensors", "`nope`", "it holds"],
    ),
    (
        "sample {model} -o {dir}/x.png --noise {dir}/none.safetensors",
        1411,
        &["none.safetensors", "No such file", "--noise FILE"],
    ),
    (
        "sample {model} -o {dir}/x.png --noise {dir}/headless.safetensors",
        1412,
        &["headless.safetensors", "no header", "--noise FILE"],
    ),
    (
        "sample {model} -o {dir}/x.png --noise {vectors}:ddim20.timesteps",
        1414,
        &["`ddim20.timesteps`", "I64", "F32", "convert it"],
    ),
    (
        "sample {model} -o {dir}/x.png --from {dir}/cut.png",
        1421,
        &["cut.png", "not a whole PNG", "give a PNG file"],
    ),
    (
        "decode {model} {vectors} -o {dir}/x.png",
        428,
        &["no decoder", "no latents"],
    ),
    (
        "convert {dir}/none -o {dir}/x.mote",
        1101,
        &["none", "not a folder", "pipeline folder"],
    ),
    (
        "convert {dir}/empty -o {dir}/x.mote",
        1102,
        &["empty", "model_index.json", "give the pipeline folder"],
    ),
    (
        "convert {dir}/two -o {dir}/x.mote",
        1103,
        &["prior/config.json", "PriorTransformer", "to convert that"],
    ),
    (
        "convert {dir}/flat -o {dir}/x.mote",
        1104,
        &["flat/scheduler_config.json", "missing", "save_pretrained"],
    ),
    (
        "convert {dir}/bare -o {dir}/x.mote",
        1105,
        &["diffusion_pytorch_model.safetensors", "not found", "save_pretrained"],
    ),
    (
        "convert {dir}/binary -o {dir}/x.mote",
        1107,
        &["diffusion_pytorch_model.bin", "safetensors", "save"],
    ),
    (
        "convert {dir}/net -o {dir}/x.mote",
        1111,
        &["net.pt2", "no whole ZIP archive", "copy it again"],
    ),
    (
        "convert {dir}/betas -o {dir}/x.mote",
        1114,
        &["scheduler_config.json", "`trained_betas`", "[0.1,0.2]", "1000"],
    ),
    (
        "convert {dir}/headless -o {dir}/x.mote",
        1115,
        &["diffusion_pytorch_model.safetensors", "no header", "copy it again"],
    ),
    (
        "convert {dir}/deeper -o {dir}/x.mote",
        1116,
        &[
            "`down_blocks.0.resnets.1.norm1.weight`",
            "[12]",
            "missing",
            "not of one",
        ],
    ),
    (
        "convert {dir}/wider -o {dir}/x.mote",
        1117,
        &[
            "`down_blocks.1.resnets.0.conv1.weight`",
            "[24, 12, 3, 3]",
            "[12, 12, 3, 3]",
        ],
    ),
    (
        "convert {digits} -o {dir}/x.mote --null-class 3",
        1150,
        &["unet/config.json", "`num_class_embeds`", "null", "leave it out"],
    ),
    (
        "convert {digits} -o {dir}/x.mote --scheme f16 --board stm32vldiscovery",
        1004,
        &["175841", "131072", "stm32vldiscovery"],
    ),
    (
        "convert {dir}/chain -o {dir}/x.mote",
        1332,
        &["chain.json", "`preset`", "train it again"],
    ),
    (
        "convert {dir}/rescaled -o {dir}/x.mote",
        1804,
        &["rescale_betas_zero_snr", "cumulative alpha"],
    ),
    (
        "crosscheck {digits} {dir}/none.safetensors",
        1501,
        &["none.safetensors", "No such file", "exported with"],
    ),
    (
        "crosscheck {digits} {dir}/headless.safetensors",
        1502,
        &["headless.safetensors", "no header", "copy it again"],
    ),
    (
        "crosscheck {fashion} {vectors}",
        1504,
        &["vectors.safetensors", "`fwd.x`", "[5, 1, 8, 8]", "[5, 1, 16, 16]"],
    ),
    (
        "crosscheck {digits} {dir}/empty.safetensors",
        1506,
        &["empty.safetensors", "no key", "`fwd.out`"],
    ),
    (
        "eval {digits} --data {dir}/none.npz",
        1401,
        &["none.npz", "No such file", "what data can be"],
    ),
    (
        "eval {digits} --data {dir}/short-images-idx3-ubyte",
        1402,
        &["[2, 8, 8]", "128 bytes", "holds 0 bytes", "what data can be"],
    ),
    (
        "eval {digits} --sampler ddim --steps 1001 -o {dir}/x.png",
        1806,
        &["1001", "1 to 1000", "--steps"],
    ),
    (
        "eval {digits} --sampler ddim --steps 1000 --count 1 -o {dir}/x.png",
        1807,
        &["steps_offset 1", "1000", "fewer --steps"],
    ),
    (
        "eval {lander} --data {images}",
        1003,
        &["condition vector", "`mote validate --against`"],
    ),
    (
        "train --data {images} -o {dir}/r --distill-from {digits} --student-steps 3 --teacher-steps 4",
        1323,
        &["4 steps", "made 3", "--teacher-steps"],
    ),
    (
        "train --data {images} -o {dir}/q --distill-from {digits} --qat f16",
        1322,
        &["f16", "w8a8"],
    ),
    (
        "validate {model} --against {fashion} --seeds 9",
        1511,
        &["[1, 8, 8]", "[1, 16, 16]", "--against"],
    ),
    (
        "plan {dir}/planned.mote -o {dir}/x.mote",
        1301,
        &["plans a run already", "planned from"],
    ),
    (
        "plan {model} -o {dir}/x.mote --sampler heun --prev diffusers",
        1303,
        &["Heun", "t - T/S", "leave --prev out"],
    ),
    (
        "sample {dir}/planned.mote -o {dir}/x.png --steps 3",
        417,
        &["of 20 steps", "`mote plan`"],
    ),
];
