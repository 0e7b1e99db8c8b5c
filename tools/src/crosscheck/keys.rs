//! What a reference key asks for.

use super::Reference;
use mote_graph::schedule::{Spacing, spacing_from_name};
use mote_runtime::Method;

/// Steps of the `var.*` runs.
const VARIANT_STEPS: usize = 20;

/// A parsed key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    /// Given, not compared: `SAMPLERS.z` (the noise of a run's steps), `noise`, `labels`, `cond`, `fwd.x`, `fwd.t`, `fwd.labels`, `fwd.cond`, `fwd.eps_true`.
    Input,
    /// `fwd.out*`.
    Forward(Reference),
    /// `layer.NAME`.
    Layer(String),
    /// `sched.*`.
    Schedule(Table),
    /// `SAMPLERS.timesteps` (of S steps), `var.NAME.timesteps` and the like.
    Steps(Setting, StepTable),
    /// Part of a run.
    Run(Setting, RunPart, Reference),
}

/// A table over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    BetasF32,
    AlphasF32,
    AlphasF64,
}

/// A table over a run's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepTable {
    Timesteps,
    Previous,
    Alpha,
    AlphaPrevious,
    /// Noise over signal (of flow matching the noise's share) at each step, then 0.
    Sigmas,
}

/// What of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunPart {
    X0,
    TrajX,
    TrajOut,
    TrajPredX0,
    TrajCond,
    TrajUncond,
}

/// How a setting departs from the checkpoint's own clipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClipSetting {
    AsSaved,
    Off,
    Stock,
    Rederived,
}

/// A run's settings, where they depart from the checkpoint's scheduler.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) method: Method,
    pub(super) steps: usize,
    pub(super) spacing: Option<Spacing>,
    pub(super) clip: ClipSetting,
    pub(super) zero_snr: bool,
    pub(super) guidance: Option<f64>,
}

impl Key {
    /// Parses a key; `None` when it is not known here.
    pub(super) fn parse(key: &str) -> Option<Self> {
        let (head, rest) = key.split_once('.').unwrap_or((key, ""));
        match (head, rest) {
            ("noise" | "labels" | "cond", "") | ("fwd", "x" | "t" | "labels" | "cond" | "eps_true") => {
                Some(Self::Input)
            }
            ("fwd", _) => Some(Self::Forward(suffix(rest, "out")?)),
            ("layer", name) if !name.is_empty() => Some(Self::Layer(name.to_string())),
            ("sched", "betas_f32") => Some(Self::Schedule(Table::BetasF32)),
            ("sched", "alphas_cumprod_f32") => Some(Self::Schedule(Table::AlphasF32)),
            ("sched", "alphas_cumprod_f64") => Some(Self::Schedule(Table::AlphasF64)),
            ("var", _) => variant(rest),
            _ => {
                let name = head.trim_end_matches(|c: char| c.is_ascii_digit());
                run(
                    Setting::as_saved(Method::named(name)?, head[name.len()..].parse().ok()?),
                    rest,
                )
            }
        }
    }
}

impl Setting {
    /// The checkpoint's own settings.
    fn as_saved(method: Method, steps: usize) -> Self {
        Self {
            method,
            steps,
            spacing: None,
            clip: ClipSetting::AsSaved,
            zero_snr: false,
            guidance: None,
        }
    }
}

fn step_table(name: &str) -> Option<StepTable> {
    match name {
        "timesteps" => Some(StepTable::Timesteps),
        "prev_timesteps" => Some(StepTable::Previous),
        "sigmas" => Some(StepTable::Sigmas),
        "alpha_prod_t_f32" => Some(StepTable::Alpha),
        "alpha_prod_prev_f32" => Some(StepTable::AlphaPrevious),
        _ => None,
    }
}

