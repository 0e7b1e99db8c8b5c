//! All bundled models, all samplers that the page offers, eight seeds: the digests of a real browser are those of this machine.

use crate::driver::Browser;
use crate::{page_of, root};
use mote_runtime::{Config, Feature, Method};
use mote_tools::backend::Sampling;
use mote_tools::condition::Images;
use mote_tools::report::live::{Live, model_lacks};
use mote_tools::{Backend, Checkpoint, Conversion, Converted, Request, Scheme};
use serde_json::{Value, json};

const SEEDS: [u64; 8] = [0, 1, 2, 3, 5, 8, 13, u64::MAX];
const STEPS: u32 = 3;
/// Pictures, labels and guidance, signals, policies, a transformer; in every number format.
const MODELS: [(&str, Scheme); 13] = [
    ("tools/assets/fashion16-tiny", Scheme::W8A8),
    ("tests/data/digits8-micro", Scheme::W8A8),
    ("tests/data/digits8-micro", Scheme::W8A16),
    ("tests/data/digits8-micro", Scheme::W4A16),
    ("tests/data/digits8-micro", Scheme::F16),
    ("tests/data/lander-policy", Scheme::W8A8),
    ("tests/data/importers/policy", Scheme::W8A16),
    ("tests/data/importers/pipeline", Scheme::W8A8),
    ("tests/data/importers/dit", Scheme::W8A8),
    ("tests/data/importers/onnx/image", Scheme::W8A16),
    ("tests/data/importers/onnx/signal", Scheme::W8A8),
    ("tests/data/ecg", Scheme::W8A16),
    ("tests/data/importers/latent", Scheme::W8A8),
];

/// A run as the worker is asked for it, and its digest here.
type Run = (Value, String);

/// Every sampler that the page offers for the model, from every seed.
fn runs(converted: &Converted, live: &Live) -> Vec<Run> {
    let file = converted.file().unwrap();
    let request = Request {
        condition: converted.conditions.as_ref().map(|given| given.rows.clone()),
        ..Request::default()
    };
    let conditions = request.conditions(file.model(), SEEDS.len()).unwrap();
    let mut all = vec![];
    for (number, _) in &live.samplers {
        let config = Config {
            method: Method::ALL[*number],
            class: (live.classes > 0).then_some(0),
            ..Config::of(file.model().header(), STEPS)
        };
        let images = Images {
            seeds: &SEEDS,
            conditions: &conditions,
        };
        let sampling = Sampling::of_images(config, images);
        let traces = Backend::Cpu.run(file.opened(), &sampling, &|| ()).unwrap();
        for (trace, image) in traces.iter().zip(&sampling.images) {
            let asked = json!({
                "seed": image.seed.to_string(), "steps": STEPS, "sampler": number, "class_label": config.class,
                "condition": image.condition.as_deref(),
            });
            all.push((without_nulls(asked), format!("{:016x}", trace.digest())));
        }
    }
    all
}

/// The worker sets every field that is there.
fn without_nulls(mut value: Value) -> Value {
    value.as_object_mut().unwrap().retain(|_, field| !field.is_null());
    value
}

#[test]
fn every_model_sampler_and_seed_has_this_machine_s_digest() {
    let Some(browser) = Browser::or_skipped() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut names, mut asked, mut expected, mut page) = (vec![], vec![], vec![], None);
    for (path, scheme) in MODELS {
        let checkpoint = Checkpoint::open(root(path)).unwrap();
        let converted = Conversion::new(scheme).convert(&checkpoint).unwrap();
        let file = converted.file().unwrap();
        let Some(live) = Live::of(file.model(), file.bytes(), STEPS) else {
            // The decoder's code is left out of the page's module, which stays small.
            assert_eq!(
                (path, model_lacks(file.model())),
                ("tests/data/importers/latent", Some(Feature::Decoder))
            );
            continue;
        };
        page.get_or_insert_with(|| page_of(&converted, &checkpoint, folder.path()));
        let all = runs(&converted, &live);
        // Noise levels that are continuous have samplers of their own.
        let least = if file.model().header().prediction.levels().are_continuous() {
            2
        } else {
            4
        };
        assert!(live.samplers.len() >= least, "{path}: {:?}", live.samplers);
        names.push(format!("{path} {scheme}"));
        asked.push(json!({ "model": base64(file.bytes()), "runs": all.iter().map(|run| &run.0).collect::<Vec<_>>() }));
        expected.push(all);
    }
    browser.open(&page.unwrap());
    browser.execute(include_str!("matrix.js"), json!([asked]));
    let found = browser.until(|browser| {
        let found = browser.run("return document.documentElement.dataset.moteMatrix || null");
        found.as_str().map(str::to_owned)
    });
    let found: Vec<Vec<String>> = serde_json::from_str(&found).unwrap_or_else(|_| panic!("{found}"));
    assert_eq!(found.len(), expected.len());
    let (mut count, mut mismatches) = (0, vec![]);
    for ((name, runs), found) in names.iter().zip(&expected).zip(&found) {
        assert_eq!(runs.len(), found.len(), "{name}");
        count += runs.len();
        let pairs = runs.iter().zip(found);
        mismatches.extend(
            pairs
                .filter(|((_, digest), found)| digest != *found)
                .map(|((run, _), _)| format!("{name}: {run}")),
        );
    }
    println!(
        "{count} runs of {} models in Chromium, {} mismatches",
        names.len(),
        mismatches.len()
    );
    assert!(
        count >= names.len() * 16 && mismatches.is_empty(),
        "{}",
        mismatches.join("\n")
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, i| word << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = char::from(DIGITS[word >> (18 - 6 * i) & 63]);
            text.push(if i > chunk.len() { '=' } else { digit });
        }
    }
    text
}
