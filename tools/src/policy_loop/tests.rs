//! The loops of small folders, with numbers that are worked out by hand.

use super::*;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::fs::write;
use tempfile::{TempDir, tempdir};

/// `config.json` of LeRobot with these modes.
fn config(state: &str, action: &str) -> String {
    format!(
        r#"{{"type": "diffusion", "n_obs_steps": 3, "horizon": 12, "n_action_steps": 6, "num_inference_steps": 7,
            "input_features": {{"observation.environment_state": {{"type": "ENV", "shape": [1]}},
                                "observation.state": {{"type": "STATE", "shape": [2]}}}},
            "output_features": {{"action": {{"type": "ACTION", "shape": [1]}}}},
            "normalization_mapping": {{"STATE": "{state}", "ACTION": "{action}"}}}}"#
    )
}

/// Writes tensors of f32.
fn tensors(file: &Path, given: &[(&str, &[f32])]) {
    let bytes: Vec<(String, Vec<u8>, usize)> = given
        .iter()
        .map(|(key, numbers)| {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            ((*key).to_owned(), bytes, numbers.len())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(key, bytes, count)| (key.clone(), TensorView::new(Dtype::F32, vec![*count], bytes).unwrap()));
    serialize_to_file(views, None, file).unwrap();
}

fn folder(config: &str, weights: &[(&str, &[f32])]) -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path().join("config.json"), config).unwrap();
    tensors(&folder.path().join("model.safetensors"), weights);
    folder
}

const OLD: [(&str, &[f32]); 4] = [
    ("normalize_inputs.buffer_observation_state.min", &[0.0, -2.0]),
    ("normalize_inputs.buffer_observation_state.max", &[4.0, -2.0]),
    ("unnormalize_outputs.buffer_action.mean", &[3.0]),
    ("unnormalize_outputs.buffer_action.std", &[0.5]),
];

#[test]
fn statistics_beside_the_weights() {
    let folder = folder(&config("MIN_MAX", "MEAN_STD"), &OLD);
    let found = PolicyLoop::read(folder.path()).unwrap();
    assert_eq!((found.n_obs_steps, found.horizon, found.n_action_steps), (3, 12, 6));
    assert_eq!(found.steps, Some(7));
    // State first, whatever the order in the file; an environment's state stays as it is.
    assert_eq!(found.obs.low, [0.0, -2.0, -1.0]);
    assert_eq!(found.obs.high, [4.0 + 1e-8, -2.0 + 1e-8, 1.0]);
    assert_eq!((found.action.low, found.action.high), (vec![2.5], vec![3.5]));
    assert!(!found.obs.bounded && !found.action.bounded);
}

#[test]
fn statistics_of_processors() {
    let folder = folder(&config("QUANTILES", "MIN_MAX"), &[("other", &[0.0])]);
    let says = |name: &str, step: &str, file: &str| {
        let text = format!(
            r#"{{"steps": [{{"registry_name": "x"}}, {{"registry_name": "{step}", "state_file": "{file}"}}]}}"#
        );
        write(folder.path().join(name), text).unwrap();
    };
    says("policy_preprocessor.json", "normalizer_processor", "a.safetensors");
    says("policy_postprocessor.json", "unnormalizer_processor", "b.safetensors");
    let state: [(&str, &[f32]); 2] = [
        ("observation.state.q01", &[1.0, 2.0]),
        ("observation.state.q99", &[1.0, 4.0]),
    ];
    tensors(&folder.path().join("a.safetensors"), &state);
    tensors(
        &folder.path().join("b.safetensors"),
        &[("action.min", &[-3.0]), ("action.max", &[5.0])],
    );
    let found = PolicyLoop::read(&folder.path().join("config.json")).unwrap();
    assert_eq!(
        (found.obs.low, found.obs.high),
        (vec![1.0, 2.0, -1.0], vec![1.0 + 1e-8, 4.0, 1.0])
    );
    assert_eq!((found.action.low, found.action.high), (vec![-3.0], vec![5.0]));
    assert!(found.action.bounded);
}

#[test]
fn what_is_not_there_is_named() {
    let refused = |config: &str, weights: &[(&str, &[f32])], says: &str| {
        let folder = folder(config, weights);
        let error = PolicyLoop::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.advice().is_some(), "{error}");
    };
    refused(
        &config("MIN_MAX", "MIN_MAX"),
        &OLD,
        "MIN_MAX of action needs 1 numbers `min`",
    );
    refused(
        &config("MEAN_STD", "MEAN_STD"),
        &OLD,
        "MEAN_STD of observation.state needs 2 numbers `mean`",
    );
    refused(&config("LOG", "MEAN_STD"), &OLD, "`LOG` is not known");
    refused(
        &config("MIN_MAX", "MEAN_STD").replace("observation.env", "observation.image.env"),
        &OLD,
        "encoder",
    );
    refused(
        &config("MIN_MAX", "MEAN_STD").replace("12", "4"),
        &OLD,
        "do not fit a horizon of 4",
    );
    refused(
        &config("MIN_MAX", "MEAN_STD").replace("12", "0"),
        &OLD,
        "horizon: expected a whole number",
    );
    refused("{}", &OLD, "input_features");
    let nowhere = PolicyLoop::read(Path::new("no-such-folder")).unwrap_err();
    assert!(nowhere.to_string().contains("config.json"), "{nowhere}");
}

#[test]
fn ranges_of_the_configuration() {
    let text = r#"{"n_obs_steps": 1, "n_action_steps": 2, "horizon": 2, "obs_min": [0], "obs_max": [2.5], "action_min": [-1], "action_max": [1]}"#;
    let found = PolicyLoop::of_text(text).unwrap();
    assert_eq!((found.obs.high, found.steps), (vec![2.5], None));
    for wrong in [
        text.replace("2.5", "0"),
        text.replace("2.5", "\"a\""),
        text.replace("[2.5]", "[1, 2]"),
        text.replace("\"horizon\": 2", "\"horizon\": 1"),
    ] {
        assert!(PolicyLoop::of_text(&wrong).is_err(), "{wrong}");
    }
}
