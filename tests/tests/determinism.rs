//! The same checkpoint and options give the same bytes: twice here, and the same on every machine.

use mote_tests::checkpoints::{converted, digits};
use mote_tools::quantize::scheme::Scheme;
use sha2::{Digest, Sha256};

/// SHA-256 of the converted `digits8-micro`. It moves with the numeric version, the file format, the quantizer and the converter's
/// version; it does not move with the machine, the number of threads or the day.
const GOLDEN: [(Scheme, &str); 4] = [
    (
        Scheme::W4A8,
        "cf1afadb884042028be71e9c65823b191ac29640b71c3dbfca6d0e6eaae7b7ba",
    ),
    (
        Scheme::F16,
        "17529a65df174455fbceddf753ed43283b808564dea5bbba2f55153f9665686c",
    ),
    (
        Scheme::W8A16,
        "eccce3a23cb2b75b0c7b24b830504e46a604d916ab2ca2fcc275ef13fcdca9c3",
    ),
    (
        Scheme::W8A8,
        "67b3e5a62dd5f85ab4a333589caceec16588dbb5e07730c70a952861ee5a187d",
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
