//! The fixture checkpoint holds, and a reference that is wrong is noticed.

use super::{CrosscheckError, Dtype, Quantity, crosscheck};
use crate::import::{Checkpoint, ImportError, import};
use mote_graph::schedule::{SchedulerConfig, Variance};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Element, SafeTensors, serialize_to_file};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/digits8-micro")
}

fn checkpoint() -> Checkpoint {
    import(&fixture()).unwrap()
}

#[test]
fn the_fixture_holds_in_both_types() {
    let checkpoint = checkpoint();
    assert_eq!(
        (checkpoint.name.as_str(), checkpoint.graph.param_count()),
        ("digits8-micro", 38_341)
    );
    assert_eq!(checkpoint.graph.macs(), 1_083_456);
    for dtype in [Dtype::F32, Dtype::F64] {
        let report = crosscheck(&checkpoint, &fixture().join("vectors.safetensors"), dtype).unwrap();
        assert!(report.held, "{report}");
        assert_eq!(report.unused, [""; 0]);
        assert_eq!(report.layers.len(), 24);
        let exact =
            |row: &&super::Comparison| row.quantity == Quantity::Schedule && row.reference == super::Reference::F32;
        assert!(
            report
                .comparisons
                .iter()
                .filter(exact)
                .all(|row| row.max_abs_err == 0.0),
            "{report}"
        );
        let limit = if dtype == Dtype::F64 { 1e-12 } else { 1e-4 };
        assert!(
            report.forward_max_abs_err.unwrap() < limit && report.x0_max_abs_err.unwrap() < limit,
            "{report}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["layers"][0]["max_abs_err"].is_f64() && json["model"].is_null() && json["dtype"].is_string());
    }
}

/// Runs of diffusers' `DDPMScheduler` down lists that DDIM's subtraction does not give, with both variances that are fixed.
#[test]
fn ancestral_runs_are_those_of_diffusers() {
    let data = fixture().join("../schedulers/ddpm");
    for (name, large) in [("linspace", false), ("trailing", false), ("velocity", true)] {
        let text = std::fs::read_to_string(data.join(name).with_extension("json")).unwrap();
        let scheduler = SchedulerConfig::parse(name, &text).unwrap();
        let note = "`variance_type` is fixed_large, which no model file holds: sample with --sampler ddpm --variance large for it";
        assert_eq!(scheduler.notes, [note][..usize::from(large)]);
        let with = |scheduler| Checkpoint {
            scheduler,
            ..checkpoint()
        };
        let vectors = data.join(name).with_extension("safetensors");
        let report = crosscheck(&with(scheduler.clone()), &vectors, Dtype::F64).unwrap();
        assert!(report.held && report.comparisons.len() == 2, "{name}: {report}");
        let variance = if large {
            Variance::FixedSmall
        } else {
            Variance::FixedLarge
        };
        let other = with(SchedulerConfig { variance, ..scheduler });
        assert!(!crosscheck(&other, &vectors, Dtype::F64).unwrap().held, "{name}");
    }
}

#[test]
fn the_unet_folder_is_the_same_checkpoint() {
    let (whole, part) = (checkpoint(), import(&fixture().join("unet")).unwrap());
    assert_eq!(
        (whole.graph, whole.sha256, whole.name),
        (part.graph, part.sha256, part.name)
    );
}

/// Writes the fixture's references with `change` made to one tensor's bytes; keeps only `keys`.
fn altered(name: &str, keys: &[&str], change: impl Fn(&str, &mut Vec<u8>)) -> PathBuf {
    let bytes = std::fs::read(fixture().join("vectors.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<(String, Element, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .filter(|(key, _)| keys.contains(&key.as_str()))
        .map(|(key, view)| {
            let mut data = view.data().to_vec();
            change(&key, &mut data);
            (key, view.dtype(), view.shape().to_vec(), data)
        })
        .collect();
    let folder = std::env::temp_dir().join(format!("mote-crosscheck-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("vectors.safetensors");
    let views = tensors
        .iter()
        .map(|(key, dtype, shape, data)| (key, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, &path).unwrap();
    path
}

#[test]
fn a_wrong_reference_is_not_held() {
    for (name, value) in [("off", 0.01f32), ("nan", f32::NAN)] {
        let path = altered(name, &["fwd.x", "fwd.t", "fwd.out"], |key, data| {
            if key == "fwd.out" {
                data[..4].copy_from_slice(&value.to_le_bytes());
            }
        });
        let report = crosscheck(&checkpoint(), &path, Dtype::F32).unwrap();
        assert!(!report.held && !report.comparisons[0].held);
        assert!(report.to_string().contains("NOT HELD"));
    }
}

#[test]
fn references_that_cannot_be_used_are_named() {
    let run = |path: &Path| crosscheck(&checkpoint(), path, Dtype::F32).unwrap_err();
    let missing = run(&altered("no-x", &["fwd.t", "fwd.out"], |_, _| {}));
    assert!(matches!(missing, CrosscheckError::Missing { needs, .. } if needs == "fwd.x"));
    let pair = run(&altered("no-pair", &["fwd.x", "fwd.t", "layer.conv_in"], |_, _| {}));
    assert!(matches!(pair, CrosscheckError::Missing { needs, .. } if needs.starts_with("layer_pair_index")));
    assert!(matches!(
        run(&altered("inputs", &["fwd.x", "noise"], |_, _| {})),
        CrosscheckError::Nothing { .. }
    ));
    let negative = altered("t", &["fwd.x", "fwd.t", "fwd.out"], |key, data| {
        if key == "fwd.t" {
            data.fill(0xff);
        }
    });
    assert!(matches!(run(&negative), CrosscheckError::Value { .. }));
    assert!(matches!(run(Path::new("no/such/file")), CrosscheckError::Read { .. }));
    assert!(matches!(
        run(&fixture().join("unet/config.json")),
        CrosscheckError::Container { .. }
    ));
}

#[test]
fn folders_that_are_no_checkpoint_are_refused() {
    assert!(matches!(
        import(Path::new("no/such/folder")),
        Err(ImportError::NotAFolder { .. })
    ));
    assert!(matches!(
        import(&fixture().join("scheduler")),
        Err(ImportError::NoUnet { .. })
    ));
    let lone = std::env::temp_dir().join(format!("mote-import-{}/unet", std::process::id()));
    std::fs::create_dir_all(&lone).unwrap();
    std::fs::copy(fixture().join("unet/config.json"), lone.join("config.json")).unwrap();
    let error = import(&lone).unwrap_err();
    assert!(
        matches!(&error, ImportError::NoScheduler { path } if path.ends_with("scheduler_config.json")),
        "{error}"
    );
    std::fs::create_dir_all(lone.join("../scheduler")).unwrap();
    assert!(matches!(import(&lone), Err(ImportError::Read { .. })));
    std::fs::copy(
        fixture().join("scheduler/scheduler_config.json"),
        lone.join("../scheduler/scheduler_config.json"),
    )
    .unwrap();
    assert!(
        matches!(import(&lone), Err(ImportError::Read { .. })),
        "the weights are missing"
    );
    std::fs::write(lone.join("diffusion_pytorch_model.bin"), b"x").unwrap();
    assert!(matches!(import(&lone), Err(ImportError::OtherWeights { .. })));
}
