//! Configurations as libraries write them.

use super::classes::CLASSES;
use super::*;

fn parse(text: &str) -> Result<SchedulerConfig, ConfigError> {
    SchedulerConfig::parse("scheduler_config.json", text)
}

#[test]
fn defaults_are_the_class_s_own() {
    let ddim = parse(r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
    assert!(ddim.clip_sample && ddim.set_alpha_to_one);
    assert_eq!(
        (ddim.num_train_timesteps, ddim.timestep_spacing),
        (1000, Spacing::Leading)
    );
    let pndm = parse(r#"{"_class_name": "PNDMScheduler"}"#).unwrap();
    assert!(!pndm.clip_sample && !pndm.set_alpha_to_one);
    let dpm = parse(r#"{"_class_name": "DPMSolverMultistepScheduler", "solver_order": 2}"#).unwrap();
    assert_eq!(dpm.timestep_spacing, Spacing::Linspace);
}

#[test]
fn a_class_that_the_index_names_is_not_taken_in_silence() {
    let read = |text: &str| SchedulerConfig::parse_as("s.json", text, Some("DDIMScheduler"));
    let other = read(r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
    assert_eq!(other.class_name, "DDIMScheduler");
    let differ = "the file is DDPMScheduler's, and the pipeline's model_index.json has it read by DDIMScheduler";
    assert_eq!(other.notes, [differ]);
    assert!(read(r#"{"_class_name": "DDIMScheduler"}"#).unwrap().notes.is_empty());
    let error = read(r#"{"_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear"}"#).unwrap_err();
    assert_eq!(error.field, "interpolation_type");
    assert!(
        error.to_string().contains("the file is EulerDiscreteScheduler's"),
        "{error}"
    );
}

#[test]
fn flow_matching_is_read_as_its_class_writes_it() {
    let text = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.42.1", "base_image_seq_len": 256,
        "base_shift": 0.5, "invert_sigmas": false, "max_image_seq_len": 4096, "max_shift": 1.15, "num_train_timesteps": 1000,
        "shift": 3.0, "shift_terminal": null, "stochastic_sampling": false, "time_shift_type": "exponential",
        "use_beta_sigmas": false, "use_dynamic_shifting": false, "use_exponential_sigmas": false, "use_karras_sigmas": false}"#;
    let flow = parse(text).unwrap();
    assert_eq!(
        (flow.levels, flow.shift, flow.num_train_timesteps),
        (Levels::Flow, 3.0, 1000)
    );
    assert_eq!(flow.device_prediction(), sampling::Prediction::Flow);
    assert_eq!(flow.device_schedule(), sampling::Schedule::Flow { shift_q24: 3 << 24 });
    assert_eq!(flow.alpha_bars(), Ok((vec![], 1.0)));
    let refused = Schedule::new(&flow, Precision::F64);
    assert!(matches!(refused, Err(ScheduleError::NoAlphas { .. })));
    for (field, value) in [
        ("use_dynamic_shifting", "true"),
        ("use_karras_sigmas", "true"),
        ("use_exponential_sigmas", "true"),
        ("use_beta_sigmas", "true"),
        ("invert_sigmas", "true"),
        ("stochastic_sampling", "true"),
        ("shift_terminal", "0.1"),
        ("shift", "0"),
        ("shift", "129"),
        ("num_train_timesteps", "65536"),
        ("novel_setting", "1"),
    ] {
        let text = format!(r#"{{"_class_name": "FlowMatchEulerDiscreteScheduler", "{field}": {value}}}"#);
        assert_eq!(parse(&text).unwrap_err().field, field);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (field, value) in [
        ("beta_schedule", "\"sigmoid\""),
        ("prediction_type", "\"flow\""),
        ("timestep_spacing", "\"karras\""),
        ("thresholding", "true"),
        ("variance_type", "\"learned\""),
        ("trained_betas", "[0.1, 0.2]"),
        ("num_train_timesteps", "0"),
        ("num_train_timesteps", "99999999999999"),
        ("beta_end", "1.5"),
        ("clip_sample_range", "0"),
        ("steps_offset", "-1"),
        ("novel_setting", "3"),
    ] {
        let text = format!(r#"{{"_class_name": "DDIMScheduler", "{field}": {value}}}"#);
        assert_eq!(parse(&text).unwrap_err().field, field);
    }
    assert_eq!(
        parse(r#"{"_class_name": "VQDiffusionScheduler"}"#).unwrap_err().field,
        "_class_name"
    );
    assert_eq!(parse("{}").unwrap_err().field, "_class_name");
}

/// What each class writes today, and what it says of a run: does x0 get clipped, does the last step end at alpha 1.
#[test]
fn every_class_is_read_as_diffusers_writes_its_defaults() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schedulers");
    let expected = [
        ("DDIMScheduler", true, true, Spacing::Leading),
        ("DDIMParallelScheduler", true, true, Spacing::Leading),
        ("DDPMScheduler", true, true, Spacing::Leading),
        ("DDPMParallelScheduler", true, true, Spacing::Leading),
        ("PNDMScheduler", false, false, Spacing::Leading),
        ("DPMSolverMultistepScheduler", false, true, Spacing::Linspace),
        ("DPMSolverSinglestepScheduler", false, true, Spacing::Linspace),
        ("DEISMultistepScheduler", false, false, Spacing::Linspace),
        ("UniPCMultistepScheduler", false, true, Spacing::Linspace),
    ];
    let named: Vec<&str> = CLASSES.iter().flat_map(|class| class.names).copied().collect();
    assert!(expected.iter().all(|(name, ..)| named.contains(name)) && named.len() == expected.len());
    for (name, clips, to_one, spacing) in expected {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let found = parse(&text).unwrap();
        assert_eq!(
            (found.clip_sample, found.set_alpha_to_one, found.timestep_spacing),
            (clips, to_one, spacing),
            "{name}"
        );
        assert_eq!(
            (found.steps_offset, found.variance),
            (0, Variance::FixedSmall),
            "{name}"
        );
        let solver = !name.starts_with("DD");
        let said = found.notes.iter().any(|note| note.contains("--sampler"));
        assert_eq!(said, solver, "{name}");
        // The same in the class's own words, and nothing said twice.
        let bare = parse(&format!(r#"{{"_class_name": "{name}"}}"#)).unwrap();
        assert_eq!(found, bare, "{name}");
    }
}

#[test]
fn what_changes_the_levels_of_a_run_is_honoured_or_refused_by_name() {
    let solver = |name: &str, rest: &str| parse(&format!(r#"{{"_class_name": "{name}", {rest}}}"#));
    for name in [
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
    ] {
        for field in [
            "use_karras_sigmas",
            "use_exponential_sigmas",
            "use_beta_sigmas",
            "use_lu_lambdas",
            "use_flow_sigmas",
            "use_dynamic_shifting",
            "thresholding",
        ] {
            let error = solver(name, &format!(r#""{field}": true"#)).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("scheduler_config.json: `{field}` is true: ")),
                "{text}"
            );
            solver(name, &format!(r#""{field}": null"#)).unwrap();
        }
        for algorithm in ["sde-dpmsolver", "sde-dpmsolver++", "dpmsolver", "ddim"] {
            let error = solver(name, &format!(r#""algorithm_type": "{algorithm}""#));
            assert_eq!(
                error.map_err(|error| error.field).err(),
                (algorithm != "dpmsolver" || name != "DEISMultistepScheduler").then(|| "algorithm_type".to_string())
            );
        }
        assert_eq!(
            solver(name, r#""final_sigmas_type": "last""#).unwrap_err().field,
            "final_sigmas_type"
        );
    }
    let multistep = "DPMSolverMultistepScheduler";
    let ends = solver(
        multistep,
        r#""final_sigmas_type": "sigma_min", "algorithm_type": "dpmsolver""#,
    )
    .unwrap();
    assert!(!ends.set_alpha_to_one);
    // The linear schedule ends at a half log ratio of -5.06.
    for (least, refused) in [
        ("-Infinity", false),
        ("-5.1", false),
        ("-5.0", true),
        ("Infinity", true),
    ] {
        let found = solver(multistep, &format!(r#""lambda_min_clipped": {least}"#));
        assert_eq!(found.is_err(), refused, "{least}");
    }
    assert!(solver(multistep, r#""lambda_min_clipped": null"#).is_err());
}

#[test]
fn fields_of_other_classes_are_without_effect_as_in_diffusers() {
    let ddpm = parse(r#"{"_class_name": "DDPMScheduler", "set_alpha_to_one": false, "skip_prk_steps": true}"#).unwrap();
    assert!(ddpm.set_alpha_to_one);
    let pndm = parse(r#"{"_class_name": "PNDMScheduler", "clip_sample": true}"#).unwrap();
    assert!(!pndm.clip_sample);
    let name = "DPMSolverSinglestepScheduler";
    let text = format!(r#"{{"_class_name": "{name}", "timestep_spacing": "trailing", "steps_offset": 1}}"#);
    let single = parse(&text).unwrap();
    assert_eq!((single.timestep_spacing, single.steps_offset), (Spacing::Linspace, 0));
    // A pipeline's index says which class reads the file.
    let given = SchedulerConfig::parse_as("f", &text, Some("DDIMScheduler")).unwrap();
    assert_eq!((given.timestep_spacing, given.steps_offset), (Spacing::Trailing, 1));
}

#[test]
fn null_means_what_the_library_makes_of_it() {
    let ddim = |rest: &str| parse(&format!(r#"{{"_class_name": "DDIMScheduler", {rest}}}"#));
    assert!(
        !ddim(r#""clip_sample": null, "clip_sample_range": null"#)
            .unwrap()
            .clip_sample
    );
    assert!(!ddim(r#""set_alpha_to_one": null"#).unwrap().set_alpha_to_one);
    assert!(
        !ddim(r#""rescale_betas_zero_snr": null"#)
            .unwrap()
            .rescale_betas_zero_snr
    );
    let cosine = r#""beta_schedule": "squaredcos_cap_v2", "beta_start": null, "beta_end": null"#;
    assert_eq!(ddim(cosine).unwrap().beta_schedule, BetaSchedule::SquaredCosine);
    let trained = r#""num_train_timesteps": 1, "trained_betas": [0.5], "beta_schedule": null"#;
    assert_eq!(ddim(trained).unwrap().beta_schedule, BetaSchedule::Trained(vec![0.5]));
    for field in [
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "steps_offset",
        "prediction_type",
        "timestep_spacing",
        "clip_sample_range",
    ] {
        let error = ddim(&format!(r#""{field}": null"#)).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), (field, "null"));
    }
}

#[test]
fn what_the_model_file_cannot_hold_is_refused_here() {
    for (rest, expected) in [
        (r#""num_train_timesteps": 65537"#, "from 1 to 65536"),
        (r#""steps_offset": 1000"#, "from 0 to 999"),
        (r#""clip_sample_range": 64.5"#, "at most 64"),
    ] {
        let error = parse(&format!(r#"{{"_class_name": "DDIMScheduler", {rest}}}"#)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let off = r#"{"_class_name": "DDIMScheduler", "clip_sample": false, "clip_sample_range": 100}"#;
    assert!(!parse(off).unwrap().clip_sample);
}

#[test]
fn solvers_keep_a_trace_of_signal_under_zero_terminal_snr() {
    for (name, last) in [("DDIMScheduler", 0.0), ("UniPCMultistepScheduler", SOLVERS_ZERO)] {
        let text = format!(r#"{{"_class_name": "{name}", "rescale_betas_zero_snr": true}}"#);
        let config = parse(&text).unwrap();
        for precision in [Precision::F64, Precision::F32] {
            let schedule = Schedule::new(&config, precision).unwrap();
            assert_eq!(schedule.alphas_cumprod[999], last, "{name}");
        }
    }
}

/// A linear schedule of 1000 timesteps is at 2^-28 before its end, where the solvers' classes have 2^-24.
#[test]
fn a_trace_of_signal_above_the_timestep_before_goes_into_no_file() {
    let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "rescale_betas_zero_snr": true}"#;
    let error = parse(text).unwrap().alpha_bars().unwrap_err();
    assert!(matches!(error, ScheduleError::Rises { last, before } if last == SOLVERS_ZERO && before < last));
    let scaled = text.replace('}', r#", "beta_schedule": "scaled_linear"}"#);
    parse(&scaled).unwrap().alpha_bars().unwrap();
}
