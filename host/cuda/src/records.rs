//! Records that the host writes and kernels read, in Rust and in C from one definition.
//!
//! `records!` makes a struct of plain words and the text of the same struct in C. `tests/tests/cuda/ptx.rs` holds `kernels/ops.cuh` to
//! these texts, so that the two cannot drift apart.

/// A type of a field, and what C calls it.
pub trait InC {
    /// The name of the type; of an array, that of its elements.
    const NAME: &'static str;

    /// The declaration of a field of this type.
    fn declare(field: &str) -> String {
        format!("{} {field};", Self::NAME)
    }
}

impl InC for u32 {
    const NAME: &'static str = "u32";
}

impl InC for i32 {
    const NAME: &'static str = "i32";
}

impl InC for u64 {
    const NAME: &'static str = "u64";
}

impl InC for f32 {
    const NAME: &'static str = "float";
}

impl<T: InC, const N: usize> InC for [T; N] {
    const NAME: &'static str = T::NAME;

    fn declare(field: &str) -> String {
        format!("{} {field}[{N}];", T::NAME)
    }
}

/// Defines records: their fields are words, and together leave no gap.
macro_rules! records {
    ($($(#[doc = $doc:literal])* $name:ident in C $c_name:literal {
        $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type,)*
        }

        impl $crate::records::InC for $name {
            const NAME: &'static str = $c_name;
        }

        impl $name {
            /// The same struct in C.
            pub fn in_c() -> String {
                let mut text = String::new();
                $(text += concat!("//", $doc, "\n");)*
                text += concat!("struct ", $c_name, " {\n");
                $(
                    text += "    ";
                    text += &<$type as $crate::records::InC>::declare(stringify!($field));
                    text += concat!($(" //", $field_doc,)* "\n");
                )*
                text + "};\n"
            }
        }
    )*};
}

pub(crate) use records;
