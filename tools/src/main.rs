//! The `mote` command: see `mote --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
