//! A chain of 2015 from training to a model file and its samples.

use crate::common::{folder, has_keys, listing, mote};

#[test]
fn a_heartbeat_is_trained_measured_converted_and_sampled() {
    let place = folder();
    let (chain, model, picture) = (
        place.path().join("hb"),
        place.path().join("hb.mote"),
        place.path().join("s.png"),
    );
    let places = [("chain", chain.as_path()), ("model", &model), ("picture", &picture)];
    let trained = mote(
        "train --preset heartbeat -o {chain} --minutes 0.05 --seed 3 --json",
        &places,
    )
    .json();
    assert_eq!(
        (&trained["preset"], &trained["steps"]),
        (&"heartbeat".into(), &2000.into())
    );
    assert_eq!(
        listing(&chain),
        ["chain.json", "chain.safetensors", "report.html", "samples.png"]
    );
    let measured = mote("eval {chain} --draws 20 --samples 200 --json", &places).json();
    has_keys(
        &measured,
        &[
            "k_bits",
            "l_null_bits",
            "terms",
            "valid_fraction",
            "standard_error_bits",
        ],
    );
    assert!((measured["l_null_bits"].as_f64().unwrap() + 14.4386).abs() < 5e-5);
    // Seconds of training are far from enough, and yet worth more than the prior.
    assert!(measured["k_bits"].as_f64().unwrap() > -14.0, "{measured}");
    let converted = mote("convert {chain} -o {model} --board microbit --json", &places).json();
    assert_eq!(converted["scheme"], "w8a16");
    assert_eq!(converted["board"]["fits"], true);
    let again = mote("convert {chain} -o {model} --json", &places).json();
    assert_eq!(again["sha256"], converted["sha256"]);
    let sampled = mote("sample {model} -o {picture} --count 3 --steps 100 --json", &places).json();
    assert_eq!(sampled["digests"].as_array().unwrap().len(), 3);
    let line = "validate {model} --backends cpu,portable --seeds 2 --oracle-seeds 1 --steps 100 --json";
    assert_eq!(mote(line, &places).json()["held"], true);
    let known = format!("--known 1,0,?,1{} --steps 100", ",?".repeat(16));
    let line = format!("validate {{model}} {known} --known-noise 0.15 --backends cpu,portable --seeds 2 --json");
    assert_eq!(mote(&line, &places).json()["held"], true);
    let line = format!("sample {{model}} -o {{picture}} {known} --count 8 --columns 1 --json");
    mote(&line, &places).json();
    let picture = mote_tools::images::decode(&std::fs::read(&picture).unwrap()).unwrap();
    assert_eq!((picture.width, picture.height), (20, 8));
    assert!(
        picture
            .data
            .chunks(20)
            .all(|beat| [beat[0], beat[1], beat[3]] == [255, 0, 255])
    );
    for kind in ["input", "conv", "silu", "readout", "sampler"] {
        let line = format!("validate {{model}} --backends cpu --seeds 1 --steps 100 --inject-fault {kind} --json");
        let found = mote(&line, &places).any_json();
        let broken = format!("oracle (broken {kind})");
        let mut backends = found["backends"].as_array().unwrap().iter();
        let outcome = backends.find(|backend| backend["name"] == *broken).unwrap();
        let operator = outcome["first_divergence"]["operator"].as_str();
        assert!(operator.is_some_and(|operator| operator.contains(kind)), "{outcome}");
        assert_eq!(found["held"], false, "{kind}");
    }
    let absent = mote(
        "validate {model} --backends cpu --seeds 1 --steps 9 --inject-fault attention",
        &places,
    );
    assert!(
        absent.status != 0 && absent.stderr.contains("'attention'"),
        "{}",
        absent.stderr
    );
}

