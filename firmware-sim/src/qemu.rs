//! One run of an image under QEMU, within limits of time and of output.
//!
//! Whatever QEMU does, a run ends: it may hang, close its output and stay, write without end, or leave a child that holds the pipe. And
//! whatever ends the command ends QEMU.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::availability::emulator;
use crate::boards::{Board, Emulator};
use crate::cycles::{Traced, Tracer};
use crate::error::SimError;
use crate::toolchain::output_line;

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
    /// It wrote more than the work can.
    Flooded,
}

/// What a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// On the host's clock.
    pub time: Duration,
    /// Written to stdout.
    pub bytes: u64,
}

/// How often a silent QEMU is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Of stderr, what is kept.
const MOST_STDERR_BYTES: usize = 64 * 1024;

/// Runs the image in `elf` with `arguments` on its command line; `on_output` gets what it writes, as it comes.
///
/// # Errors
/// `Missing` without QEMU; `Io` where it cannot be started.
pub fn run(
    board: &Board,
    elf: &Path,
    arguments: &[String],
    limits: Limits,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<End, SimError> {
    let mut child = start(board, elf, arguments, &[])?;
    let errors = drain_head(child.child.stderr.take());
    finish(child, &errors, limits, on_output)
}

/// As [`run`], with every instruction that runs counted by a core's timing model. Some microseconds each.
///
/// # Errors
/// As of [`run`].
pub fn run_traced(
    board: &Board,
    elf: &Path,
    arguments: &[String],
    limits: Limits,
    tracer: Tracer,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<(End, Option<Traced>), SimError> {
    // Later releases have another name for it.
    let one = if major(board)? < 9 {
        "-singlestep"
    } else {
        "-one-insn-per-tb"
    };
    let mut child = start(board, elf, arguments, &[one, "-d", "in_asm,exec,nochain"])?;
    let ((sender, errors), (traced_to, traced)) = (sync_channel(1), sync_channel(1));
    if let Some(mut pipe) = child.child.stderr.take() {
        std::thread::spawn(move || {
            let (mut tracer, mut buffer) = (tracer, vec![0; 256 * 1024]);
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                tracer.feed(&buffer[..length]);
            }
            // Nobody may wait for them any more.
            let _ = sender.send(std::mem::take(&mut tracer.other));
            let _ = traced_to.send(tracer.finish());
        });
    }
    let end = finish(child, &errors, limits, on_output)?;
    Ok((end, traced.recv_timeout(LAG).ok()))
}

/// How long the log of a QEMU that has ended may take to be read.
const LAG: Duration = Duration::from_secs(10);

/// The first number of QEMU's version; that of Debian 12's where it does not say one.
fn major(board: &Board) -> Result<u32, SimError> {
    let text = output_line(Command::new(emulator(board)?).arg("--version")).unwrap_or_default();
    let number = text.split("version ").nth(1).and_then(|rest| rest.split('.').next());
    Ok(number.and_then(|number| number.parse().ok()).unwrap_or(7))
}

/// Reads what `child` writes until it has ended, or must be ended.
fn finish(
    mut child: Running,
    errors: &Receiver<Vec<u8>>,
    limits: Limits,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<End, SimError> {
    let deadline = Instant::now() + limits.time;
    let output = drain(child.child.stdout.take());
    let mut written = 0;
    let (mut open, mut ended) = (true, None);
    while open || ended.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(End::TimedOut);
        }
        let heard = if open {
            output.recv_timeout(left.min(GLANCE))
        } else {
            std::thread::sleep(left.min(GLANCE / 10));
            Err(RecvTimeoutError::Timeout)
        };
        match heard {
            Ok(bytes) => {
                written += bytes.len() as u64;
                if written > limits.bytes {
                    return Ok(End::Flooded);
                }
                on_output(&bytes);
            }
            // It has ended, and all that it wrote is read: who holds the pipe now is a child that it left.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => open = false,
            Err(RecvTimeoutError::Timeout) => {
                ended = child.child.try_wait().map_err(SimError::io("waiting for QEMU"))?
            }
            Err(RecvTimeoutError::Disconnected) => open = false,
        }
    }
    let status: ExitStatus = ended.unwrap_or_default();
    drop(child);
    let stderr = errors.recv_timeout(GLANCE).unwrap_or_default();
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

/// Kills QEMU when dropped, and what it has started, however this ends.
struct Running {
    child: Child,
    /// What [`MARK`] holds in its environment, and in that of whatever it starts.
    mark: String,
}

/// The variable by which processes of a run are known, also those that left its process group.
const MARK: &str = "MOTE_SIMULATION";

impl Running {
    /// Starts `command` as the first of a process group of its own, which ends with this thread.
    fn start(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        #[cfg(target_os = "linux")]
        ends_with_its_parent(command);
        let mark = mark();
        let child = command.env(MARK, &mark).spawn()?;
        Ok(Self { child, mark })
    }
}

/// Another one for each run of each process.
fn mark() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{run}", std::process::id())
}

/// Kills the processes whose environment has `mark`: a child may have begun a session of its own, which no signal to the group reaches.
#[cfg(target_os = "linux")]
fn end_marked(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let id = process.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(id) = id.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        // Of other users' processes it cannot be read.
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

/// Has the system kill the process when the thread that started it ends, even by a signal that cannot be caught.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "no safe call sets what a child asks of the system before it runs its program"
)]
fn ends_with_its_parent(command: &mut Command) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that ended before the signal was asked for sends none.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls (prctl, getppid), which are async-signal-safe, and allocates
    // nothing.
    unsafe { command.pre_exec(ask) };
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        #[cfg(target_os = "linux")]
        end_marked(&self.mark);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(board: &Board, elf: &Path, arguments: &[String], more: &[&str]) -> Result<Running, SimError> {
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
        .args(["-semihosting-config", &semihosting])
        .args(more)
        .arg("-kernel")
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::start(&mut command).map_err(SimError::io(format!("starting {}", program.display())))
}

