//! One run of an image under QEMU, with a time limit.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::availability::emulator;
use crate::boards::{Board, Emulator};
use crate::error::SimError;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The firmware ended the simulation, with success or failure.
    Exit {
        /// Whether it said success.
        success: bool,
        /// The first lines of QEMU's own stderr: warnings, or why it could not start.
        stderr: String,
    },
    /// QEMU itself gave up (a core that locks up), with what it wrote on stderr.
    Aborted {
        /// The first lines of stderr.
        stderr: String,
    },
    /// The time limit passed.
    TimedOut,
}

/// Runs the image in `elf` with `arguments` on its command line; `on_output` gets what it writes, as it comes.
///
/// # Errors
/// `Missing` without QEMU; `Io` where it cannot be started.
pub fn run(
    board: &Board,
    elf: &Path,
    arguments: &[String],
    limit: Duration,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<End, SimError> {
    let deadline = Instant::now() + limit;
    let mut child = start(board, elf, arguments)?;
    let output = drain(child.0.stdout.take());
    let errors = drain(child.0.stderr.take());
    loop {
        match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => on_output(&bytes),
            Err(RecvTimeoutError::Timeout) => return Ok(End::TimedOut),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // Its output is closed, so it is ending.
    let status = child.0.wait().map_err(SimError::io("waiting for QEMU"))?;
    let stderr: Vec<u8> = errors.iter().flatten().collect();
    // A core that locks up is named before a long dump of its registers.
    let stderr: String = String::from_utf8_lossy(&stderr)
        .lines()
        .take(5)
        .collect::<Vec<_>>()
        .join("\n");
    Ok(match status.code() {
        Some(status @ 0..=1) => End::Exit {
            success: status == 0,
            stderr,
        },
        _ => End::Aborted { stderr },
    })
}

/// Kills QEMU when dropped, however this ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(board: &Board, elf: &Path, arguments: &[String]) -> Result<Running, SimError> {
    let program = emulator(board)?;
    let mut semihosting = String::from("enable=on,target=native,arg=mote");
    for argument in arguments {
        semihosting.push_str(",arg=");
        // A comma within a value is written twice.
        semihosting.push_str(&argument.replace(',', ",,"));
    }
    let mut command = Command::new(&program);
    command.args(["-M", board.machine]);
    if board.emulator == Emulator::Riscv32 {
        command.args(["-bios", "none"]);
    }
    command
        .args([
            "-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "null",
        ])
        .args(["-semihosting-config", &semihosting, "-kernel"])
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .map(Running)
        .map_err(SimError::io(format!("starting {}", program.display())))
}

/// Reads a pipe on a thread of its own, so that neither side waits for ever.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}
