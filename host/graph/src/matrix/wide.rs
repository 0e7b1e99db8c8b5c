//! Loops over elements, compiled for this processor's widest registers.

/// Runs `work` compiled for AVX-512 or AVX2 where they are here, as far as it is inlined. Nothing is fused: the bits are those of any other
/// processor.
#[inline(always)]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512dq")]
        fn in_512_bits<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        #[target_feature(enable = "avx2")]
        fn in_256_bits<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
            // SAFETY: the instructions were just found.
            return unsafe { in_512_bits(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: so were these.
            return unsafe { in_256_bits(work) };
        }
    }
    work()
}
