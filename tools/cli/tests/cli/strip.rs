//! Model files without names and provenance.

use crate::common::{folder, mote_in};

#[test]
fn a_stripped_file_is_shorter_gives_the_same_samples_and_says_what_is_missing() {
    let dir = folder();
    let dir = dir.path();
    let full = mote_in(dir, "convert {digits} -o {dir}/full.mote --scheme w8a8 --json").json();
    let bare = mote_in(dir, "convert {digits} -o {dir}/bare.mote --scheme w8a8 --strip --json").json();
    let bytes = |found: &serde_json::Value| found["bytes"].as_u64().unwrap();
    assert!((3000..4000).contains(&(bytes(&full) - bytes(&bare))), "{full} {bare}");
    assert_eq!(bytes(&bare), std::fs::metadata(dir.join("bare.mote")).unwrap().len());
    assert_ne!(full["crc32"], bare["crc32"]);
    let digests = |file: &str| {
        let line = format!("sample {{dir}}/{file} -o {{dir}}/x.png --count 3 --steps 4 --json");
        mote_in(dir, &line).json()["digests"].clone()
    };
    assert_eq!(digests("bare.mote"), digests("full.mote"));
    // A planned file stays stripped.
    mote_in(dir, "plan {dir}/bare.mote -o {dir}/planned.mote --steps 4 --json").json();
    assert_eq!(digests("planned.mote"), digests("full.mote"));
    for (file, missing) in [("full.mote", 0), ("bare.mote", 2), ("planned.mote", 2)] {
        let found = mote_in(dir, &format!("inspect {{dir}}/{file} --json")).json();
        assert_eq!(found["left_out"].as_array().unwrap().len(), missing, "{file}");
        let text = mote_in(dir, &format!("inspect {{dir}}/{file}"));
        assert_eq!(text.status, 0, "{}", text.stderr);
        assert_eq!(
            text.stdout.contains("names and provenance (`mote convert --strip`)"),
            missing > 0
        );
        assert_eq!(text.stdout.contains("not in the file"), missing > 0);
        assert!(missing == 0 || text.stdout.contains("operator 3"), "{}", text.stdout);
    }
}
