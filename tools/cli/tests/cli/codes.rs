//! Every code of the tools is met by a command here, with file, field, value and remedy in its message; or stands in the list of
//! those that no command has met yet, which may only become shorter.

use crate::common::{Done, digits, fashion, folder, images, model, mote, vectors};
use std::collections::BTreeSet;
use std::path::Path;

/// Codes that no row below raises: of devices, other tools and faults, and of what only files made for it reach.
const UNMET: &[u16] = &[
    1005, 1006, 1106, 1108, 1109, 1110, 1112, 1113, 1118, 1119, 1120, 1121, 1161, 1162, 1163, 1164, 1165, 1166, 1167,
    1201, 1202, 1203, 1204, 1205, 1211, 1212, 1302, 1304, 1305, 1306, 1307, 1311, 1312, 1313, 1314, 1315, 1321, 1331,
    1333, 1422, 1423, 1503, 1505, 1512, 1521, 1522, 1523, 1601, 1602, 1603, 1651, 1652, 1653, 1654, 1655, 1656, 1657,
    1658, 1659, 1660, 1701, 1702, 1703, 1704, 1705, 1706, 1707, 1708, 1709, 1751, 1752, 1753, 1754, 1755, 1756, 1757,
    1801, 1802, 1803, 1805, 1808, 1809, 1811, 1812, 1821, 1831, 100, 106, 107, 108, 109, 110, 111, 200, 201, 202, 203,
    204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 311,
    312, 313, 314, 400, 401, 404, 405, 407, 409, 410, 412, 413, 414, 415, 416, 418, 419, 420, 421, 422, 423, 425, 426,
    427, 430, 431, 432,
];

/// A command, its code, and words of its message.
type Row = (&'static str, u16, &'static [&'static str]);

const ROWS: &[Row] = &[
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

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The digits' checkpoint under another name, with `settings` of one of its files.
fn checkpoint(dir: &Path, name: &str, file: &str, settings: &[(&str, serde_json::Value)]) {
    for part in [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ] {
        let mut bytes = std::fs::read(digits().join(part)).unwrap();
        if part == file {
            let mut object: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            settings.iter().for_each(|(key, value)| object[*key] = value.clone());
            bytes = object.to_string().into_bytes();
        }
        write(dir, &format!("{name}/{part}"), &bytes);
    }
}

fn made(dir: &Path) {
    let whole = std::fs::read(model()).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    write(dir, "cut.mote", &whole[..whole.len() / 2]);
    write(dir, "format.mote", &with(4, 99));
    write(dir, "numeric.mote", &with(6, 99));
    write(dir, "sum.mote", &with(whole.len() / 2, whole[whole.len() / 2] ^ 1));
    write(dir, "cut.png", b"\x89PNG\r\n\x1a\n");
    write(
        dir,
        "short-images-idx3-ubyte",
        b"\0\0\x08\x03\0\0\0\x02\0\0\0\x08\0\0\0\x08",
    );
    write(dir, "headless.safetensors", b"\xff");
    write(dir, "empty.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    write(dir, "chain/chain.json", b"{}");
    write(dir, "net/net.pt2", b"PK");
    write(dir, "empty/nothing", b"");
    let network = br#"{"_class_name": "UNet2DModel"}"#;
    write(dir, "flat/config.json", network);
    write(dir, "two/unet/config.json", network);
    write(dir, "two/prior/config.json", br#"{"_class_name": "PriorTransformer"}"#);
    let scheduler = "scheduler/scheduler_config.json";
    checkpoint(
        dir,
        "betas",
        scheduler,
        &[("trained_betas", serde_json::json!([0.1, 0.2]))],
    );
    let flat = [
        ("rescale_betas_zero_snr", true.into()),
        ("beta_start", 0.0.into()),
        ("beta_end", 0.0.into()),
    ];
    checkpoint(dir, "rescaled", scheduler, &flat);
    checkpoint(
        dir,
        "wider",
        "unet/config.json",
        &[("block_out_channels", serde_json::json!([12, 24]))],
    );
    checkpoint(dir, "deeper", "unet/config.json", &[("layers_per_block", 2.into())]);
    let weights = "unet/diffusion_pytorch_model.safetensors";
    for name in ["bare", "binary", "headless"] {
        checkpoint(dir, name, "", &[]);
        std::fs::remove_file(dir.join(name).join(weights)).unwrap();
    }
    write(dir, "binary/unet/diffusion_pytorch_model.bin", b"");
    write(dir, &format!("headless/{weights}"), b"\xff");
    let planned = mote(
        "plan {model} -o {dir}/planned.mote",
        &[("model", model()), ("dir", dir)],
    );
    assert_eq!(planned.status, 0, "{}", planned.stderr);
}

fn code(done: &Done) -> Option<u16> {
    let (_, after) = done.stderr.split_once("code: MOTE-")?;
    after.split(',').next()?.parse().ok()
}

#[test]
fn every_code_is_met_with_file_field_value_and_remedy_or_is_listed_as_unmet() {
    let dir = folder();
    made(dir.path());
    let lander = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/lander-policy");
    let places = [
        ("model", model()),
        ("digits", &*digits()),
        ("fashion", &*fashion()),
        ("vectors", &*vectors()),
        ("images", &*images()),
        ("lander", &*lander),
        ("dir", dir.path()),
    ];
    let mut met = BTreeSet::new();
    for (line, expected, words) in ROWS {
        let done = mote(line, &places);
        assert_eq!(code(&done), Some(*expected), "{line}: {}", done.stderr);
        for word in *words {
            assert!(done.stderr.contains(word), "{line}: no '{word}' in {}", done.stderr);
        }
        assert!(met.insert(*expected), "{line}: {expected} stands twice");
    }
    let all = mote_tools::code::groups().into_iter().flat_map(|group| group.entries);
    let unmet: Vec<u16> = all
        .map(|entry| entry.code.number())
        .filter(|code| !met.contains(code))
        .collect();
    assert_eq!(
        unmet, UNMET,
        "a code that is met leaves the list, a new one has its row"
    );
}