fn run(mut setting: Setting, rest: &str) -> Option<Key> {
    if rest == "z" {
        return Some(Key::Input);
    }
    if let Some(table) = step_table(rest) {
        return Some(Key::Steps(setting, table));
    }
    let mut words: Vec<&str> = rest.split('.').collect();
    let part = words.pop()?;
    // A weight may hold a point itself: `cfg1.5` arrives as two words.
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        match word {
            "noclip" => setting.clip = ClipSetting::Off,
            "clip_stock_eps" => setting.clip = ClipSetting::Stock,
            "clip_recomputed_eps" => setting.clip = ClipSetting::Rederived,
            _ => {
                let mut weight = word.strip_prefix("cfg")?.to_string();
                if let Some(decimals) = words.next_if(|w| w.bytes().all(|b| b.is_ascii_digit())) {
                    weight = format!("{weight}.{decimals}");
                }
                setting.guidance = Some(weight.parse().ok().filter(|w: &f64| w.is_finite())?);
            }
        }
    }
    let (part, reference) = run_part(part)?;
    Some(Key::Run(setting, part, reference))
}

fn variant(rest: &str) -> Option<Key> {
    let (name, part) = rest.split_once('.')?;
    let mut setting = Setting::as_saved(Method::Ddim, VARIANT_STEPS);
    match name {
        "clip" => setting.clip = ClipSetting::Stock,
        "noclip" => setting.clip = ClipSetting::Off,
        "zerosnr" => setting.zero_snr = true,
        spacing => setting.spacing = Some(spacing_from_name(spacing)?),
    }
    if let Some(table) = step_table(part) {
        return Some(Key::Steps(setting, table));
    }
    let (part, reference) = run_part(part)?;
    Some(Key::Run(setting, part, reference))
}

fn run_part(part: &str) -> Option<(RunPart, Reference)> {
    let known = [
        ("x0", RunPart::X0),
        ("traj_x", RunPart::TrajX),
        ("traj_out", RunPart::TrajOut),
        ("traj_pred_x0", RunPart::TrajPredX0),
        ("traj_out_cond", RunPart::TrajCond),
        ("traj_out_uncond", RunPart::TrajUncond),
    ];
    known
        .into_iter()
        .find_map(|(name, kind)| Some((kind, suffix(part, name)?)))
}

/// Which reference `text` is of the quantity `name`: bare, `_f64` or `_f64_pure`.
fn suffix(text: &str, name: &str) -> Option<Reference> {
    match text.strip_prefix(name)? {
        "" => Some(Reference::F32),
        "_f64" => Some(Reference::F64),
        "_f64_pure" => Some(Reference::F64Pure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(key: &str) -> (Setting, RunPart, Reference) {
        match Key::parse(key) {
            Some(Key::Run(setting, part, reference)) => (setting, part, reference),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn keys_say_what_is_run() {
        let (setting, part, reference) = parsed("ddim20.cfg3.clip_recomputed_eps.x0_f64_pure");
        assert_eq!((setting.steps, setting.guidance), (20, Some(3.0)));
        assert_eq!(
            (setting.clip, part, reference),
            (ClipSetting::Rederived, RunPart::X0, Reference::F64Pure)
        );
        assert_eq!(parsed("ddim10.cfg1.5.traj_out_uncond").0.guidance, Some(1.5));
        assert_eq!(parsed("var.linspace.x0").0.spacing, Some(Spacing::Linspace));
        assert!(parsed("var.zerosnr.x0").0.zero_snr);
        assert_eq!(
            Key::parse("layer.down_blocks.0.skip.1"),
            Some(Key::Layer("down_blocks.0.skip.1".to_string()))
        );
        assert_eq!(
            Key::parse("ddim50.prev_timesteps"),
            Some(Key::Steps(Setting::as_saved(Method::Ddim, 50), StepTable::Previous))
        );
        for unknown in [
            "",
            "ddim",
            "ddim20",
            "ddim20.x1",
            "ddim-3.x0",
            "var.sideways.x0",
            "fwd.y",
            "ddim20.cfg.x0",
        ] {
            assert_eq!(Key::parse(unknown), None, "{unknown}");
        }
    }
}
