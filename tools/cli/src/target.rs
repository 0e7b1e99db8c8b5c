//! Options that describe a board.

use mote_tools::target::Described;

/// A board's figures, alone or in place of those of a named board.
#[derive(Debug, Clone, clap::Args)]
pub struct DescribedArgs {
    /// Size of the board's flash, such as 512K or 1M; with --ram and --core a board needs no name
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    flash: Option<String>,
    /// Size of the RAM that holds stack, statics and arena
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    ram: Option<String>,
    /// The core, such as cortex-m0, cortex-m4f, cortex-m33 or rv32imac
    #[arg(long, value_name = "CORE")]
    core: Option<String>,
    /// The core's clock, such as 64MHz
    #[arg(long, value_name = "CLOCK", allow_hyphen_values = true)]
    clock: Option<String>,
}

impl DescribedArgs {
    /// Whether anything is said.
    pub fn is_given(&self) -> bool {
        !Described::from(self).is_empty()
    }
}

impl From<&DescribedArgs> for Described {
    fn from(args: &DescribedArgs) -> Self {
        Self {
            flash: args.flash.clone(),
            ram: args.ram.clone(),
            core: args.core.clone(),
            clock: args.clock.clone(),
        }
    }
}
