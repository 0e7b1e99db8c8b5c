//! Small networks against the loops that wrote them; and what is refused.

use mote_graph::schedule::Prediction;
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::{Checkpoint, ImportError, import};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/importers/lucidrains")
        .join(name)
}

fn held(checkpoint: &Checkpoint, name: &str) {
    let report = crosscheck(checkpoint, &home(name).join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{name}: {report}");
}

/// The weights of a fixture with another `mote.json` beside them.
fn beside(name: &str, file: &str, manifest: &Value) -> Result<Checkpoint, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(home(name).join(file), folder.path().join(file)).unwrap();
    if home(name).join("config.json").is_file() {
        std::fs::copy(home(name).join("config.json"), folder.path().join("config.json")).unwrap();
    }
    std::fs::write(folder.path().join("mote.json"), manifest.to_string()).unwrap();
    import(folder.path())
}

fn refused(name: &str, file: &str, manifest: &Value, parts: &[&str]) {
    let text = beside(name, file, manifest).unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_signal_s_network_is_read_from_its_state_dictionary() {
    let checkpoint = import(&home("signal")).unwrap();
    assert_eq!(checkpoint.graph.sample_shape(), [1, 1, 12]);
    assert_eq!(checkpoint.scheduler.num_train_timesteps, 1000);
    assert_eq!(checkpoint.scheduler.prediction_type, Prediction::Epsilon);
    held(&checkpoint, "signal");
    // The file itself.
    assert!(import(&home("signal").join("model.safetensors")).unwrap().graph == checkpoint.graph);
}

#[test]
fn an_image_s_network_is_read_as_its_trainer_saves_it() {
    let checkpoint = import(&home("image")).unwrap();
    assert_eq!(checkpoint.graph.sample_shape(), [1, 4, 4]);
    // Fifty betas in the file, and what is predicted beside it.
    assert_eq!(checkpoint.scheduler.num_train_timesteps, 50);
    assert_eq!(checkpoint.scheduler.prediction_type, Prediction::Velocity);
    held(&checkpoint, "image");
}

#[test]
fn what_the_weights_do_not_say_is_asked_for_by_name() {
    let (signal, image) = ("model.safetensors", "model-7.pt");
    let schedule = json!({"kind": "sigmoid", "timesteps": 10, "objective": "pred_x0"});
    refused(
        "signal",
        signal,
        &json!({"format": 1, "schedule": schedule}),
        &["sample", "[1, LENGTH]"],
    );
    refused("image", image, &json!({"format": 1}), &["sample", "[1, ROWS, COLS]"]);
    refused(
        "image",
        image,
        &json!({"format": 1, "sample": [1, 4]}),
        &["sample", "[1, ROWS, COLS]"],
    );
    refused(
        "image",
        image,
        &json!({"format": 1, "sample": [1, 4, 4]}),
        &["schedule", "objective"],
    );
    refused(
        "signal",
        signal,
        &json!({"format": 1, "sample": [1, 12]}),
        &["scheduler_config.json"],
    );
    refused(
        "signal",
        signal,
        &json!({"format": 1, "sample": [1, 12], "schedule": {"objective": "pred_v"}}),
        &["schedule", "linear, cosine or sigmoid"],
    );
    refused(
        "signal",
        signal,
        &json!({"format": 1, "sample": [1, 12], "schedule": {"kind": "cosine"}}),
        &["schedule", "pred_noise"],
    );
    refused(
        "image",
        image,
        &json!({"format": 1, "sample": [1, 4, 4], "schedule": {"timesteps": 1000, "objective": "pred_v"}}),
        &["schedule", "50 betas"],
    );
    let read = beside(
        "signal",
        signal,
        &json!({"format": 1, "sample": [1, 16], "schedule": schedule}),
    );
    assert_eq!(read.unwrap().graph.sample_shape(), [1, 1, 16]);
}

#[test]
fn a_length_that_no_level_can_halve_is_refused() {
    let schedule = json!({"kind": "linear", "objective": "pred_noise"});
    let manifest = json!({"format": 1, "sample": [1, 13], "schedule": schedule});
    refused("signal", "model.safetensors", &manifest, &["sample", "multiples of 2"]);
}
