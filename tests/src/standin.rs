//! A GPU's stand-in: the kernels' source compiled for this machine's processor (`tests/standin`), every thread a fiber.
//!
//! It shows that the kernels compute what they should whatever the order of threads, and that they stay within their memory. It
//! says nothing about the hardware, about true concurrency, or about speed.

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::process::Command;

use mote_cuda::CudaError;
use mote_cuda::launch::{Buffer, Launch, Launcher, Limits, Recording};
use mote_cuda::network::layout::NetworkRun;
use mote_cuda::network::ops::NetworkOp;
use mote_cuda::ops::DeviceOp;
use mote_cuda::program::{DeviceMove, DeviceRun};

/// The orders in which threads are run, see `standin.cpp`.
pub const SCHEDULES: u32 = 4;

/// Bytes before and behind every buffer, and what they hold.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xC7;

/// One word of the kernels' source replaced by another, to see that the tests find it.
#[derive(Debug, Clone, Copy)]
pub struct Mutation {
    /// File in `host/cuda/kernels` or `host/cuda/kernels/network`.
    pub file: &'static str,
    /// What stands there once or more.
    pub from: &'static str,
    /// What all of it becomes.
    pub to: &'static str,
}

/// The compiled kernels.
#[derive(Debug)]
pub struct Library {
    folder: tempfile::TempDir,
    /// A unit that is left out: only one can be broken.
    without: Option<&'static str>,
}

impl Library {
    /// Compiles the kernels with g++ (or `$CXX`), with a mutation where one is given.
    pub fn compile(mutation: Option<Mutation>) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut mutated = mutation.is_none();
        let kernels = root.join("../host/cuda/kernels");
        for from in [kernels.clone(), kernels.join("network"), root.join("standin")] {
            for path in files(&from)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let mut text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
                if let Some(m) = mutation.filter(|m| m.file == name) {
                    mutated = text.contains(m.from);
                    text = text.replace(m.from, m.to);
                }
                std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
            }
        }
        if !mutated {
            return Err(format!("{mutation:?} changes nothing: the source has moved on"));
        }
        let without = mutation.map(|m| match m.file.starts_with("network") {
            true => "-DSTANDIN_WITHOUT_MOTE",
            false => "-DSTANDIN_WITHOUT_NETWORK",
        });
        let library = Self { folder, without };
        let warnings = library.link("standin.cpp", "standin.so")?;
        // A broken kernel may well be worth a warning.
        if mutation.is_none() && !warnings.is_empty() {
            return Err(warnings);
        }
        Ok(library)
    }

    /// A folder with a library of the driver, `libcuda.so`, whose GPU is the stand-in.
    pub fn driver(&self) -> Result<&Path, String> {
        match self.link("driver.cpp", "libcuda.so")? {
            warnings if warnings.is_empty() => Ok(self.folder.path()),
            warnings => Err(warnings),
        }
    }

    /// Compiles a shared library; gives the compiler's warnings.
    fn link(&self, source: &str, library: &str) -> Result<String, String> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
        // A mutated library runs little, so that optimizing it would cost more than it saves.
        let level = if self.without.is_some() { "-O1" } else { "-O2" };
        let output = Command::new(&compiler)
            .current_dir(self.folder.path())
            .args(["-std=c++20", level, "-fPIC", "-shared", "-ffp-contract=off"])
            .args([
                "-fno-strict-aliasing",
                "-U_FORTIFY_SOURCE",
                "-Wall",
                "-Wno-unknown-pragmas",
                "-Wno-unused",
            ])
            .args(self.without)
            .args(["-include", "shim.h", source, "-o", library])
            .output()
            .map_err(|error| format!("{compiler}: {error}; install g++ (bash .ci/setup)"))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// A device that runs threads in order `schedule`. Each has memory and fibers of its own.
    pub fn device(&self, schedule: u32) -> Result<Standin, String> {
        Standin::open(&self.folder.path().join("standin.so"), schedule)
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let sources = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(sources
        .filter(|path| {
            path.extension()
                .is_some_and(|ext| ["cu", "cuh", "h", "cpp"].iter().any(|known| ext == *known))
        })
        .collect())
}

type LaunchFunction = unsafe extern "C" fn(*const c_char, u32, u32, u32, *const u64, u32) -> *const c_char;

/// A device made of fibers.
#[derive(Debug)]
pub struct Standin {
    library: libloading::Library,
    /// The library under a name of its own: so loaded, its globals are this device's.
    _file: tempfile::TempPath,
    schedule: u32,
    /// Bytes of shared memory that a block can have.
    pub shared: u32,
    memory: Vec<Vec<u8>>,
    recordings: Vec<Vec<Launch>>,
    /// Launches so far, replayed ones included.
    pub launches: usize,
}

