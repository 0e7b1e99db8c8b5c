//! A model file that is cut in two.

use crate::common::{folder, mote_in};
use mote_engine::memory::AlignedBytes;
use mote_runtime::Model;

#[test]
fn a_file_is_cut_and_says_what_it_takes() {
    let dir = folder();
    let dir = dir.path();
    let cut = mote_in(
        dir,
        "split {model} -o {dir}/s.mote --board stm32f405rg --channels 4 --json",
    )
    .json();
    let part = AlignedBytes::copy_of(&std::fs::read(dir.join("s.mote")).unwrap());
    let weights = std::fs::read(dir.join("s.weights")).unwrap();
    let model = Model::parse_apart(part.bytes()).unwrap();
    assert_eq!(model.weights_apart().unwrap()[0] as usize, weights.len());
    assert_eq!(cut["weight_bytes"], weights.len());
    assert!(cut["buffer_bytes"].as_u64() > cut["least_buffer_bytes"].as_u64());
    assert!(cut["step"]["bytes_per_step"].as_u64().unwrap() <= weights.len() as u64);
    assert_eq!(cut["step"]["kind"], "modelled");
    let said = mote_in(dir, "split {model} -o {dir}/t.mote --weights {dir}/u.weights").stdout;
    assert!(said.contains("for 8 channels a block"), "{said}");
    assert_eq!(std::fs::read(dir.join("u.weights")).unwrap(), weights);
    // What was cut is opened by firmware alone.
    for (line, status, word) in [
        ("inspect {dir}/s.mote", 1, "the weights lie in another file"),
        (
            "split {dir}/s.mote -o {dir}/v.mote",
            1,
            "the weights lie in another file",
        ),
        ("split {model} -o {dir}/v.bin", 2, "what is written is .mote"),
        (
            "split {model} -o {dir}/v.mote --weights {dir}/v.bin",
            2,
            "what is written is .weights",
        ),
        ("split {model} -o {dir}/v.mote --speed 10", 2, "--speed without a board"),
        (
            "split {model} -o {dir}/v.mote --board stm32f405rg --speed 0",
            2,
            "--speed 0 is no speed",
        ),
        ("split {model} -o {dir}/v.mote --channels 0", 2, "0"),
    ] {
        let done = mote_in(dir, line);
        assert_eq!(done.status, status, "{line}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(word), "{line}: {}", done.stderr);
        assert!(!dir.join("v.mote").exists(), "{line}");
    }
}
