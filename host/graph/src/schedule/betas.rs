//! Betas and cumulative alphas, in f64 throughout and as the f32 reference computes them.

use super::{BetaSchedule, ScheduleError, SchedulerConfig};

/// Largest beta of the cosine schedule (Nichol and Dhariwal 2021, section 3.2).
const MAX_COSINE_BETA: f64 = 0.999;

/// Betas in f64.
pub(super) fn betas_f64(config: &SchedulerConfig) -> Result<Vec<f64>, ScheduleError> {
    let (n, start, end) = (config.num_train_timesteps, config.beta_start, config.beta_end);
    checked(
        config,
        match &config.beta_schedule {
            BetaSchedule::Linear => linspace_f64(start, end, n),
            BetaSchedule::ScaledLinear => linspace_f64(libm::sqrt(start), libm::sqrt(end), n)
                .into_iter()
                .map(|root| root * root)
                .collect(),
            BetaSchedule::SquaredCosine => cosine(n),
            BetaSchedule::Trained(betas) => betas.clone(),
        },
    )
}

/// Betas in f32, held in f64.
pub(super) fn betas_f32(config: &SchedulerConfig) -> Result<Vec<f64>, ScheduleError> {
    let (n, start, end) = (config.num_train_timesteps, config.beta_start, config.beta_end);
    let round = |betas: Vec<f64>| betas.into_iter().map(|beta| f64::from(beta as f32)).collect();
    let widen = |betas: Vec<f32>| betas.into_iter().map(f64::from).collect();
    checked(
        config,
        match &config.beta_schedule {
            BetaSchedule::Linear => widen(linspace_f32(start as f32, end as f32, n)),
            BetaSchedule::ScaledLinear => {
                let roots = linspace_f32(libm::sqrt(start) as f32, libm::sqrt(end) as f32, n);
                widen(roots.into_iter().map(|root| root * root).collect())
            }
            BetaSchedule::SquaredCosine => round(cosine(n)),
            BetaSchedule::Trained(betas) => round(betas.clone()),
        },
    )
}

/// Cumulative products of `1 - beta`, in f64.
pub(super) fn cumprod_f64(betas: &[f64]) -> Vec<f64> {
    cumulate(betas.iter().map(|beta| 1.0 - beta))
}

/// Cumulative products of f32 alphas: the reference accumulates in f64 and rounds each product to f32.
pub(super) fn cumprod_f32(betas: &[f64]) -> Vec<f64> {
    let alphas = betas.iter().map(|beta| f64::from(1.0f32 - *beta as f32));
    cumulate(alphas)
        .into_iter()
        .map(|product| f64::from(product as f32))
        .collect()
}

/// Betas whose last cumulative alpha is 0 (Lin et al. 2023, algorithm 1), in f64.
pub(super) fn zero_snr_f64(betas: &[f64]) -> Result<Vec<f64>, ScheduleError> {
    let roots: Vec<f64> = cumprod_f64(betas).into_iter().map(libm::sqrt).collect();
    let (first, last) = ends(&roots)?;
    let factor = first / (first - last);
    let bars: Vec<f64> = roots
        .iter()
        .map(|root| (root - last) * factor)
        .map(|root| root * root)
        .collect();
    Ok(ratios(&bars).into_iter().map(|alpha| 1.0 - alpha).collect())
}

/// The same in f32, rounding where the reference rounds.
pub(super) fn zero_snr_f32(betas: &[f64]) -> Result<Vec<f64>, ScheduleError> {
    let roots: Vec<f64> = cumprod_f32(betas)
        .into_iter()
        .map(|product| f64::from(libm::sqrtf(product as f32)))
        .collect();
    let (first, last) = ends(&roots)?;
    let (first, last) = (first as f32, last as f32);
    let factor = first / (first - last);
    let bars: Vec<f32> = roots
        .iter()
        .map(|root| (*root as f32 - last) * factor)
        .map(|root| root * root)
        .collect();
    let mut betas = Vec::with_capacity(bars.len());
    for (i, bar) in bars.iter().enumerate() {
        let alpha = if i == 0 { *bar } else { bar / bars[i - 1] };
        betas.push(f64::from(1.0 - alpha));
    }
    Ok(betas)
}

fn ends(roots: &[f64]) -> Result<(f64, f64), ScheduleError> {
    match (roots.first(), roots.last()) {
        (Some(&first), Some(&last)) if first > last => Ok((first, last)),
        _ => Err(ScheduleError::Rescale),
    }
}

fn ratios(bars: &[f64]) -> Vec<f64> {
    bars.iter()
        .enumerate()
        .map(|(i, bar)| if i == 0 { *bar } else { bar / bars[i - 1] })
        .collect()
}

fn cumulate(alphas: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut product = 1.0;
    alphas
        .map(|alpha| {
            product *= alpha;
            product
        })
        .collect()
}

/// `min(1 - a((i + 1) / n) / a(i / n), 0.999)` with `a(t) = cos^2((t + 0.008) / 1.008 * pi / 2)`.
fn cosine(n: usize) -> Vec<f64> {
    let bar = |t: f64| {
        let cos = libm::cos((t + 0.008) / 1.008 * std::f64::consts::PI / 2.0);
        cos * cos
    };
    let n_f = n as f64;
    (0..n)
        .map(|i| (1.0 - bar((i + 1) as f64 / n_f) / bar(i as f64 / n_f)).min(MAX_COSINE_BETA))
        .collect()
}

/// `n` values from `start` to `end`, the second half counted down from `end` as the reference does.
fn linspace_f64(start: f64, end: f64, n: usize) -> Vec<f64> {
    let step = (end - start) / (n.max(2) - 1) as f64;
    (0..n)
        .map(|i| {
            if i < n / 2 || n == 1 {
                start + step * i as f64
            } else {
                end - step * (n - 1 - i) as f64
            }
        })
        .collect()
}

/// [`linspace_f64`] in f32. The reference's product and sum are one fused operation on the machines it is made on.
fn linspace_f32(start: f32, end: f32, n: usize) -> Vec<f32> {
    let step = (end - start) / (n.max(2) - 1) as f32;
    let up = |i: usize| libm::fmaf(step, i as f32, start);
    let down = |i: usize| libm::fmaf(-step, (n - 1 - i) as f32, end);
    (0..n)
        .map(|i| if i < n / 2 || n == 1 { up(i) } else { down(i) })
        .collect()
}

fn checked(config: &SchedulerConfig, betas: Vec<f64>) -> Result<Vec<f64>, ScheduleError> {
    if betas.len() != config.num_train_timesteps || betas.is_empty() {
        return Err(ScheduleError::Length {
            expected: config.num_train_timesteps,
            found: betas.len(),
        });
    }
    let bad = betas
        .iter()
        .enumerate()
        .find(|(i, beta)| !(0.0..=1.0).contains(*beta) || (*i == 0 && **beta == 1.0));
    match bad {
        Some((index, &value)) => Err(ScheduleError::Beta { index, value }),
        None => Ok(betas),
    }
}