impl Standin {
    #[allow(unsafe_code)]
    fn open(path: &Path, schedule: u32) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new()
            .map_err(|error| error.to_string())?
            .into_temp_path();
        std::fs::copy(path, &file).map_err(|error| error.to_string())?;
        // SAFETY: our own library, which does nothing when it is loaded.
        let library = unsafe { libloading::Library::new(&*file) }.map_err(|error| error.to_string())?;
        let device = Self {
            library,
            _file: file,
            schedule,
            shared: 227 << 10,
            memory: vec![],
            recordings: vec![],
            launches: 0,
        };
        let expected = [
            size_of::<DeviceOp>(),
            size_of::<DeviceMove>(),
            size_of::<DeviceRun>(),
            size_of::<NetworkOp>(),
            size_of::<NetworkRun>(),
        ]
        .map(|size| size as u32);
        let found = device.sizes()?;
        // 0 where the unit is left out.
        if found.iter().zip(&expected).any(|(f, e)| f != e && *f != 0) {
            return Err(format!(
                "the kernels' structures have {found:?} bytes, the host's {expected:?}"
            ));
        }
        Ok(device)
    }

    #[allow(unsafe_code)]
    fn sizes(&self) -> Result<[u32; 5], String> {
        let mut sizes = [0; 5];
        // SAFETY: the function's signature in standin.cpp; it writes five words.
        unsafe {
            let get = self.library.get::<unsafe extern "C" fn(*mut u32)>(b"standin_sizes");
            get.map_err(|error| error.to_string())?(sizes.as_mut_ptr());
        }
        Ok(sizes)
    }

    fn place(&self, buffer: &Buffer) -> Result<(usize, usize), CudaError> {
        let start = |memory: &Vec<u8>| memory.as_ptr() as u64;
        let found = self
            .memory
            .iter()
            .position(|m| (start(m)..start(m) + m.len() as u64).contains(&buffer.address));
        let index = found.ok_or(CudaError::Buffer)?;
        Ok((index, (buffer.address - start(&self.memory[index])) as usize))
    }

    /// Whether nothing was written outside of the buffers.
    fn guarded(&self) -> bool {
        self.memory.iter().all(|memory| {
            let end = memory.len() - GUARD;
            memory[..GUARD]
                .iter()
                .chain(&memory[end..])
                .all(|byte| *byte == GUARD_BYTE)
        })
    }
}

impl Launcher for Standin {
    fn limits(&self) -> Limits {
        Limits {
            name: format!("stand-in, schedule {}", self.schedule),
            processors: 1,
            shared: self.shared,
            memory: 1 << 30,
        }
    }

    fn alloc(&mut self, len: usize) -> Result<Buffer, CudaError> {
        // Addresses are multiples of 256, as a GPU's are; contents are anything.
        let mut memory = vec![GUARD_BYTE; len + 3 * GUARD];
        let offset = GUARD + (memory.as_ptr() as usize).wrapping_neg() % GUARD;
        memory.truncate(offset + len + GUARD);
        memory[offset..offset + len].fill(0xA5 ^ self.schedule as u8);
        let address = memory.as_ptr() as u64 + offset as u64;
        self.memory.push(memory);
        Ok(Buffer { address, len })
    }

    fn free_all(&mut self) {
        self.memory.clear();
        self.recordings.clear();
    }

    fn write(&mut self, to: &Buffer, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let (index, at) = self.place(to)?;
        if offset + bytes.len() > to.len {
            return Err(CudaError::Buffer);
        }
        self.memory[index][at + offset..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<(), CudaError> {
        let (index, at) = self.place(from)?;
        if bytes.len() > from.len {
            return Err(CudaError::Buffer);
        }
        bytes.copy_from_slice(&self.memory[index][at..][..bytes.len()]);
        Ok(())
    }

    #[allow(unsafe_code)]
    fn launch(&mut self, launch: &Launch) -> Result<(), CudaError> {
        self.launches += 1;
        if launch.shared > self.shared {
            return Err(CudaError::Driver(format!(
                "{launch:?} asks for more shared memory than there is"
            )));
        }
        let name = CString::new(launch.kernel).map_err(|error| CudaError::Driver(error.to_string()))?;
        // SAFETY: the function's signature in standin.cpp. What kernels write is in buffers that live as long as `self`.
        let problem = unsafe {
            let run = self.library.get::<LaunchFunction>(b"standin_launch");
            let run = run.map_err(|error| CudaError::Driver(error.to_string()))?;
            let problem = run(
                name.as_ptr(),
                launch.blocks,
                launch.threads,
                launch.shared,
                launch.args.as_ptr(),
                self.schedule,
            );
            (!problem.is_null()).then(|| CStr::from_ptr(problem).to_string_lossy().into_owned())
        };
        match problem {
            Some(problem) => Err(CudaError::Driver(format!("{}: {problem}", launch.kernel))),
            None if !self.guarded() => Err(CudaError::Driver(format!(
                "{} wrote outside of its memory",
                launch.kernel
            ))),
            None => Ok(()),
        }
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Recording, CudaError> {
        self.recordings.push(launches.to_vec());
        Ok(Recording(self.recordings.len() - 1))
    }

    fn replay(&mut self, recording: Recording) -> Result<(), CudaError> {
        let launches = self.recordings.get(recording.0).cloned().ok_or(CudaError::Buffer)?;
        launches.iter().try_for_each(|launch| self.launch(launch))
    }
}