#[test]
fn options_of_a_chain_do_what_they_say_or_are_refused() {
    let place = folder();
    let (chain, model, picture) = (
        place.path().join("roll"),
        place.path().join("r.mote"),
        place.path().join("s.png"),
    );
    let places = [("chain", chain.as_path()), ("model", &model), ("picture", &picture)];
    for option in [
        "--fit microbit",
        "--ema 0.9",
        "--shift 1",
        "--prediction sample",
        "--data x.npz",
    ] {
        let line = format!("train --preset swiss-roll -o {{chain}} {option}");
        let refused = mote(&line, &places);
        let name = option.split(' ').next().unwrap();
        assert!(
            refused.status == 2 && refused.stderr.contains(name),
            "{option}: {}",
            refused.stderr
        );
    }
    assert!(!chain.exists());
    let taken = mote(
        "train --preset swiss-roll -o {place} --steps 1",
        &[("place", place.path())],
    );
    assert_eq!(taken.status, 0, "an empty folder is free: {}", taken.stderr);
    let line = "train --preset swiss-roll -o {chain} --steps 3 --batch 2 --lr 0.5 --seed 4 --json";
    assert_eq!(mote(line, &places).json()["updates"], 3);
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(chain.join("chain.json")).unwrap()).unwrap();
    let options = &facts["training"]["options"];
    assert_eq!(
        (
            &options["updates"],
            &options["points"],
            &options["rate"],
            &options["seed"]
        ),
        (&3.into(), &2.into(), &0.5.into(), &4.into())
    );
    let refused = mote("convert {chain} -o {model} --scheme w8a8", &places);
    assert!(
        refused.status != 0 && refused.stderr.contains("w16a16"),
        "{}",
        refused.stderr
    );
    mote("convert {chain} -o {model} --json", &places).json();
    for option in [
        "--eta 0.5",
        "--clip stock",
        "--clip off",
        "--spacing quadratic",
        "--prev diffusers",
        "--sampler heun",
    ] {
        let refused = mote(&format!("sample {{model}} -o {{picture}} {option}"), &places);
        let name = option.split(' ').next().unwrap();
        assert!(
            refused.status != 0 && refused.stderr.contains(name),
            "{option}: {}",
            refused.stderr
        );
    }
    assert!(!picture.exists());
}

#[test]
fn a_swiss_roll_is_trained_measured_converted_and_sampled() {
    let place = folder();
    let (chain, model, picture) = (
        place.path().join("roll"),
        place.path().join("r.mote"),
        place.path().join("s.png"),
    );
    let places = [("chain", chain.as_path()), ("model", &model), ("picture", &picture)];
    mote("train --preset swiss-roll -o {chain} --minutes 0.05 --json", &places).json();
    let measured = mote("eval {chain} --draws 200 --json", &places).json();
    assert!((measured["l_null_bits"].as_f64().unwrap() + 4.094).abs() < 5e-4);
    assert!(measured["valid_fraction"].is_null());
    mote("convert {chain} -o {model} --json", &places).json();
    let sampled = mote("sample {model} -o {picture} --count 50 --json", &places).json();
    assert_eq!(sampled["steps"], 40);
    // All of its steps where none are asked for, as `sample` takes them.
    assert_eq!(
        mote("bench {model} --backends portable --batch 1 --json", &places).json()["steps"],
        40
    );
    let digests = |options: &str| {
        let line = format!("sample {{model}} -o {{picture}} --count 3 {options} --json");
        mote(&line, &places).json()["digests"].clone()
    };
    // An infinite deviation says nothing; a first coordinate that is known says much.
    assert_eq!(digests("--known 0.5,? --known-noise inf"), digests(""));
    assert_ne!(digests("--known 0.5,? --known-noise 0.2"), digests(""));
    assert_eq!(digests("--known=-0.5,1 --backend oracle"), digests("--known=-0.5,1"));
    for (option, words) in [
        ("--known 0.5", "1 elements given"),
        ("--known 0.5,nan", "known value 1 is NaN"),
        ("--known 0.5,65", "between -64 and 64"),
        ("--known 0.5,x", "'x'"),
        ("--known ?,?", "says nothing"),
        ("--known 0.5,? --known-noise=-1", "--known-noise from 0"),
        ("--known 0.5,? --known-noise nan", "NaN"),
        ("--known 0.5,? --known-noise 300", "below 256"),
        ("--known-noise 0.1", "--known"),
    ] {
        let refused = mote(&format!("sample {{model}} -o {{picture}} {option}"), &places);
        assert!(
            refused.status != 0 && refused.stderr.contains(words),
            "{option}: {}",
            refused.stderr
        );
    }
    let refused = mote("sample {model} -o {picture} --steps 10", &places);
    assert!(
        refused.status != 0 && refused.stderr.contains("--steps 40"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_is_no_chain_is_refused() {
    let place = folder();
    let places = [("place", place.path())];
    let none = mote("eval {place}", &places);
    assert!(
        none.status == 1 && none.stderr.contains("holds neither unet/"),
        "{}",
        none.stderr
    );
    std::fs::write(
        place.path().join("chain.json"),
        "{\"preset\": \"heartbeat\", \"steps\": 2}",
    )
    .unwrap();
    let few = mote("eval {place}", &places);
    assert!(few.status == 1 && few.stderr.contains("'steps' is 2"), "{}", few.stderr);
    std::fs::write(
        place.path().join("chain.json"),
        "{\"preset\": \"heartbeat\", \"steps\": 20}",
    )
    .unwrap();
    std::fs::write(place.path().join("chain.safetensors"), [0; 9]).unwrap();
    let damaged = mote("eval {place}", &places);
    assert!(
        damaged.status == 1 && damaged.stderr.contains("chain.safetensors"),
        "{}",
        damaged.stderr
    );
}
