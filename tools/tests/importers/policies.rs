//! A policy with LeRobot's names of weights, against what PyTorch computed with them in f64.

use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::import;
use mote_tools::policy_loop::PolicyLoop;
use std::path::{Path, PathBuf};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/importers/lerobot")
}

/// Its levels end in plain convolutions; its last block has 8 groups where the others have 4.
#[test]
fn lerobot_s_network_computes_what_pytorch_s_does() {
    let checkpoint = import(&home()).unwrap();
    assert_eq!(checkpoint.graph.sample_shape(), [2, 1, 8]);
    assert_eq!(checkpoint.graph.condition.map(|condition| condition.channels), Some(6));
    assert_eq!(checkpoint.scheduler.num_train_timesteps, 100);
    let report = crosscheck(&checkpoint, &home().join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
}

#[test]
fn its_loop_is_read_beside_it() {
    let found = PolicyLoop::read(&home()).unwrap();
    assert_eq!((found.n_obs_steps, found.n_action_steps, found.horizon), (2, 4, 8));
    assert_eq!((found.action.low, found.action.high), (vec![-3.0, 0.0], vec![1.0, 0.5]));
    assert_eq!(found.obs.low, [-1.0, 2.0, 0.5 - 2.0 - 1e-8]);
}
