//! The same checkpoint and options give the same bytes: twice here, and the same on every machine.

use mote_tests::checkpoints::{converted, digits};
use mote_tools::quantize::scheme::Scheme;
use sha2::{Digest, Sha256};

/// SHA-256 of the converted `digits8-micro`. It moves with the numeric version, the file format, the quantizer and the converter's
/// version; it does not move with the machine, the number of threads or the day.
const GOLDEN: [(Scheme, &str); 4] = [
    (
        Scheme::W4A8,
        "1d1f781e01928618a15ed742c66477601aebf0fc9cdb9bb7c2ac47efee291f64",
    ),
    (
        Scheme::F16,
        "864bafac7321e9722187d4af243e2aada0a40f438447a7bde3009bf5e6c9d990",
    ),
    (
        Scheme::W8A16,
        "b94f81668b7946d8f986dc935135d0bca480a995a72f5b5e5139f79e066a7a87",
    ),
    (
        Scheme::W8A8,
        "a561f82f5553e2a7e3a69fec5bc54d0fbc5f66a7cc75bfe61f9aaf8b3bf53ac5",
    ),
];

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn conversion_gives_the_golden_bytes() {
    let found = GOLDEN.map(|(scheme, _)| (scheme, sha256(&converted(&digits(), scheme).emitted.bytes)));
    let found = found.each_ref().map(|(scheme, sha)| (*scheme, sha.as_str()));
    assert_eq!(found, GOLDEN);
}

#[test]
fn conversion_twice_gives_the_same_bytes_on_one_thread_and_on_several() {
    same_bytes(Scheme::Auto);
}

#[test]
fn rounding_by_reconstruction_gives_the_same_bytes_on_one_thread_and_on_several() {
    same_bytes(Scheme::W4A16);
}

fn same_bytes(scheme: Scheme) {
    let convert = || converted(&digits(), scheme).emitted.bytes;
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads start")
    };
    let (one, several) = (pool(1).install(convert), pool(5).install(convert));
    assert!(one == several, "{} and {}", sha256(&one), sha256(&several));
}
