//! Two model files beside each other.

use crate::common::{folder, model, mote, mote_in};
use std::path::Path;

#[test]
fn what_differs_of_two_schemes_is_said_and_what_is_alike_is_not() {
    let dir = folder();
    let dir = dir.path();
    for scheme in ["w8a8", "w8a16"] {
        let done = mote_in(
            dir,
            &format!("convert {{digits}} -o {{dir}}/{scheme}.mote --scheme {scheme}"),
        );
        assert_eq!(done.status, 0, "{}", done.stderr);
    }
    let found = mote_in(dir, "diff {dir}/w8a8.mote {dir}/w8a16.mote --seeds 3 --steps 5 --json").json();
    assert_eq!(found["same_bytes"], false);
    let fact = |what: &str| {
        let facts = found["facts"].as_array().unwrap();
        facts
            .iter()
            .find(|fact| fact["what"] == what)
            .map(|fact| fact["values"].clone())
    };
    assert_eq!(fact("scheme"), Some(serde_json::json!(["w8a8", "w8a16"])));
    assert!(fact("arena, bytes").is_some(), "{found}");
    assert_eq!(fact("spacing"), None);
    let operators = found["operators"].as_array().unwrap();
    let narrowed = |operator: &&serde_json::Value| {
        (&operator["formats"][0]["output"], &operator["formats"][1]["output"]) == (&"int8".into(), &"int16".into())
    };
    assert!(operators.iter().any(|operator| narrowed(&operator)), "{found}");
    assert!(found["operators_alike"].as_u64().unwrap() > 0);
    let images = &found["images"];
    assert_eq!((&images["count"], &images["equal"]), (&3.into(), &0.into()));
    let (mean, least) = (
        images["psnr_db_mean"].as_f64().unwrap(),
        images["psnr_db_min"].as_f64().unwrap(),
    );
    assert!((20.0..90.0).contains(&least) && least <= mean, "{found}");
    let text = mote_in(dir, "diff {dir}/w8a8.mote {dir}/w8a16.mote --seeds 3 --steps 5").stdout;
    for word in ["scheme", "w8a16", "more are alike", "dB mean", "(seed "] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let dir = folder();
    let found = mote_in(dir.path(), "diff {model} {model} --seeds 2 --steps 3 --json").json();
    assert_eq!(found["same_bytes"], true);
    assert_eq!(
        (
            found["facts"].as_array().unwrap().len(),
            found["operators"].as_array().unwrap().len()
        ),
        (0, 0)
    );
    assert_eq!(
        (&found["images"]["equal"], &found["images"]["psnr_db_min"]),
        (&2.into(), &200.0.into())
    );
}

#[test]
fn images_of_other_shapes_are_refused_and_the_files_are_compared_without() {
    let dir = folder();
    let dir = dir.path();
    let lander = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/lander-policy");
    let places = [("model", model()), ("lander", lander.as_path()), ("dir", dir)];
    let done = mote("convert {lander} -o {dir}/lander.mote --scheme f16", &places);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let done = mote("diff {model} {dir}/lander.mote", &places);
    assert_eq!(done.status, 2, "{}", done.stderr);
    for word in ["16 x 2", "cannot be compared", "--seeds 0"] {
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
    let found = mote("diff {model} {dir}/lander.mote --seeds 0 --json", &places).json();
    assert!(found["images"].is_null() && !found["facts"].as_array().unwrap().is_empty());
}