/// Reads a pipe on a thread of its own, a few pieces ahead, so that neither side waits for ever and memory stays bounded.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(16);
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

/// Reads a pipe to its end on a thread of its own, and gives what it began with.
fn drain_head(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let (mut head, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let room = MOST_STDERR_BYTES - head.len();
                head.extend_from_slice(&buffer[..length.min(room)]);
            }
            // Nobody may wait for it any more.
            let _ = sender.send(head);
        });
    }
    receiver
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What becomes of a shell script in QEMU's place, what it wrote, and how long it took.
    fn shell(script: &str, time: Duration, bytes: u64) -> (End, Vec<u8>, Duration) {
        let began = Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command).expect("there is a shell");
        let errors = drain_head(running.child.stderr.take());
        let mut output = Vec::new();
        let end = finish(running, &errors, Limits { time, bytes }, &mut |more| {
            output.extend_from_slice(more)
        });
        (end.expect("it can be waited for"), output, began.elapsed())
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(600);

    fn exit(success: bool, stderr: &str) -> End {
        let stderr = stderr.into();
        End::Exit { success, stderr }
    }

    #[test]
    fn what_is_written_is_read_to_the_end() {
        let (end, output, _) = shell("printf 12345; printf why >&2; exit 1", LONG, 5);
        assert_eq!((end, &output[..]), (exit(false, "why"), &b"12345"[..]));
    }

    #[test]
    fn a_hang_with_its_output_closed_ends_at_the_limit() {
        let (end, _, took) = shell("exec >&- 2>&-; sleep 1000", SHORT, 100);
        assert_eq!(end, End::TimedOut);
        assert!(took < LONG / 2);
    }

    #[test]
    fn a_flood_is_stopped_at_the_limit_of_its_bytes() {
        let (end, output, took) = shell("while :; do echo endless endless endless endless; done", LONG, 100_000);
        assert_eq!(end, End::Flooded);
        assert!(output.len() <= 100_000 && took < LONG / 2);
    }

    #[test]
    fn a_flood_of_errors_takes_no_memory() {
        let (end, ..) = shell("head -c 100000000 /dev/zero >&2; exit 0", LONG, 100);
        let End::Exit { success: true, stderr } = end else {
            panic!("{end:?}")
        };
        assert!(stderr.len() <= MOST_STDERR_BYTES);
    }

    /// Set for the process that [`a_command_that_is_killed_takes_its_simulator_along`] starts and kills.
    const VICTIM: &str = "MOTE_TEST_VICTIM";

    #[test]
    #[cfg(target_os = "linux")]
    fn a_command_that_is_killed_takes_its_simulator_along() {
        if std::env::var_os(VICTIM).is_some() {
            shell("sleep 1000", LONG, 0);
            return;
        }
        let name = "qemu::tests::a_command_that_is_killed_takes_its_simulator_along";
        let mut command = Command::new(std::env::current_exe().expect("this is a program"));
        command.args(["--exact", name, "--nocapture"]).env(VICTIM, "1");
        let mut victim = command.stdout(Stdio::null()).spawn().expect("it starts");
        let simulators = || -> Vec<u32> {
            let id = victim.id();
            let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
            let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
            children
                .flat_map(|text| {
                    text.split_whitespace()
                        .filter_map(|id| id.parse().ok())
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        let patience = Instant::now() + LONG;
        let mut found = vec![];
        while found.is_empty() {
            assert!(Instant::now() < patience, "no simulator was started");
            found = simulators();
        }
        victim.kill().expect("it runs");
        victim.wait().expect("it ends");
        let runs = |id: &u32| Path::new(&format!("/proc/{id}")).exists();
        while found.iter().any(runs) {
            assert!(Instant::now() < patience, "{found:?} run on");
            std::thread::sleep(GLANCE);
        }
    }

    #[test]
    fn a_child_that_is_left_behind_is_not_waited_for_and_ends() {
        let (end, output, took) = shell("sleep 1000 & echo $!; exit 0", LONG, 100);
        assert_eq!(end, exit(true, ""));
        assert!(took < LONG / 2);
        ends(output);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_with_a_session_of_its_own_ends_with_its_run() {
        let child = "setsid sh -c 'echo $$; exec sleep 1000' & ";
        let (end, output, _) = shell(&format!("{child} while :; do sleep 1; done"), SHORT, 100);
        assert_eq!(end, End::TimedOut);
        ends(output);
        let (end, output, _) = shell(&format!("({child}); sleep 0.3; exit 0"), LONG, 100);
        assert_eq!(end, exit(true, ""));
        ends(output);
    }

    /// Waits until the process of the number in `output` is gone.
    fn ends(output: Vec<u8>) {
        let child = String::from_utf8(output).expect("a number");
        // Killed, though perhaps not yet taken leave of.
        let gone = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            status.map_or(true, |status| status.contains(") Z "))
        };
        let patience = Instant::now() + LONG;
        while cfg!(target_os = "linux") && !gone() {
            assert!(Instant::now() < patience, "{child} runs on");
            std::thread::sleep(GLANCE);
        }
    }
}
