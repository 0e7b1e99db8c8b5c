//! The worlds that a project can be of, and the files of each.

use super::place::{Driver, Embassy, Place};
use crate::Error;

/// A world that firmware is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Rust, with cortex-m-rt or riscv-rt.
    Rust,
    /// Rust, asynchronous, with Embassy.
    Embassy,
    /// C, with CMake.
    C,
    /// C, with Zephyr.
    Zephyr,
    /// C, with ESP-IDF.
    EspIdf,
    /// An Arduino sketch.
    Arduino,
}

/// A path in the project, and the template of its text.
type File = (&'static str, &'static str);

/// The text of a template.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../assets/projects/", $path))
    };
}

/// A file of the complete example in C, which its project shares.
macro_rules! shared {
    ($path:literal) => {
        include_str!(concat!("../../../runtime/c/examples/bare/", $path))
    };
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Rust,
        Self::Embassy,
        Self::C,
        Self::Zephyr,
        Self::EspIdf,
        Self::Arduino,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Embassy => "embassy",
            Self::C => "c",
            Self::Zephyr => "zephyr",
            Self::EspIdf => "esp-idf",
            Self::Arduino => "arduino",
        }
    }

    /// What of such a project Mote's tests do not do.
    #[must_use]
    pub const fn unchecked(self) -> Option<&'static str> {
        match self {
            Self::Rust | Self::C => None,
            Self::Embassy => Some("Mote's tests do not build it: Embassy's packages come from the network"),
            Self::Zephyr => Some("Mote's tests have no Zephyr SDK: the program is compiled there against stand-ins"),
            Self::EspIdf => Some("Mote's tests have no ESP-IDF: the program is compiled there against stand-ins"),
            Self::Arduino => Some("Mote's tests have no Arduino core: the sketch is compiled there against stand-ins"),
        }
    }

    /// Refuses a board that the world does not have.
    pub(super) fn allows(self, place: &Place) -> Result<(), Error> {
        let refuse =
            |why: &str, help: &str| Err(Error::refused(format_args!("--kind {}: {why}", self.name())).help(help));
        match self {
            Self::Embassy if place.embassy.is_none() => refuse(
                &format!("there is no template for {}", place.name),
                "give --board nrf52840, nrf52833, nrf52832, rp2040 or rp2350, or --kind rust",
            ),
            Self::EspIdf if !place.chip.starts_with("esp32") => refuse(
                &format!("{} is no chip of Espressif", place.name),
                "give --board esp32c3, esp32c6 or esp32p4, or another --kind",
            ),
            Self::Rust | Self::C if !place.starts_alone => refuse(
                &format!(
                    "{} does not start from a vector table at the beginning of its flash alone",
                    place.name
                ),
                "give the --kind of its own world: embassy for the RP2040 and RP2350, esp-idf for chips of Espressif, zephyr for i.MX RT",
            ),
            _ => Ok(()),
        }
    }

    /// The files beside the model.
    pub(super) fn files(self, place: &Place) -> Vec<File> {
        match self {
            Self::Rust => rust(place),
            Self::Embassy => embassy(place),
            Self::C => c(place),
            Self::Zephyr => vec![
                ("CMakeLists.txt", template!("zephyr/CMakeLists.txt.in")),
                ("prj.conf", template!("zephyr/prj.conf.in")),
                ("west.yml", template!("zephyr/west.yml")),
                ("src/main.c", template!("zephyr/main.c.in")),
                ("src/model.h", template!("c/model.h.in")),
                ("README.md", template!("zephyr/README.md.in")),
                (".gitignore", "/build\n"),
            ],
            Self::EspIdf => vec![
                ("CMakeLists.txt", template!("esp-idf/CMakeLists.txt.in")),
                ("sdkconfig.defaults", template!("esp-idf/sdkconfig.defaults.in")),
                ("main/CMakeLists.txt", template!("esp-idf/main_CMakeLists.txt.in")),
                ("main/main.c", template!("esp-idf/main.c.in")),
                ("main/model.h", template!("c/model.h.in")),
                ("README.md", template!("esp-idf/README.md.in")),
                (".gitignore", "/build\n/sdkconfig\n"),
            ],
            Self::Arduino => vec![
                ("@NAME@/@NAME@.ino", template!("arduino/sketch.ino.in")),
                ("@NAME@/model.h", template!("c/model.h.in")),
                (
                    "libraries/Mote/library.properties",
                    template!("arduino/library.properties.in"),
                ),
                ("libraries/Mote/src/Mote.h", template!("arduino/Mote.h")),
                ("build-mote.sh", template!("arduino/build-mote.sh.in")),
                ("README.md", template!("arduino/README.md.in")),
                (".gitignore", template!("arduino/gitignore")),
            ],
        }
    }

    /// Where the model lies in the project.
    pub(super) fn model_path(self, name: &str, model: &str) -> String {
        match self {
            Self::EspIdf => format!("main/{model}"),
            // Arduino's builder takes no binary file in.
            Self::Arduino => format!("{name}/model.c"),
            _ => model.to_owned(),
        }
    }

    /// The model as the project has it.
    pub(super) fn model_bytes(self, file: &[u8]) -> Vec<u8> {
        if self != Self::Arduino {
            return file.to_vec();
        }
        let rows: Vec<String> = file
            .chunks(32)
            .map(|row| row.iter().map(|byte| format!("{byte},")).collect())
            .collect();
        format!(
            "/* The model file, at a multiple of 16. */\n#include \"model.h\"\n\n__attribute__((aligned(16))) const uint8_t mote_model_file[] = {{\n{}\n}};\nconst uint32_t mote_model_file_bytes = sizeof mote_model_file;\n",
            rows.join("\n")
        )
        .into_bytes()
    }

    /// The commands that build it, and run it.
    pub(super) const fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Rust | Self::Embassy => &["rustup target add @TARGET@", "cargo run --release"],
            Self::C => &[
                "rustup target add @TARGET@",
                "cmake -B build && cmake --build build",
                "cmake --build build --target run",
            ],
            Self::Zephyr => &["rustup target add @SOFT_TARGET@", "west build -b @ZEPHYR_BOARD@"],
            Self::EspIdf => &["rustup target add @TARGET@", "idf.py set-target @CHIP@ && idf.py build"],
            Self::Arduino => &[
                "rustup target add @SOFT_TARGET@",
                "sh build-mote.sh",
                "arduino-cli compile --fqbn YOUR:BOARD:HERE --libraries libraries @NAME@",
            ],
        }
    }
}

