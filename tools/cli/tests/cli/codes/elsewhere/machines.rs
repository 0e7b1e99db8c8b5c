//! Of machines: what is installed, simulated boards, graphics processors.

use super::Row;
use mote_cuda::CudaError;
use mote_firmware_sim::{Memory, SimError};
use mote_runtime::internals::features::Feature;
use mote_tools::backend::BackendError;
use mote_tools::{Error, ErrorKind};

const MACHINE: &str = "it depends on what is installed on the machine";

const BOARD: &str = "it needs QEMU, the compiler of the core, and a fault of one of them or of the firmware";

pub fn machine() -> Vec<Row> {
    let gone = BackendError::Unavailable {
        name: "cuda".into(),
        what: "there is no GPU".into(),
        how: "install NVIDIA's driver 580 or later".into(),
    };
    vec![
        (
            Error::of(ErrorKind::Unavailable, "no simulated board can run here")
                .help("`mote boards` says what is missing"),
            1005,
            MACHINE,
            &["no simulated board", "mote boards"],
        ),
        (
            gone.into(),
            1601,
            MACHINE,
            &["cuda cannot run here", "no GPU", "driver 580"],
        ),
        (
            BackendError::NotInPage(Feature::Heun).into(),
            1602,
            "the backend `wasm` is not in every build",
            &["'heun'", "module of the page", "another backend"],
        ),
        (
            BackendError::Page("status 3".into()).into(),
            1603,
            "the module runs whatever the runtime runs",
            &["module of the page", "status 3", "report it"],
        ),
    ]
}

pub fn devices() -> Vec<Row> {
    let board = |error: SimError| BackendError::Board(error).into();
    vec![
        (
            board(SimError::DoesNotFit {
                board: "microbit",
                memory: Memory::Flash,
                needed: 300_000,
                available: 262_144,
                parts: "model 200000, code 100000".into(),
            }),
            1651,
            "the command says so by 1004 before anything is built, where it knows the firmware's size",
            &["microbit", "300000", "262144", "narrower `--scheme`"],
        ),
        (
            board(SimError::Missing {
                what: "qemu-system-arm".into(),
                how: "install QEMU 9 or later".into(),
            }),
            1652,
            MACHINE,
            &["qemu-system-arm is missing", "install QEMU", "mote doctor"],
        ),
        (
            board(SimError::Model("cut off".into())),
            1653,
            BOARD,
            &["refused: cut off", "Convert the checkpoint"],
        ),
        (
            board(SimError::Request("no image".into())),
            1654,
            BOARD,
            &["bad request: no image", "fewer images"],
        ),
        (
            board(SimError::NoSource("/none".into())),
            1655,
            MACHINE,
            &["/none", "MOTE_FIRMWARE_DIR"],
        ),
        (
            board(SimError::Build {
                step: "compilation",
                target: "thumbv6m-none-eabi",
                output: "error: no core".into(),
            }),
            1656,
            BOARD,
            &["thumbv6m-none-eabi", "error: no core", "mote doctor"],
        ),
        (
            board(SimError::Timeout {
                board: "microbit",
                seconds: 60.0,
                log: "step 3".into(),
            }),
            1657,
            BOARD,
            &["microbit", "60 s", "step 3", "fewer steps"],
        ),
        (
            board(SimError::Failed {
                board: "microbit",
                why: "it panicked".into(),
                log: "step 3".into(),
            }),
            1658,
            BOARD,
            &["microbit", "it panicked", "step 3", "report it"],
        ),
        (
            board(SimError::Report {
                board: "microbit",
                what: "no end".into(),
            }),
            1659,
            BOARD,
            &["microbit", "no end", "Run it again"],
        ),
        (
            board(SimError::Io {
                what: "writing image.elf".into(),
                source: std::io::Error::other("no room"),
            }),
            1660,
            BOARD,
            &["writing image.elf", "no room", "free space"],
        ),
    ]
}

pub fn processors() -> Vec<Row> {
    let gpu = "it needs a graphics processor, or a fault of its driver";
    let rows: [(CudaError, u16, &'static [&'static str]); 9] = [
        (
            CudaError::Missing {
                what: "libcuda.so".into(),
                how: "install a driver".into(),
            },
            1701,
            &["libcuda.so", "driver 580", "--backend cpu"],
        ),
        (
            CudaError::Driver("code 719".into()),
            1702,
            &["code 719", "--backend cpu"],
        ),
        (
            CudaError::Shared {
                what: "attention",
                needed: 300_000,
                found: 200_000,
            },
            1703,
            &["attention", "300000", "200000", "--backend cpu"],
        ),
        (
            CudaError::Memory { needed: 9, found: 3 },
            1704,
            &["needs 9 bytes", "3 are free", "--backend cpu"],
        ),
        (
            CudaError::Model,
            1705,
            &["memory that it does not have", "Convert the checkpoint"],
        ),
        (CudaError::Operator("pool"), 1706, &["'pool'", "another backend"]),
        (CudaError::Unsupported("pooling"), 1707, &["pooling", "--float cpu"]),
        (CudaError::Range, 1708, &["f16's range", "--float cuda"]),
        (CudaError::Buffer, 1709, &["memory of the GPU", "report it"]),
    ];
    rows.into_iter()
        .map(|(error, code, words)| (BackendError::Cuda(error).into(), code, gpu, words))
        .collect()
}
