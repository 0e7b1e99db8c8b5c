//! Tools that are here: what each is for, its version, and how to get one that is missing.
//!
//! Converting, sampling and validating on this machine need none of them. A firmware needs a compiler, a simulated board its simulator, and
//! so on: [`Need`] says which task goes without.

mod list;
mod version;

use serde::Serialize;

/// The task that a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Model files, and firmware that holds them: the main job.
    Firmware,
    /// Firmware on simulated boards.
    Simulation,
    /// Firmware in C, and projects of other worlds.
    C,
    /// The page that samples, in a browser.
    Browser,
    /// Python's package.
    Python,
    /// A graphics processor.
    Gpu,
}

impl Need {
    /// Every task, in the order of the list.
    pub const ALL: [Self; 6] = [
        Self::Firmware,
        Self::Simulation,
        Self::C,
        Self::Browser,
        Self::Python,
        Self::Gpu,
    ];

    /// What it is, for people.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Firmware => "Firmware in Rust",
            Self::Simulation => "Simulated boards",
            Self::C => "Firmware in C",
            Self::Browser => "The page that samples",
            Self::Python => "Python",
            Self::Gpu => "Graphics processor",
        }
    }
}

/// What was found of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its program, or what it is.
    pub name: String,
    /// The task that it is for.
    pub need: Need,
    /// What it does there.
    pub purpose: String,
    /// What it says of its version, in a line; `None` where it is missing.
    pub version: Option<String>,
    /// Whether it is here and recent enough.
    pub good: bool,
    /// How to get it.
    pub install: String,
}

/// Looks for every tool, all at once.
#[must_use]
pub fn examine() -> Vec<Finding> {
    let sought = list::sought();
    std::thread::scope(|scope| {
        let looking: Vec<_> = sought.into_iter().map(|one| scope.spawn(move || one.look())).collect();
        looking.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

/// Whether everything for the main job is here.
#[must_use]
pub fn is_ready(found: &[Finding]) -> bool {
    let main = |one: &&Finding| one.need == Need::Firmware;
    found.iter().filter(main).all(|one| one.good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_job_alone_decides() {
        let one = |need, good| Finding {
            name: "tool".into(),
            need,
            purpose: String::new(),
            version: None,
            good,
            install: String::new(),
        };
        assert!(is_ready(&[one(Need::Firmware, true), one(Need::Gpu, false)]));
        assert!(!is_ready(&[one(Need::Firmware, true), one(Need::Firmware, false)]));
    }
}
