//! Measuring a checkpoint.

use crate::common::{digits, folder, has_keys, mote, vectors};
use mote_tools::images::{Picture, decode, encode};
use mote_tools::tensors::TensorFile;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// IDX files of eight digits that the network itself made, and of eight images of noise.
fn data(folder: &Path) -> [PathBuf; 2] {
    let made = TensorFile::read(&vectors()).unwrap().floats("ddim50.x0").unwrap().data;
    let pixels: Vec<u8> = made
        .iter()
        .map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8)
        .collect();
    let noise: Vec<u8> = (0..pixels.len() as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    [("digits-images-idx3-ubyte", pixels), ("noise-images-idx3-ubyte", noise)].map(|(name, pixels)| {
        let mut file = vec![0, 0, 8, 3];
        [8u32, 8, 8].iter().for_each(|extent| file.extend(extent.to_be_bytes()));
        file.extend(pixels);
        let path = folder.join(name);
        std::fs::write(&path, file).unwrap();
        path
    })
}

fn eval(line: &str, data: &Path) -> Value {
    mote(
        &format!("eval {{digits}} --data {{data}} {line} --json"),
        &[("digits", &digits()), ("data", data)],
    )
    .json()
}

fn number(object: &Value, key: &str) -> f64 {
    object[key]
        .as_f64()
        .unwrap_or_else(|| panic!("no number `{key}` in {object}"))
}

#[test]
fn the_bound_is_its_terms_and_tells_digits_from_noise() {
    let folder = folder();
    let [digits, noise] = data(folder.path());
    let line = "--images 8 --timesteps 20";
    let object = eval(line, &digits);
    assert_eq!(object, eval(line, &digits), "the same seed measures the same");
    assert!((number(&object, "alpha_bar_t") - 4.0358e-5).abs() < 1e-9);
    let of = |key: &str| number(&object, key);
    assert!((of("l_t") + of("l_steps") + of("l_0") - of("bits_per_dim")).abs() < 1e-9);
    assert!((of("rate") + of("distortion") - of("bits_per_dim")).abs() < 1e-9);
    // Half alpha_bar_T in bits is the most that pixels from -1 to 1 can cost.
    assert!((1e-6..2.92e-5).contains(&of("l_t")), "{}", of("l_t"));
    let curve = object["rate_distortion"].as_array().unwrap();
    assert_eq!(curve.len(), 20);
    let rates: Vec<f64> = curve.iter().map(|point| number(point, "rate")).collect();
    assert!(rates.windows(2).all(|w| w[1] >= w[0]) && rates[19] < of("rate"));
    assert!(number(&eval(line, &noise), "bits_per_dim") > of("bits_per_dim") + 1.0);
    let large = eval("--images 8 --timesteps 20 --variance fixed-large", &digits);
    assert_eq!(large["variance"], "fixed_large");
    assert_ne!(large["l_steps"], object["l_steps"]);
}

#[test]
fn a_folder_of_pictures_is_measured_like_the_same_pixels_in_a_file() {
    let folder = folder();
    let [digits, _] = data(folder.path());
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    // After the magic number and three extents, 64 bytes an image.
    for (i, pixels) in std::fs::read(&digits).unwrap()[16..].chunks(64).enumerate() {
        let picture = Picture {
            width: 8,
            height: 8,
            channels: 1,
            data: pixels.to_vec(),
        };
        std::fs::write(pictures.join(format!("{i}.png")), encode(&picture).unwrap()).unwrap();
    }
    let line = "--images 8 --timesteps 5";
    let object = eval(line, &pictures);
    assert_eq!(object["images"], 8);
    assert_eq!(object, eval(line, &digits));
}

#[test]
fn the_likelihood_tells_digits_from_noise() {
    let folder = folder();
    let [digits, noise] = data(folder.path());
    let line = "--images 4 --likelihood ode --tolerance 1e-2";
    let of_digits = eval(line, &digits);
    has_keys(
        &of_digits,
        &["bits_per_dim_se", "network_calls", "levels", "dequantization"],
    );
    // No model of 256 values spends much more than 8 bits on what it was trained for, or less than its noise allows.
    assert!((1.0..9.0).contains(&number(&of_digits, "bits_per_dim")), "{of_digits}");
    assert!(number(&eval(line, &noise), "bits_per_dim") > number(&of_digits, "bits_per_dim") + 1.0);
}

#[test]
fn reconstruction_gets_better_with_steps() {
    let folder = folder();
    let [digits, _] = data(folder.path());
    let object = eval("--images 8 --reconstruct 64,4,16", &digits);
    let runs = object["runs"].as_array().unwrap();
    assert_eq!(
        runs.iter().map(|run| number(run, "steps")).collect::<Vec<_>>(),
        [4.0, 16.0, 64.0]
    );
    assert_eq!(object["falls"], true);
    assert!(number(&runs[2], "mse") < 1e-3);
}

