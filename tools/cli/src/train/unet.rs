//! U-Nets on images.

use super::{Args, Prediction};
use crate::failure::Failure;
use crate::print::{self, Verdict, count, heading, table};
use crate::progress;
use mote_graph::schedule::SchedulerConfig;
use mote_tools::data::{DataOptions, load};
use mote_tools::files::sha256;
use mote_tools::import::{Checkpoint, fresh};
use mote_tools::train::fit::fitted;
use mote_tools::train::folder;
use mote_tools::train::preset::{Choice, Preset};
use mote_tools::train::qat::{Qat, qat};
use mote_tools::train::run::{Finished, RunError, Standing, Training, run as train, saved, seconds_a_step};
use mote_tools::{ErrorKind, Progress};
use mote_train::augment::Augment;
use mote_train::dataset::Dataset;
use mote_train::distill::Ladder;
use mote_train::gradient::PreparedGraph;
use mote_train::objective::Times;
use mote_train::rate::Rate;
use mote_train::trainer::{Settings, Teacher};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Time between two states on disk.
const EVERY: Duration = Duration::from_secs(30);
/// Share of a run that warms up, and its length at most.
const WARMUP: [u64; 2] = [20, 500];
/// Share of `--minutes` that goes to steps; the rest to pictures and measuring.
const STEPS_SHARE: f64 = 0.93;

/// Decay of the average of weights where none is asked for.
const AVERAGE: f64 = 0.999;

/// Share of the preset's learning rate for a network that is trained already.
const GENTLE: f64 = 0.2;

/// What is trained: a network with weights to start from.
struct Start {
    checkpoint: Checkpoint,
    preset: Preset,
    unet: Value,
    scheduler: Value,
    teacher: Option<Teacher>,
}

/// Runs it.
pub fn run(args: &Args, path: &Path) -> Result<Verdict, Failure> {
    let teacher = args.distill_from.as_deref();
    let inputs: Vec<_> = teacher.into_iter().chain([path]).collect();
    folder::check(&args.output, &inputs, folder::Trains::Network)?;
    check(args)?;
    let (start, data) = start(args, path)?;
    let settings = settings(args, &start.preset);
    let mut training = Training {
        checkpoint: &start.checkpoint,
        unet: &start.unet,
        scheduler: &start.scheduler,
        data: &data,
        settings,
        described: Value::Null,
        teacher: start.teacher.clone(),
        qat: rounding(args, &start)?,
        learned_variance: args.learned_variance,
        times: args.times.map_or(Times::Uniform, Times::from),
        classes: start
            .checkpoint
            .graph
            .classes
            .map_or(0, |classes| classes.min(data.classes)),
        folder: &args.output,
        every: EVERY,
    };
    training.settings.rate.steps = steps(args, &start, &training)?;
    training.settings.rate.warmup = (training.settings.rate.steps / WARMUP[0]).clamp(1, WARMUP[1]);
    training.described = described(args, &start, &data, &training.settings);
    let mut show = show(&training);
    let finished = train(&training, &mut show).map_err(failure)?;
    drop(show);
    report(args, &start, &data, &finished)?;
    Ok(Verdict::Yes)
}

/// Refuses options that would do nothing.
fn check(args: &Args) -> Result<(), Failure> {
    let flow = args.prediction == Some(Prediction::Flow);
    if args.times.is_some() && !flow {
        return Err(
            Failure::usage("--times would do nothing: timesteps of cumulative alphas are drawn evenly")
                .help("leave it out: --times is for --prediction flow"),
        );
    }
    if flow && args.learned_variance {
        return Err(
            Failure::usage("--learned-variance would do nothing: flow matching has no variance to learn")
                .help("leave it out"),
        );
    }
    Ok(())
}