fn rust(place: &Place) -> Vec<File> {
    let (board, memory) = if place.is_riscv() {
        (template!("rust/riscv/board.rs"), template!("rust/riscv/memory.x.in"))
    } else {
        (
            template!("rust/cortex-m/board.rs"),
            template!("rust/cortex-m/memory.x.in"),
        )
    };
    let driver = match place.driver {
        Driver::Memory => template!("rust/driver/memory.rs"),
        Driver::Nvmc => template!("rust/driver/nvmc.rs.in"),
        Driver::None => template!("rust/driver/none.rs"),
    };
    vec![
        ("Cargo.toml", template!("rust/Cargo.toml.in")),
        (".cargo/config.toml", template!("rust/config.toml.in")),
        ("build.rs", template!("rust/build.rs.in")),
        ("memory.x", memory),
        ("src/main.rs", template!("rust/main.rs.in")),
        ("src/board.rs", board),
        ("src/host.rs", template!("rust/host.rs")),
        ("src/flash.rs", template!("rust/flash.rs")),
        ("src/driver.rs", driver),
        ("README.md", template!("rust/README.md.in")),
        (".gitignore", "/target\n"),
    ]
}

fn embassy(place: &Place) -> Vec<File> {
    let (board, memory) = match place.embassy {
        Some(Embassy::Rp("rp2040")) => (
            template!("embassy/board_rp.rs.in"),
            template!("embassy/memory_rp2040.x.in"),
        ),
        Some(Embassy::Rp(_)) => (
            template!("embassy/board_rp.rs.in"),
            template!("embassy/memory_rp235xa.x.in"),
        ),
        _ => (
            template!("embassy/board_nrf.rs.in"),
            template!("embassy/memory_nrf.x.in"),
        ),
    };
    vec![
        ("Cargo.toml", template!("embassy/Cargo.toml.in")),
        (".cargo/config.toml", template!("embassy/config.toml.in")),
        ("build.rs", template!("embassy/build.rs.in")),
        ("memory.x", memory),
        ("src/main.rs", template!("embassy/main.rs.in")),
        ("src/board.rs", board),
        ("README.md", template!("embassy/README.md.in")),
        (".gitignore", "/target\n"),
    ]
}

fn c(place: &Place) -> Vec<File> {
    let (board, start) = if place.is_riscv() {
        (
            template!("c/board_riscv.c"),
            ("start_riscv.c", shared!("start_riscv.c")),
        )
    } else {
        (
            template!("c/board_cortex_m.c"),
            ("start_cortex_m.c", shared!("start_cortex_m.c")),
        )
    };
    let driver = match place.driver {
        Driver::Memory => template!("c/driver_memory.c"),
        Driver::Nvmc => template!("c/driver_nvmc.c.in"),
        Driver::None => template!("c/driver_none.c"),
    };
    vec![
        ("CMakeLists.txt", template!("c/CMakeLists.txt.in")),
        ("clang.cmake", shared!("clang.cmake")),
        ("link.ld", template!("c/link.ld.in")),
        ("main.c", template!("c/main.c.in")),
        ("model.h", template!("c/model.h.in")),
        ("board.c", board),
        ("board.h", template!("c/board.h")),
        ("console.c", shared!("console.c")),
        ("console.h", shared!("console.h")),
        start,
        ("snapshot.c", template!("c/snapshot.c")),
        ("snapshot.h", template!("c/snapshot.h")),
        ("driver.c", driver),
        ("driver.h", template!("c/driver.h")),
        ("README.md", template!("c/README.md.in")),
        (".gitignore", "/build\n"),
    ]
}
