//! Inner loops for x86-64, in intrinsics and assembly: the only unsafe code of the engine.

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512;
