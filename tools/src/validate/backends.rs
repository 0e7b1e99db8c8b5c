//! Which backends are checked where nobody says.

use super::CheckedBackend;
use crate::backend::footprint::Fit;
use crate::backend::{Backend, OpenModel};
use mote_firmware_sim::{Board, Firmware};
use mote_runtime::{Config, Model};

/// Boards that are run where none are named: those of them that can run here and that the model fits.
const DEFAULT_BOARDS: [&str; 3] = ["netduinoplus2", "mps2-an386", "virt"];

/// Multiply-accumulates that the oracle gets through in about ten seconds (measured: 0.6 to 0.9 G a second).
const ORACLE_MACS: u64 = 8_000_000_000;

/// Seeds that the oracle runs where nobody says how many.
#[must_use]
pub fn affordable_seeds(model: &Model<'_>, config: &Config) -> usize {
    let calls = (1 + u64::from(config.guidance_q16.is_some())) * u64::from(config.method.calls());
    let macs = model.header().macs.saturating_mul(calls * u64::from(config.steps));
    (ORACLE_MACS / macs.max(1)).max(1) as usize
}

/// What is to be run: what was asked for, on every seed; or whatever is here, boards and the oracle on one seed as they are slow.
#[must_use]
pub fn backends_to_check(asked: &[Backend], opened: OpenModel<'_>, config: &Config) -> Vec<CheckedBackend> {
    if !asked.is_empty() {
        // Desktop and boards share the runtime's code: without the oracle a fault in it would agree with itself.
        let reference = (!asked.contains(&Backend::Oracle(None))).then_some(CheckedBackend {
            backend: Backend::Oracle(None),
            asked: false,
            seeds: 1,
        });
        let named = asked.iter().map(|backend| CheckedBackend {
            backend: *backend,
            asked: true,
            seeds: usize::MAX,
        });
        return reference.into_iter().chain(named).collect();
    }
    let boards = DEFAULT_BOARDS.into_iter().filter_map(Board::named);
    let fitting = boards.filter(|board| Fit::of_run(&(*board).into(), opened.model, opened.bytes.len(), config).fits);
    let gpu = Some(Backend::Cuda(None)).filter(|gpu| gpu.available().is_ok());
    let found = [Backend::Oracle(None), Backend::Cpu, Backend::Portable]
        .into_iter()
        .chain(gpu)
        .chain(fitting.map(|board| Backend::Board(board, Firmware::Fast)));
    let seeds = |backend| match backend {
        Backend::Cpu | Backend::Portable | Backend::Cuda(_) => usize::MAX,
        _ => 1,
    };
    found
        .map(|backend| CheckedBackend {
            backend,
            asked: false,
            seeds: seeds(backend),
        })
        .collect()
}