/// The network as its integer model computes, where that is asked for.
fn rounding(args: &Args, start: &Start) -> Result<Option<Qat>, Failure> {
    let Some(scheme) = args.qat else { return Ok(None) };
    let bar = progress::bar("choosing formats", 1);
    let show = |standing| {
        let (Progress::Calibrating(done, of) | Progress::Measuring(done, of)) = standing;
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let found = qat(&start.checkpoint, scheme, &show);
    bar.finish_and_clear();
    found
        .map(Some)
        .map_err(|error| Failure::coded(ErrorKind::Failed, error))
}

fn start(args: &Args, path: &Path) -> Result<(Start, Dataset), Failure> {
    let wanted = |shape| DataOptions {
        shape,
        range: args.range,
        held_out: args.hold_out,
    };
    let read = |shape| {
        let data = load(path, &wanted(shape))
            .map_err(|error| Failure::coded(ErrorKind::Input, error).help("see DATA in `mote train --help`"))?;
        match (args.hold_out, data.count(&data.held_out)) {
            (Some(asked), found) if asked != found => Err(Failure::usage(format_args!(
                "--hold-out {asked}, but {} itself holds {found} images out",
                path.display()
            ))
            .help("leave --hold-out out")),
            _ => Ok(data),
        }
    };
    if let Some(from) = &args.distill_from {
        let taught = print::noted(Checkpoint::open(from)?);
        let data = read(Some(taught.graph.sample_shape()))?;
        return Ok((from_teacher(args, taught)?, data));
    }
    let preset = match &args.preset {
        Some(name) => Preset::named(name).ok_or_else(|| Failure::usage(format_args!("no preset is named '{name}'")))?,
        None => {
            let [_, rows, cols] = read(None)?.shape;
            let name = if rows.max(cols) <= 8 {
                "digits8-micro"
            } else {
                "fashion16-tiny"
            };
            Preset::named(name).ok_or_else(|| Failure::new("no preset fits"))?
        }
    };
    let data = read(Some(preset.sample))?;
    if args.classes && data.classes == 0 {
        return Err(Failure::input(format_args!("{} holds no labels, which --classes asks for", path.display()))
            .help("leave --classes out, or give data with labels: an array of labels, a file of labels beside the images, or a folder for each class"));
    }
    let choice = Choice {
        prediction: args.prediction.unwrap_or(Prediction::Epsilon).into(),
        classes: if args.classes { data.classes + 1 } else { 0 },
        learned_variance: args.learned_variance,
        flow: args.prediction == Some(Prediction::Flow),
    };
    let preset = match args.described.target(args.fit.as_deref())? {
        Some(board) => fitted(&preset, choice, &board)
            .map_err(|error| Failure::coded(ErrorKind::Failed, error).help("see `mote boards` for larger ones"))?,
        None => preset,
    };
    let (unet, scheduler) = (preset.unet(choice), preset.scheduler(choice));
    // The importer refuses learned variances: what is sampled with them is not DDIM.
    let mut known = scheduler.clone();
    if let Some(fields) = known.as_object_mut() {
        fields.remove("variance_type");
    }
    let made = fresh(preset.name, &unet.to_string(), &known.to_string(), args.seed)
        .map_err(|error| Failure::coded(ErrorKind::Failed, error))?;
    let start = Start {
        checkpoint: made,
        preset,
        unet,
        scheduler,
        teacher: None,
    };
    Ok((start, data))
}

/// The teacher's network and weights, to be trained towards the teacher's outputs.
fn from_teacher(args: &Args, mut taught: Checkpoint) -> Result<Start, Failure> {
    let ladder = ladder(args, &taught)?;
    let network = PreparedGraph::new(&taught.graph).map_err(|error| Failure::coded(ErrorKind::Failed, error))?;
    let params = network.layout().values_of(&taught.graph);
    let known = args.preset.as_deref().and_then(Preset::named);
    let rows = taught.graph.sample_shape()[1];
    let fallback = || {
        let name = if rows <= 8 { "digits8-micro" } else { "fashion16-tiny" };
        Preset::named(name).ok_or_else(|| Failure::new("no preset fits"))
    };
    if ladder.is_some() {
        student(&mut taught)?;
    }
    Ok(Start {
        preset: known.map_or_else(fallback, Ok)?,
        unet: taught.config.clone(),
        scheduler: taught.scheduler_config.clone(),
        teacher: Some(Teacher {
            network,
            params,
            ladder,
        }),
        checkpoint: taught,
    })
}

/// The steps of teacher and student, where the student is to take fewer.
fn ladder(args: &Args, taught: &Checkpoint) -> Result<Option<Ladder>, Failure> {
    let Some(student) = args.student_steps.map(usize::from) else {
        return Ok(None);
    };
    let teacher = args.teacher_steps.map_or(2 * student, usize::from);
    let ladder = Ladder::new(&taught.scheduler, teacher, student);
    ladder.map(Some).map_err(|error| {
        Failure::coded(ErrorKind::Input, error)
            .help("give --teacher-steps as a multiple of --student-steps, within the training timesteps")
    })
}

/// A student has its teacher's noise levels; it predicts v, from the last timestep down, and clips nothing.
fn student(taught: &mut Checkpoint) -> Result<(), Failure> {
    let config = &mut taught.scheduler_config;
    for (key, value) in [
        ("_class_name", json!("DDIMScheduler")),
        ("prediction_type", json!("v_prediction")),
        ("timestep_spacing", json!("trailing")),
        ("clip_sample", json!(false)),
        ("set_alpha_to_one", json!(true)),
        ("steps_offset", json!(0)),
    ] {
        config[key] = value;
    }
    taught.scheduler = SchedulerConfig::parse("the student's scheduler", &config.to_string())
        .map_err(|error| Failure::coded(ErrorKind::Failed, error))?;
    Ok(())
}

fn settings(args: &Args, preset: &Preset) -> Settings {
    // What is trained already is moved gently; a student's outputs mean something else than its teacher's.
    let gentle = if args.distill_from.is_some() && args.student_steps.is_none() {
        GENTLE
    } else {
        1.0
    };
    Settings {
        batch: args.batch.map_or(preset.batch, usize::from),
        rate: Rate {
            peak: args.lr.unwrap_or(preset.rate * gentle),
            warmup: 1,
            steps: 1,
        },
        average: args.ema.unwrap_or(AVERAGE),
        decay: args.weight_decay.unwrap_or(0.0),
        seed: args.seed,
        augment: Augment {
            flip: args.flip.unwrap_or(preset.flip),
            shift: args.shift.unwrap_or(0).into(),
        },
        label_dropout: if args.classes { args.label_dropout } else { 0.0 },
    }
}

/// The number of steps: given, as many as fit the minutes, or the preset's. A run that is taken up keeps its own.
fn steps(args: &Args, start: &Start, training: &Training<'_>) -> Result<u64, Failure> {
    let Some(minutes) = args.minutes else {
        return Ok(args.steps.unwrap_or(start.preset.steps));
    };
    let saved = saved(training.folder, start.checkpoint.graph.param_count()).map_err(failure)?;
    if let Some(steps) = saved.and_then(|s| s.settings["steps"].as_u64()) {
        return Ok(steps);
    }
    let seconds = seconds_a_step(training).map_err(failure)?;
    Ok(((minutes * 60.0 * STEPS_SHARE / seconds) as u64).max(1))
}

/// All that the weights depend on.
fn described(args: &Args, start: &Start, data: &Dataset, s: &Settings) -> Value {
    let bytes = |pixels: &[f32]| sha256(bytemuck::cast_slice(pixels));
    let mut described = json!({
        "unet": start.unet, "scheduler": start.scheduler, "steps": s.rate.steps, "batch": s.batch, "lr": s.rate.peak,
        "ema": s.average, "weight_decay": s.decay, "seed": s.seed, "flip": s.augment.flip, "shift": s.augment.shift,
        "label_dropout": s.label_dropout, "learned_variance": args.learned_variance,
        "data": { "train": bytes(&data.train.pixels), "held_out": bytes(&data.held_out.pixels), "labels": data.classes },
        "qat": args.qat.map(|scheme| scheme.name()),
        "teacher": start.teacher.as_ref().map(|_| start.checkpoint.sha256.clone()),
    });
    // Only where they are given, so that runs begun before there were any are taken up.
    for (key, value) in [
        ("student_steps", args.student_steps.map(Value::from)),
        ("teacher_steps", args.teacher_steps.map(Value::from)),
        ("times", args.times.map(|times| format!("{times:?}").into())),
    ] {
        if let Some(value) = value {
            described[key] = value;
        }
    }
    described
}

/// Shows progress, the loss with it.
fn show(training: &Training<'_>) -> impl FnMut(Standing) + use<> {
    let bar = progress::bar("training", training.settings.rate.steps);
    let mut taken_up = true;
    move |s: Standing| {
        let held_out = s.held_out.map_or(String::new(), |loss| format!(", held out {loss:.4}"));
        bar.set_position(s.step);
        // Steps of an earlier run say nothing of this one's pace.
        if std::mem::take(&mut taken_up) {
            bar.reset_eta();
        }
        bar.set_message(format!(
            "training, loss {:.4}{held_out}, {:.0} images/s",
            s.loss, s.images_per_second
        ));
        if s.step == s.steps {
            bar.finish_and_clear();
        }
    }
}

fn failure(error: RunError) -> Failure {
    let help = match &error {
        RunError::Other { .. } => "give the same options to go on with it, or another folder",
        RunError::Busy(_) => "wait for it, or give another folder",
        RunError::Diverged { .. } => "give a lower --lr, or more warm-up through more --steps",
        RunError::File { .. } => "free space, remove the folder's training/, or choose another folder",
        _ => return Failure::coded(ErrorKind::Failed, error),
    };
    Failure::coded(ErrorKind::Failed, error).help(help)
}

fn report(args: &Args, start: &Start, data: &Dataset, done: &Finished) -> Result<(), Failure> {
    let graph = &start.checkpoint.graph;
    let folder = args.output.display().to_string();
    if args.json {
        return print::json(&json!({
            "checkpoint": folder, "network": start.checkpoint.name, "params": graph.param_count(), "steps": done.steps,
            "resumed_at": done.resumed_at, "loss": done.loss, "held_out": done.held_out,
            "train_images": data.count(&data.train), "held_out_images": data.count(&data.held_out),
            "seconds": done.seconds, "images_per_second": done.images_per_second,
        }));
    }
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let mut rows = vec![
        row(
            "network",
            format!(
                "{}, {} parameters",
                start.checkpoint.name,
                count(graph.param_count() as u64)
            ),
        ),
        row(
            "steps",
            format!("{}, of which {} were done before", done.steps, done.resumed_at),
        ),
        row("loss", format!("{:.4}", done.loss)),
    ];
    if let Some(loss) = done.held_out {
        rows.push(row(
            "held out",
            format!("{loss:.4} on {} images", data.count(&data.held_out)),
        ));
    }
    rows.push(row(
        "time",
        format!("{:.0} s, {:.0} images/s", done.seconds, done.images_per_second),
    ));
    rows.push(row("pictures", format!("{folder}/training/samples.png, loss.png")));
    print::text(&format!("{}\n{}", heading(&folder), table(&rows)))
}