/// Every sampler draws; an interpolation's ends are what DDIM makes of the two seeds.
#[test]
fn samplers_draw_and_interpolations_end_at_samples() {
    let folder = folder();
    let draw = |line: &str, name: &str| {
        let path = folder.path().join(name);
        let places = [("digits", digits()), ("out", path.clone())];
        let places: Vec<(&str, &Path)> = places.iter().map(|(k, v)| (*k, v.as_path())).collect();
        let object = mote(&format!("eval {{digits}} {line} -o {{out}} --zoom 1 --json"), &places).json();
        (object, decode(&std::fs::read(&path).unwrap()).unwrap())
    };
    for (sampler, calls) in [
        ("ddim", 5),
        ("ddpm", 5),
        ("euler-maruyama", 6),
        ("predictor-corrector", 11),
    ] {
        let (object, picture) = draw(&format!("--sampler {sampler} --steps 5 --count 4"), "x.png");
        assert_eq!((picture.width, picture.height), (16, 16));
        assert_eq!(object["network_calls"], calls, "{sampler}");
    }
    let (object, _) = draw("--sampler ode --tolerance 0.1 --count 1", "x.png");
    assert!(number(&object, "network_calls") > 7.0);
    let (_, samples) = draw("--sampler ddim --steps 5 --count 2", "samples.png");
    let (_, between) = draw("--interpolate --steps 5 --count 1", "between.png");
    assert_eq!((between.width, between.height), (88, 8));
    let tile = |picture: &mote_tools::images::Picture, column: usize| -> Vec<u8> {
        let rows = picture.data.chunks(picture.width);
        rows.take(8)
            .flat_map(|row| row[8 * column..8 * (column + 1)].to_vec())
            .collect()
    };
    let near = |a: Vec<u8>, b: Vec<u8>| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1);
    assert!(near(tile(&between, 0), tile(&samples, 0)) && near(tile(&between, 10), tile(&samples, 1)));
    assert!(!near(tile(&between, 5), tile(&samples, 0)));
}

#[test]
fn solvers_converge_at_their_orders() {
    let folder = folder();
    let path = folder.path().join("plot.svg");
    let object = mote("eval --convergence -o {out} --json", &[("out", &path)]).json();
    let orders: Vec<f64> = object["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| number(c, "observed_order"))
        .collect();
    assert!(
        (orders[0] - 1.0).abs() < 0.1 && (orders[1] - 2.0).abs() < 0.1,
        "{orders:?}"
    );
    assert!(std::fs::read_to_string(path).unwrap().starts_with("<svg"));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = folder();
    let [images, _] = data(folder.path());
    let broken = folder.path().join("broken.npz");
    std::fs::write(&broken, b"PK\x05\x06").unwrap();
    let cut = folder.path().join("cut-idx3-ubyte");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&cut, &std::fs::read(&images).unwrap()[..100]).unwrap();
    for (line, status, word) in [
        ("eval {digits}", 2, "--data"),
        ("eval", 2, "TRAINED"),
        ("eval {digits} --data {images} --class 1", 2, "leave --class out"),
        (
            "eval {digits} --data {images} --variance learned-range",
            2,
            "learned no variance",
        ),
        ("eval {digits} --data {images} --reconstruct 0", 2, "1 to 1000"),
        ("eval {digits} --data {images}.gone", 1, "cannot read"),
        ("eval {digits} --data {broken}", 1, "NumPy archive"),
        ("eval {digits} --data {cut}", 1, "bytes of data"),
        ("eval {digits} --data {empty}", 1, "holds no PNG file"),
        ("eval {digits} --sampler ddim", 2, "--output"),
        (
            "eval {digits} --data {images} --likelihood ode --reconstruct 5",
            2,
            "cannot be used with",
        ),
    ] {
        let places = [
            ("digits", digits()),
            ("images", images.clone()),
            ("broken", broken.clone()),
            ("cut", cut.clone()),
            ("empty", empty.clone()),
        ];
        let places: Vec<(&str, &Path)> = places.iter().map(|(k, v)| (*k, v.as_path())).collect();
        let done = mote(line, &places);
        assert_eq!(done.status, status, "{line}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{line}: {}", done.stderr);
    }
}

/// A network with learned variances has twice the channels: neither measured without them nor converted.
#[test]
fn learned_variances_are_refused_where_they_have_no_place() {
    let folder = folder();
    for part in [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ] {
        let to = folder.path().join(part);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(digits().join(part), &to).unwrap();
    }
    let scheduler = folder.path().join("scheduler/scheduler_config.json");
    let text = std::fs::read_to_string(&scheduler).unwrap();
    std::fs::write(
        &scheduler,
        text.replacen('{', "{\"variance_type\": \"learned_range\",", 1),
    )
    .unwrap();
    let out = folder.path().join("out");
    for (line, word) in [
        ("convert {folder} -o {out}", "learned_range"),
        ("eval {folder} --sampler ddpm -o {out}", "1 channels for 1"),
    ] {
        let done = mote(line, &[("folder", folder.path()), ("out", &out)]);
        assert_eq!(done.status, 1, "{line}: {}", done.stderr);
        assert!(done.stderr.contains(word) && !out.exists(), "{line}: {}", done.stderr);
    }
}
