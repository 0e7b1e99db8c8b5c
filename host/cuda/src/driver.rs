//! An NVIDIA GPU through the driver that is found at run time. The only file that touches cudarc.
//!
//! Nothing is linked, and without the driver's library every call of cudarc panics: [`missing`] is asked first.

use std::collections::HashMap;
use std::sync::Arc;

use cudarc::driver::sys::{
    self, CUdevice_attribute, CUfunction_attribute, CUgraphInstantiate_flags, CUstreamCaptureMode,
};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig,
    PushKernelArg,
};
use cudarc::nvrtc::Ptx;

use super::launch::{Buffer, Launch, Launcher, Limits, Recording};
use super::{CudaError, PTX, network};

/// Least version of the driver's interface, which has every function that cudarc looks up (13.0).
const DRIVER: i32 = 13_000;
/// Least compute capability: the PTX is for 8.0.
const CAPABILITY: (i32, i32) = (8, 0);

/// What is missing to run here, and how to get it; `None` where a GPU is here.
#[allow(unsafe_code)]
pub fn missing() -> Option<(String, String)> {
    // SAFETY: loads the driver's library, whose initializers run in every program that uses a GPU.
    if !unsafe { sys::is_culib_present() } {
        let how = "install NVIDIA's driver, or use --backend cpu: the bits are the same";
        return Some(("the library of an NVIDIA driver (libcuda)".into(), how.into()));
    }
    let mut version = 0;
    // SAFETY: writes one integer, needs no initialization.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if asked != sys::CUresult::CUDA_SUCCESS || version < DRIVER {
        let found = format!(
            "a driver for CUDA 13.0 (found {}.{})",
            version / 1000,
            version % 1000 / 10
        );
        return Some((found, "install NVIDIA's driver 580 or later".into()));
    }
    match CudaContext::device_count() {
        Ok(count) if count > 0 => None,
        _ => Some((
            "an NVIDIA GPU".into(),
            "use --backend cpu: the bits are the same".into(),
        )),
    }
}

/// A GPU.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    /// The float network's kernels, loaded when the first of them is asked for.
    network: Option<Arc<CudaModule>>,
    functions: HashMap<&'static str, CudaFunction>,
    memory: Vec<CudaSlice<u8>>,
    graphs: Vec<CudaGraph>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("limits", &self.limits()).finish()
    }
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        Self::Driver(format!("{error:?}"))
    }
}

impl Device {
    /// GPU number `ordinal`.
    #[allow(unsafe_code)]
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        if let Some((what, how)) = missing() {
            return Err(CudaError::Missing { what, how });
        }
        let context = CudaContext::new(ordinal)?;
        if context.compute_capability()? < CAPABILITY {
            return Err(CudaError::Missing {
                what: "a GPU of compute capability 8.0 or later".into(),
                how: "use --backend cpu: the bits are the same".into(),
            });
        }
        // SAFETY: everything runs on one stream, in order; events would break the recording of graphs.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(PTX))?;
        Ok(Self {
            stream: context.new_stream()?,
            module,
            network: None,
            context,
            functions: HashMap::new(),
            memory: vec![],
            graphs: vec![],
        })
    }

    fn attribute(&self, attribute: CUdevice_attribute) -> u32 {
        self.context
            .attribute(attribute)
            .map_or(0, |value| u32::try_from(value).unwrap_or(0))
    }

    fn function(&mut self, name: &'static str) -> Result<CudaFunction, CudaError> {
        if let Some(function) = self.functions.get(name) {
            return Ok(function.clone());
        }
        let function = if name.starts_with("network_") {
            if self.network.is_none() {
                self.network = Some(self.context.load_module(Ptx::from_src(network::PTX))?);
            }
            let module = self.network.as_ref().unwrap_or(&self.module);
            module.load_function(name)?
        } else {
            self.module.load_function(name)?
        };
        let shared = self.limits().shared as i32;
        function.set_attribute(
            CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            shared,
        )?;
        self.functions.insert(name, function.clone());
        Ok(function)
    }

    fn slice(&self, buffer: &Buffer) -> Result<usize, CudaError> {
        let found = self.memory.iter().position(|slice| {
            let (address, _sync) = slice.device_ptr(&self.stream);
            address == buffer.address
        });
        found.ok_or(CudaError::Buffer)
    }
}

impl Launcher for Device {
    fn limits(&self) -> Limits {
        Limits {
            name: self.context.name().unwrap_or_default(),
            processors: self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            shared: self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
            memory: self.context.mem_get_info().map_or(0, |(free, _)| free as u64),
        }
    }

    #[allow(unsafe_code)]
    fn alloc(&mut self, len: usize) -> Result<Buffer, CudaError> {
        // SAFETY: bytes of any value are valid, and kernels write what they read.
        let slice = unsafe { self.stream.alloc::<u8>(len.max(1)) }?;
        let address = {
            let (address, _sync) = slice.device_ptr(&self.stream);
            address
        };
        self.memory.push(slice);
        Ok(Buffer { address, len })
    }

    fn free_all(&mut self) {
        self.graphs.clear();
        self.memory.clear();
    }

    fn write(&mut self, to: &Buffer, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let at = self.slice(to)?;
        let end = offset.checked_add(bytes.len()).filter(|end| *end <= to.len);
        let end = end.ok_or(CudaError::Buffer)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut view = self.memory[at].slice_mut(offset..end);
        Ok(self.stream.memcpy_htod(bytes, &mut view)?)
    }

    fn read(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<(), CudaError> {
        let at = self.slice(from)?;
        if bytes.len() > from.len {
            return Err(CudaError::Buffer);
        }
        if !bytes.is_empty() {
            let view = self.memory[at].slice(..bytes.len());
            self.stream.memcpy_dtoh(&view, bytes)?;
        }
        Ok(self.stream.synchronize()?)
    }

    #[allow(unsafe_code)]
    fn launch(&mut self, launch: &Launch) -> Result<(), CudaError> {
        let function = self.function(launch.kernel)?;
        let mut builder = self.stream.launch_builder(&function);
        for arg in &launch.args {
            builder.arg(arg);
        }
        let config = LaunchConfig {
            grid_dim: (launch.blocks, 1, 1),
            block_dim: (launch.threads, 1, 1),
            shared_mem_bytes: launch.shared,
        };
        // SAFETY: every kernel takes three words; the first is the address of a run whose pointers are live buffers of the
        // sizes that it states (`super::run`), which the stand-in of the tests checks.
        unsafe { builder.launch(config) }?;
        Ok(())
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Recording, CudaError> {
        // Functions are looked up before, as that is no work of the stream.
        for launch in launches {
            self.function(launch.kernel)?;
        }
        self.stream
            .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let launched = launches.iter().try_for_each(|launch| self.launch(launch));
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0))?;
        launched?;
        let graph = graph.ok_or_else(|| CudaError::Driver("the recording is empty".into()))?;
        graph.upload()?;
        self.graphs.push(graph);
        Ok(Recording(self.graphs.len() - 1))
    }

    fn replay(&mut self, recording: Recording) -> Result<(), CudaError> {
        let graph = self.graphs.get(recording.0).ok_or(CudaError::Buffer)?;
        Ok(graph.launch()?)
    }
}
