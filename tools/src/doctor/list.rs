//! The tools that are looked for.

use super::{Finding, Need, version};
use mote_firmware_sim::{SimError, Toolchain, boards};

/// The oldest compiler that builds this workspace.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");
/// The oldest Python that the package is for (`tools/python/pyproject.toml`).
const OLDEST_PYTHON: &str = "3.10";

/// How a tool is found.
enum By {
    /// By what it says of its version, called with these words; at least of this version.
    Program(&'static str, &'static [&'static str], Option<&'static str>),
    /// A compiler and a linker for this target.
    Target(&'static str),
    /// A driver and a device.
    Cuda,
}

/// A tool that is looked for.
pub struct Sought {
    need: Need,
    by: By,
    purpose: &'static str,
    install: &'static str,
}

const fn program(need: Need, name: &'static str, purpose: &'static str, install: &'static str) -> Sought {
    Sought {
        need,
        by: By::Program(name, &["--version"], None),
        purpose,
        install,
    }
}

/// All of them.
pub fn sought() -> Vec<Sought> {
    let rust = "https://rustup.rs";
    let at_least = |name, oldest, one: Sought| Sought {
        by: By::Program(name, &["--version"], Some(oldest)),
        ..one
    };
    let mut list = vec![
        at_least(
            "rustc",
            OLDEST_RUST,
            program(Need::Firmware, "rustc", "compiles firmware, and mote itself", rust),
        ),
        program(Need::Firmware, "cargo", "builds it", rust),
    ];
    let mut targets: Vec<&str> = boards().iter().map(|board| board.core.target).collect();
    targets.sort_unstable();
    targets.dedup();
    list.extend(targets.into_iter().map(|target| Sought {
        need: Need::Firmware,
        by: By::Target(target),
        purpose: "a compiler and a linker for these cores",
        install: "",
    }));
    let (simulated, c, browser, python) = (Need::Simulation, Need::C, Need::Browser, Need::Python);
    list.extend([
        program(
            simulated,
            "qemu-system-arm",
            "runs Arm boards",
            "apt-get install qemu-system-arm",
        ),
        program(
            simulated,
            "qemu-system-riscv32",
            "runs RISC-V boards",
            "apt-get install qemu-system-misc",
        ),
        program(
            c,
            "arm-none-eabi-gcc",
            "compiles your own C for Arm",
            "apt-get install gcc-arm-none-eabi",
        ),
        program(
            c,
            "arm-none-eabi-objdump",
            "shows a firmware's code",
            "apt-get install binutils-arm-none-eabi",
        ),
        program(
            c,
            "clang",
            "compiles the project of `mote new --kind c`",
            "apt-get install clang",
        ),
        program(c, "cmake", "builds it", "apt-get install cmake"),
        program(
            browser,
            "chromium",
            "opens report.html in the tests; any browser does for people",
            "apt-get install chromium",
        ),
        program(
            browser,
            "chromedriver",
            "drives it in the tests",
            "apt-get install chromium-driver",
        ),
        at_least(
            "python3",
            OLDEST_PYTHON,
            program(
                python,
                "python3",
                "runs the package `mote`",
                "apt-get install python3 python3-venv",
            ),
        ),
        program(
            python,
            "maturin",
            "builds it; pip fetches it by itself",
            "pip install maturin",
        ),
        Sought {
            need: python,
            by: By::Program(
                "python3",
                &[
                    "-c",
                    "from importlib.metadata import version; print('PyTorch', version('torch'))",
                ],
                None,
            ),
            purpose: "exports networks (`torch.export`); mote itself reads them without",
            install: "pip install torch",
        },
        Sought {
            need: Need::Gpu,
            by: By::Cuda,
            purpose: "the backend cuda",
            install: "",
        },
    ]);
    list
}

impl Sought {
    /// What there is of it.
    pub fn look(&self) -> Finding {
        let finding = |name: &str, version: Option<String>, good: bool, install: String| Finding {
            name: name.to_owned(),
            need: self.need,
            purpose: self.purpose.to_owned(),
            version,
            good,
            install,
        };
        match self.by {
            By::Program(program, words, oldest) => {
                let said = version::line(program, words);
                let recent = |line: &String| match oldest {
                    None => true,
                    Some(oldest) => version::numbers(line) >= version::numbers(oldest),
                };
                let good = said.as_ref().is_some_and(recent);
                let name = if words == ["--version"] { program } else { "PyTorch" };
                let install = match oldest {
                    Some(oldest) => format!("{}, version {oldest} or later", self.install),
                    None => self.install.to_owned(),
                };
                finding(name, said, good, install)
            }
            By::Target(target) => match Toolchain::find(target) {
                Ok(found) => finding(
                    target,
                    Some(found.describe()),
                    true,
                    format!("rustup target add {target}"),
                ),
                Err(error) => finding(target, None, false, how(error)),
            },
            By::Cuda => match mote_cuda::driver::missing() {
                None => finding(
                    "an NVIDIA GPU",
                    Some("driver and device are here".into()),
                    true,
                    String::new(),
                ),
                Some((what, how)) => finding(&what, None, false, how),
            },
        }
    }
}

/// How to get what a toolchain lacks.
fn how(error: SimError) -> String {
    match error {
        SimError::Missing { how, .. } => how,
        other => other.to_string(),
    }
}
