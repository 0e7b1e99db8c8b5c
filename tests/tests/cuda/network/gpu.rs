//! The float network on a GPU, where one is, and behind the driver's stand-in.

use std::time::Instant;

use mote_cuda::driver::Device;
use mote_cuda::network::{DeviceNetwork, Precision};
use mote_engine::memory::AlignedBytes;
use mote_graph::graph::Graph;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints;
use mote_tools::backend::{Backend, OpenModel};
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against, distribution};

use super::{Inputs, solve, trained};
use crate::gpu::{gpu, moved};

#[test]
fn float_operators_on_a_gpu() {
    if gpu("operators of the float network").is_none() {
        return;
    }
    let worst = solve(|_| gpu("operators of the float network").expect("a GPU that is there"));
    println!(
        "worst errors, of the largest number: {:?}",
        worst.expect("near the CPU")
    );
}

#[test]
fn float_networks_on_a_gpu() {
    for (large, count) in [(false, 64), (true, 16)] {
        let Some(device) = gpu("trained float networks") else {
            return;
        };
        if !moved("trained float networks") {
            println!(
                "worst errors, of the largest number: {:?}",
                trained(device, large, count).expect("near the CPU")
            );
        }
    }
}

/// What `mote validate --float cuda` does, by either device.
#[test]
fn the_float_network_of_commands_on_a_gpu() {
    if gpu("the float network of commands").is_none() || moved("the float network of commands") {
        return;
    }
    let checkpoint = checkpoints::checkpoint(&checkpoints::digits());
    let file = AlignedBytes::copy_of(
        &checkpoints::converted(&checkpoints::digits(), Scheme::W8A8)
            .emitted
            .bytes,
    );
    let model = Model::parse(file.bytes()).expect("a valid model");
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let config = Config {
        eta_q16: 20_000,
        ..Config::of(model.header(), 3)
    };
    let seeds = [3, 4, 5];
    let compared = |device| against(opened, &checkpoint, &config, &seeds, device, &|| ()).expect("a comparison");
    let spread = |device| {
        let devices = (Backend::Cpu, device);
        distribution(opened, &checkpoint, &config, &seeds, devices, None, &|_| ()).expect("a comparison")
    };
    let (cpu, floor) = (compared(FloatDevice::Cpu), spread(FloatDevice::Cpu));
    // Of decibels, and of a distance: the float run itself is f32's roundings away, or f16's, which are well below the model's own.
    for (precision, decibels, part) in [(Precision::F32, 0.01, 1e-3), (Precision::F16, 0.5, 2e-2)] {
        let device = FloatDevice::Cuda(precision);
        let found = compared(device);
        assert_eq!(
            (found.network, found.timesteps),
            (device.to_string(), cpu.timesteps.clone())
        );
        for (a, b) in [
            (&found.state_psnr_db_by_step, &cpu.state_psnr_db_by_step),
            (&found.eps_sqnr_db_by_step, &cpu.eps_sqnr_db_by_step),
            (&vec![found.x0_psnr_db_min], &vec![cpu.x0_psnr_db_min]),
        ] {
            assert!(
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < decibels),
                "{a:?}, {b:?}"
            );
        }
        let found = spread(device);
        assert_eq!((found.network, found.spaces.len()), (device.to_string(), 2));
        for (a, b) in found.spaces.iter().zip(&floor.spaces) {
            assert!((a.floor - b.floor).abs() < part * b.floor, "{a:?}, {b:?}");
            assert!((a.model - b.model).abs() < part * b.model, "{a:?}, {b:?}");
        }
    }
}

/// Images a second of 20 evaluations, copies to and from the GPU included, at the batches that `$MOTE_GPU_BATCHES` names.
#[test]
fn speed_of_the_float_network_where_a_gpu_is() {
    let asked = std::env::var("MOTE_GPU_BATCHES").unwrap_or_else(|_| "1 64 1024 8192".into());
    let batches: Vec<usize> = asked
        .split_whitespace()
        .map(|n| n.parse().expect("batches in numbers"))
        .collect();
    for path in [checkpoints::digits(), checkpoints::fashion()] {
        for precision in [Precision::F32, Precision::F16] {
            for &batch in &batches {
                let Some(device) = gpu("the float network's speed") else {
                    return;
                };
                if moved("the float network's speed") {
                    return;
                }
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let graph = checkpoints::checkpoint(&path).graph;
                let seconds = twenty(device, &graph, precision, batch);
                let (step, images) = (seconds / 20.0 * 1e3, batch as f64 / seconds);
                println!("{name}, {precision:?}, batch {batch}: {step:.3} ms a step, {images:.0} images a second");
            }
        }
    }
}

/// Seconds of 20 evaluations after one that warms up.
fn twenty(device: Device, graph: &Graph, precision: Precision, batch: usize) -> f64 {
    let output = graph.output.expect("an output");
    let mut network = DeviceNetwork::new(device, graph, precision, &[output], batch).expect("a network");
    let inputs = Inputs::of(graph, batch, 1, false);
    let mut pass = || {
        network
            .run(&inputs.x, &inputs.timesteps, &inputs.labels)
            .expect("a pass")
    };
    pass();
    let began = Instant::now();
    for _ in 0..20 {
        pass();
    }
    began.elapsed().as_secs_f64()
}
