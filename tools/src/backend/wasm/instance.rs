//! A module of WebAssembly with its memory: what is put there, and what its functions answer.

use super::BackendError;
use wasmi::{Linker, Memory, Module, Store, TypedFunc, Val, WasmParams};

/// Done (`mote_status`).
pub const OK: i32 = 0;
/// Bytes of a page of its memory.
const PAGE: usize = 65_536;
/// Places are multiples of it.
const ALIGN: usize = 16;
/// Bytes of a status' name at most.
const NAME: usize = 64;

/// What the interpreter says.
pub fn failed(error: impl std::fmt::Display) -> BackendError {
    BackendError::Page(error.to_string())
}

/// A running module.
pub struct Instance {
    store: Store<()>,
    module: wasmi::Instance,
    memory: Memory,
    /// The first byte that nobody has.
    free: usize,
}

impl Instance {
    /// With no memory taken.
    pub fn new(module: &Module) -> Result<Self, BackendError> {
        let mut store = Store::new(module.engine(), ());
        let linker = Linker::new(store.engine());
        let module = linker.instantiate_and_start(&mut store, module).map_err(failed)?;
        let memory = module
            .get_memory(&store, "memory")
            .ok_or_else(|| failed("it has no memory"))?;
        let base = module.get_global(&store, "__heap_base").map(|base| base.get(&store));
        let Some(Val::I32(base)) = base else {
            return Err(failed("it does not say where its memory is free"));
        };
        Ok(Self {
            free: (base as u32 as usize).next_multiple_of(ALIGN),
            store,
            module,
            memory,
        })
    }

    /// How much of the memory is taken.
    pub fn used(&self) -> usize {
        self.free
    }

    /// Gives back what was taken since [`Instance::used`] said so.
    pub fn release(&mut self, used: usize) {
        self.free = used;
    }

    /// So many bytes, all 0.
    pub fn zeros(&mut self, bytes: usize) -> Result<u32, BackendError> {
        let at = self.free;
        let end = at
            .checked_add(bytes)
            .and_then(|end| end.checked_next_multiple_of(ALIGN));
        let full = || failed(format_args!("{bytes} bytes more do not fit its memory"));
        let end = end.filter(|end| u32::try_from(*end).is_ok()).ok_or_else(full)?;
        let missing = end.saturating_sub(self.memory.data_size(&self.store)).div_ceil(PAGE);
        self.memory.grow(&mut self.store, missing as u64).map_err(|_| full())?;
        let taken = self.memory.data_mut(&mut self.store).get_mut(at..end);
        taken.ok_or_else(full)?.fill(0);
        self.free = end;
        Ok(at as u32)
    }

    /// A copy of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) -> Result<u32, BackendError> {
        let at = self.zeros(bytes.len())?;
        self.memory.write(&mut self.store, at as usize, bytes).map_err(failed)?;
        Ok(at)
    }

    /// So many bytes from `at`.
    pub fn bytes(&self, at: u32, count: usize) -> Result<&[u8], BackendError> {
        let from = at as usize;
        let end = from.checked_add(count);
        let found = end.and_then(|end| self.memory.data(&self.store).get(from..end));
        found.ok_or_else(|| failed(format_args!("{at} is no place in its memory")))
    }

    /// The number of 32 bits at `at`.
    pub fn word(&self, at: u32) -> Result<u32, BackendError> {
        let bytes = self.bytes(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The status that a function gives.
    pub fn call<P: WasmParams>(&mut self, name: &str, given: P) -> Result<i32, BackendError> {
        let function: TypedFunc<P, i32> = self.module.get_typed_func(&self.store, name).map_err(failed)?;
        function.call(&mut self.store, given).map_err(failed)
    }

    /// # Errors
    /// Any status but "done", by its name.
    pub fn check(&mut self, status: i32) -> Result<(), BackendError> {
        if status == OK {
            return Ok(());
        }
        let at = self.call("mote_status_name", status)? as u32;
        let name = self.bytes(at, NAME).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Err(failed(String::from_utf8_lossy(name)))
    }
}
