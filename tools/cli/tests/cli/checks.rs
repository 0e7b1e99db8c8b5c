//! Checks hold where they should, and fail where they should.

use crate::common::{digits, fashion, folder, has_keys, images, model, mote, vectors};

#[test]
fn the_oracle_and_this_machine_agree_and_the_float_network_is_near() {
    let line = "validate {model} --backends oracle,cpu --against {digits} --steps 10 --seeds 2 --oracle-seeds 2 --json";
    let object = mote(line, &[("model", model()), ("digits", &digits())]).json();
    let backends = object["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 2);
    for backend in backends {
        has_keys(
            backend,
            &[
                "name",
                "available",
                "why",
                "images",
                "steps",
                "mismatches",
                "first_divergence",
                "digest",
            ],
        );
        assert_eq!(
            (&backend["images"], &backend["steps"], &backend["mismatches"]),
            (&2.into(), &10.into(), &0.into())
        );
    }
    assert_eq!(backends[0]["digest"], backends[1]["digest"]);
    let float = &object["float"];
    assert!(float["x0_psnr_db_mean"].as_f64().unwrap() > 40.0, "{float}");
    assert!(float["x0_psnr_db_min"].as_f64() <= float["x0_psnr_db_mean"].as_f64());
    // Of two images the 5th percentile is the worse one.
    assert_eq!(float["x0_psnr_db_p5"], float["x0_psnr_db_min"]);
    assert!([0, 1].contains(&float["worst_seed"].as_u64().unwrap()), "{float}");
    assert_eq!(float["eps_sqnr_db_by_step"].as_array().unwrap().len(), 10);
}

/// The worst image, and the float network's beside it, in the file and in the report.
#[test]
fn the_worst_image_stands_beside_the_float_network_s() {
    let dir = folder();
    let places = [("model", model()), ("digits", &*digits()), ("dir", dir.path())];
    let line = "validate {model} --backends cpu --against {digits} --steps 3 --seeds 3 --worst {dir}/worst.png --json";
    let float = mote(line, &places).json()["float"].clone();
    let picture = mote_tools::images::decode(&std::fs::read(dir.path().join("worst.png")).unwrap()).unwrap();
    assert_eq!((picture.width, picture.height, picture.channels), (2 * 8 * 8, 8 * 8, 1));
    // The halves are near each other, and the left one is what `sample` draws of that seed.
    let seed = float["worst_seed"].as_u64().unwrap();
    let line = format!("sample {{model}} --seed {seed} --count 1 --steps 3 --zoom 8 -o {{dir}}/here.png");
    assert_eq!(mote(&line, &places).status, 0);
    let here = mote_tools::images::decode(&std::fs::read(dir.path().join("here.png")).unwrap()).unwrap();
    for (both, alone) in picture.data.chunks(picture.width).zip(here.data.chunks(here.width)) {
        let (left, right) = both.split_at(here.width);
        assert_eq!(left, alone);
        assert!(left.iter().zip(right).all(|(a, b)| a.abs_diff(*b) < 32));
    }
    let refused = mote("validate {model} --against {digits} --worst {model}", &places);
    assert!(
        refused.status == 2 && refused.stderr.contains("both input and output"),
        "{}",
        refused.stderr
    );
    let refused = mote("validate {model} --worst {dir}/w.png", &places);
    assert!(
        refused.status == 2 && refused.stderr.contains("--against"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_fault_is_found_and_its_operator_is_named() {
    let faulty = |kind: &str| {
        let line = format!("validate {{model}} --backends cpu --inject-fault {kind} --steps 3 --seeds 1 --json");
        let done = mote(&line, &[("model", model())]);
        assert_eq!(done.status, 1);
        done.any_json()["backends"][2].clone()
    };
    let conv = faulty("conv");
    assert_eq!(conv["mismatches"], 3);
    let first = &conv["first_divergence"];
    assert_eq!((&first["seed"], &first["step"]), (&0.into(), &0.into()));
    assert!(first["operator"].as_str().unwrap().contains("(conv"), "{first}");
    assert_eq!(faulty("sampler")["first_divergence"]["operator"], "sampler");
}

/// A fault in what the model does not have cannot be found, so it is refused.
#[test]
fn a_fault_must_be_one_that_can_be_found() {
    let line = "validate {model} --backends cpu --inject-fault attention --steps 2 --seeds 1";
    let done = mote(line, &[("model", model())]);
    assert_eq!(done.status, 2, "{}", done.stderr);
    for word in ["no operator of kind 'attention'", "choose one of", "sampler"] {
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
}

/// A network that became NaN is near nothing.
#[test]
fn a_network_without_numbers_holds_nothing() {
    use safetensors::SafeTensors;
    let dir = folder();
    let broken = dir.path().join("broken");
    for sub in ["unet", "scheduler"] {
        std::fs::create_dir_all(broken.join(sub)).unwrap();
    }
    for file in ["unet/config.json", "scheduler/scheduler_config.json"] {
        std::fs::copy(digits().join(file), broken.join(file)).unwrap();
    }
    let name = "unet/diffusion_pytorch_model.safetensors";
    let mut bytes = std::fs::read(digits().join(name)).unwrap();
    let at = {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.tensor("conv_in.weight").unwrap().data();
        data.as_ptr() as usize - bytes.as_ptr() as usize
    };
    bytes[at..at + 4].copy_from_slice(&3e38f32.to_le_bytes());
    std::fs::write(broken.join(name), bytes).unwrap();
    let places = [("model", model()), ("broken", &*broken)];
    for options in ["", "--min-psnr -200", "--min-psnr 60"] {
        let line =
            format!("validate {{model}} --backends cpu --against {{broken}} --steps 3 --seeds 1 --json {options}");
        let done = mote(&line, &places);
        assert_eq!(done.status, 1, "{options}: {}", done.stdout);
        let float = &done.any_json()["float"];
        assert_eq!(
            (&float["not_finite"], &float["x0_psnr_db_min"]),
            (&1.into(), &(-200.0).into())
        );
    }
    let text = mote(
        "validate {model} --backends cpu --against {broken} --steps 3 --seeds 1",
        &places,
    )
    .stdout;
    assert!(
        text.contains("not finite in 1 images") && text.contains("NOT HELD"),
        "{text}"
    );
}

#[test]
fn a_quality_that_was_asked_for_is_held_to() {
    let line = "validate {model} --backends cpu --against {digits} --steps 5 --seeds 1 --min-psnr";
    let places = [("model", model()), ("digits", &*digits())];
    assert_eq!(mote(&format!("{line} 20"), &places).status, 0);
    assert_eq!(mote(&format!("{line} -1"), &places).status, 0);
    assert_eq!(mote(&format!("{line} 190"), &places).status, 1);
}

#[test]
fn a_backend_that_was_asked_for_must_be_there() {
    if mote("boards --json", &[]).json()["cuda"]["available"] == true {
        eprintln!("SKIPPED: a backend that is missing: there is a GPU");
        return;
    }
    let done = mote(
        "validate {model} --backends cuda --steps 2 --seeds 1 --json",
        &[("model", model())],
    );
    assert_eq!(done.status, 1);
    let object = done.any_json();
    let cuda = &object["backends"][2];
    assert_eq!((&cuda["name"], &cuda["available"]), (&"cuda".into(), &false.into()));
    assert!(cuda["why"].is_string());
}

#[test]
fn the_float_network_is_pytorch_s_and_the_model_is_near() {
    let line = "crosscheck {digits} {vectors} --dtype f32 --model {model} --json";
    let object = mote(
        line,
        &[("digits", &digits()), ("vectors", &vectors()), ("model", model())],
    )
    .json();
    assert_eq!(object["dtype"], "f32");
    assert!(!object["layers"].as_array().unwrap().is_empty());
    for key in ["forward_max_abs_err", "trajectory_max_abs_err", "x0_max_abs_err"] {
        assert!(object[key].as_f64().unwrap() < 1e-3, "{key}");
    }
    assert_eq!(object["model"]["steps"], 20);
    assert!(object["model"]["x0_psnr_db_mean"].as_f64().unwrap() > 40.0);
}

#[test]
fn the_distribution_of_images_is_compared_with_its_noise_floor() {
    let line =
        "validate {model} --backends cpu --against {digits} --steps 5 --seeds 1 --distribution 40 --data {data} --json";
    let object = mote(line, &[("model", model()), ("digits", &digits()), ("data", &images())]).json();
    let distribution = &object["distribution"];
    assert_eq!(
        (&distribution["images"], &distribution["backend"]),
        (&40.into(), &"cpu".into())
    );
    let spaces = distribution["spaces"].as_array().unwrap();
    let names: Vec<&str> = spaces.iter().filter_map(|space| space["name"].as_str()).collect();
    assert_eq!(names, ["pixels", "bottleneck"]);
    for space in spaces {
        // Other noise, other images; and a model near the network is about as far away as the network itself.
        let [model, floor] = ["model", "floor"].map(|key| space[key].as_f64().unwrap());
        assert!(floor > 0.0 && model > 0.0 && model < 2.0 * floor, "{space}");
        // What was trained on them is about as far from digits as other digits are, and the model is where the network is.
        let data = &space["data"];
        assert_eq!(data["images"], 40);
        let [model, float, floor] = ["model", "float", "floor"].map(|key| data[key].as_f64().unwrap());
        assert!(0.5 * floor < float && float < 4.0 * floor, "{space}");
        assert!((model / float - 1.0).abs() < 0.1, "{space}");
    }
}

/// Activations keep their names where normalizations are made inside convolutions.
#[test]
fn activations_have_their_names() {
    let dir = folder();
    let converted = mote(
        "convert {fashion} -o {dir}/m.mote --scheme w8a8 --json",
        &[("fashion", &fashion()), ("dir", dir.path())],
    )
    .json();
    let named = |t: &&serde_json::Value| t["kind"] == "activation" && t["name"] == "conv_out";
    assert_eq!(converted["tensors"].as_array().unwrap().iter().filter(named).count(), 1);
}

/// An operator that rounds more is seen: activations of 8 bits are further from the network than those of 16.
#[test]
fn operators_are_compared_with_the_float_network_s() {
    let dir = folder();
    let eight = dir.path().join("eight.mote");
    let places = [("model", model()), ("digits", &*digits()), ("eight", &*eight)];
    mote("convert {digits} -o {eight} --scheme w8a8 --json", &places).json();
    let layers = |name: &str| {
        let line = format!(
            "validate {{{name}}} --backends cpu --oracle-seeds 1 --against {{digits}} --steps 5 --seeds 2 --layers --json"
        );
        mote(&line, &places).json()["layers"].clone()
    };
    let [sixteen, eight] = ["model", "eight"].map(layers);
    let operators = |layers: &serde_json::Value| layers["operators"].as_array().unwrap().clone();
    assert_eq!(
        (&sixteen["images"], &sixteen["without_counterpart"]),
        (&2.into(), &0.into())
    );
    let named = |layers: &serde_json::Value, name: &str, key: &str| {
        let found = operators(layers)
            .into_iter()
            .find(|layer| layer["name"] == name)
            .unwrap();
        found[key].clone()
    };
    for layers in [&sixteen, &eight] {
        let worst = layers["worst"].as_str().unwrap();
        let least = named(layers, worst, "sqnr_db_mean").as_f64().unwrap();
        for layer in operators(layers) {
            let [mean, lowest, psnr] =
                ["sqnr_db_mean", "sqnr_db_worst", "psnr_db"].map(|key| layer[key].as_f64().unwrap());
            assert!(
                15.0 < lowest && lowest <= mean && least <= mean && psnr > lowest,
                "{layer}"
            );
            assert!(layer["worst_step"].as_u64().unwrap() < 5, "{layer}");
        }
    }
    // The same weights; what comes after an activation of 8 bits is further away.
    let [fine, coarse] = [&sixteen, &eight].map(|layers| named(layers, "conv_out", "sqnr_db_mean").as_f64().unwrap());
    assert!(fine > coarse + 3.0, "{fine} and {coarse} dB");
    assert_eq!(named(&eight, "down_blocks.0.resnets.0.norm2", "dtype"), "int8");
    // 16 bits of a state whose every unit counts: nothing but its own rounding.
    assert!(named(&eight, "sample", "sqnr_db_mean").as_f64().unwrap() > 70.0);
}
