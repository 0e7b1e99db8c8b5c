//! A policy from its float graph to an emulated chip: calibrated, converted, sampled and compared on real conditions.

use std::path::PathBuf;

use mote_tests::boards::board;
use mote_tests::policy::{ACTIONS, OBSERVATIONS, observations, policy};
use mote_tools::{
    Backend, Conditions, Conversion, ErrorKind, FloatDevice, ModelFile, Request, RunOptions, Scheme, Validation,
};

/// A file of observations for as long as it is held.
fn demos() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demos.npy");
    std::fs::write(&path, observations(40)).expect("it is written");
    (folder, path)
}

fn request(path: &std::path::Path) -> Request {
    Request {
        run: RunOptions {
            steps: Some(10),
            ..RunOptions::default()
        },
        condition: Some(Conditions::parse(path.display().to_string()).expect("the file is read")),
        ..Request::default()
    }
}

fn converted(scheme: Scheme, path: &std::path::Path) -> ModelFile {
    let converted = Conversion::new(scheme).convert(&policy(Some(path)));
    converted
        .and_then(|made| made.file())
        .unwrap_or_else(|error| panic!("{scheme}: {error}"))
}

/// Mean PSNR of the actions over 8 noises and conditions, dB: some dB below what was found (72.2, 40.2, 57.7, 59.6, 34.2; `--nocapture` shows it).
#[test]
fn every_scheme_keeps_the_float_network_s_actions() {
    let (_folder, path) = demos();
    let checkpoint = policy(Some(&path));
    for (scheme, least) in [
        (Scheme::F16, 66.0),
        (Scheme::W8A8, 37.0),
        (Scheme::W8A16, 53.0),
        (Scheme::Auto, 54.0),
        (Scheme::W4A16, 30.0),
    ] {
        let file = converted(scheme, &path);
        let compared = file
            .compare(&checkpoint, &request(&path), 8, FloatDevice::Cpu)
            .unwrap_or_else(|error| panic!("{scheme}: {error}"));
        println!("{scheme}: {:.1} dB", compared.x0_psnr_db_mean);
        assert!(compared.held(Some(least)), "{scheme}: {} dB", compared.x0_psnr_db_mean);
    }
}

#[test]
fn backends_agree_on_every_observation() {
    let (_folder, path) = demos();
    for scheme in [Scheme::W8A8, Scheme::F16] {
        let file = converted(scheme, &path);
        let mut backends = vec![Backend::Oracle(None), Backend::Cpu, Backend::Portable];
        if let Some(board) = board("netduinoplus2") {
            backends.push(Backend::Board(board, mote_firmware_sim::Firmware::Fast));
        }
        let validation = Validation {
            request: request(&path),
            seeds: 3,
            backends,
            ..Validation::default()
        };
        let outcomes = file.validate(&validation).expect("it can be run");
        for outcome in &outcomes {
            assert!(
                outcome.held && outcome.mismatches == 0 && outcome.images == 3,
                "{outcome:?}"
            );
        }
        assert!(outcomes.len() >= 3);
    }
}

/// A row an image; where there are no more rows there are no more images.
#[test]
fn images_follow_the_rows() {
    let (_folder, path) = demos();
    let file = converted(Scheme::W8A16, &path);
    let all = file.sample(&request(&path)).expect("it runs");
    assert_eq!((all.len(), all[0].state.len()), (40, ACTIONS.iter().product()));
    let alone = |row: usize| Request {
        condition: Some(
            Conditions::new(
                "one",
                OBSERVATIONS,
                request(&path).condition.expect("rows").row(row).to_vec(),
            )
            .expect("a row"),
        ),
        seed: row as u64,
        ..request(&path)
    };
    for row in [0, 7, 39] {
        let one = file.sample(&alone(row)).expect("it runs");
        assert_eq!((one.len(), &one[0].state), (1, &all[row].state), "row {row}");
    }
    let more = Request {
        count: Some(41),
        ..request(&path)
    };
    let error = file.sample(&more).unwrap_err();
    assert!(error.to_string().contains("holds 40 rows"), "{error}");
}

#[test]
fn what_is_missing_is_asked_for_by_name() {
    let (_folder, path) = demos();
    let f16 = Conversion::new(Scheme::F16);
    // Without vectors: drawn, with a note.
    let drawn = Conversion::new(Scheme::W8A8)
        .convert(&policy(None))
        .expect("it converts");
    let note = drawn.conditions.and_then(|given| given.note).unwrap_or_default();
    assert!(note.contains("--calibration"), "{note}");
    let real = f16.convert(&policy(Some(&path))).expect("it converts");
    assert_eq!(real.conditions.and_then(|given| given.note), None);
    // Without a range, and with vectors of another length or of nothing.
    let mut without = policy(Some(&path));
    if let Some(condition) = &mut without.graph.condition {
        condition.range = None;
    }
    let error = f16.convert(&without).unwrap_err();
    let advice = error.advice().unwrap_or_default();
    assert!(
        error.to_string().contains("range") && advice.contains("--condition-range"),
        "{error}: {advice}"
    );
    assert!(advice.contains("the vectors for calibration lie from -0."), "{advice}");
    for wrong in ["1,2,3", "no/such/file.npz:cond"] {
        let mut wrongly = policy(None);
        wrongly.calibration = Some(wrong.into());
        assert_eq!(f16.convert(&wrongly).unwrap_err().kind(), ErrorKind::Input, "{wrong}");
    }
    // A run without, and an image model with a condition.
    let file = converted(Scheme::F16, &path);
    let none = Request {
        condition: None,
        ..request(&path)
    };
    let error = file.sample(&none).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("conditioned on 6 numbers"), "{error}");
    let digits = mote_tests::checkpoints::checkpoint(&mote_tests::checkpoints::digits());
    let digits = f16.convert(&digits).and_then(|made| made.file()).expect("it converts");
    let error = digits.sample(&request(&path)).unwrap_err();
    assert!(error.to_string().contains("takes none"), "{error}");
    let facts = &file.inspect()["condition"];
    assert_eq!(facts["length"], OBSERVATIONS);
    assert_eq!(facts["range"], serde_json::json!([-1.0, 1.0]));
}
