//! Sizes and symbols of a linked image.

use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};

use crate::boards::Board;

/// What an image takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sizes {
    /// Flash for code, constants, vectors and the initial values of statics: everything but the model.
    pub flash_code_bytes: u64,
    /// Flash for the model file.
    pub flash_model_bytes: u64,
    /// All of the flash that is used, with padding.
    pub flash_bytes: u64,
    /// RAM for statics (`.data` and `.bss`), without the arena.
    pub statics_bytes: u64,
    /// RAM for the arena.
    pub arena_bytes: u64,
    /// RAM reserved for the stack.
    pub stack_reserved_bytes: u64,
    /// RAM up to the end of statics and arena, with the stack and padding.
    pub ram_bytes: u64,
}

/// What can be read from an image's ELF file.
pub struct Elf<'data> {
    file: object::File<'data>,
}

impl<'data> Elf<'data> {
    /// Reads the headers.
    pub fn parse(bytes: &'data [u8]) -> Result<Self, object::Error> {
        Ok(Self {
            file: object::File::parse(bytes)?,
        })
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        self.file.symbol_by_name(name).map(|symbol| symbol.address())
    }

    fn span(&self, start: &str, end: &str) -> Option<u64> {
        self.symbol(end)?.checked_sub(self.symbol(start)?)
    }

    /// The function that holds `address`, for a fault's report.
    pub fn function(&self, address: u64) -> Option<String> {
        let address = address & !1;
        let symbols = self
            .file
            .symbols()
            .filter(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Text);
        let last = symbols
            .filter(|symbol| symbol.address() & !1 <= address)
            .max_by_key(|symbol| symbol.address())?;
        last.name()
            .ok()
            .map(|name| format!("{:#}", rustc_demangle::demangle(name)))
    }

    /// The sizes, or `None` where the firmware's symbols are not there.
    pub fn sizes(&self, board: &Board) -> Option<Sizes> {
        let mut sizes = Sizes {
            flash_model_bytes: self.span("__mote_model_start", "__mote_model_end")?,
            arena_bytes: self.span("__mote_arena_start", "__mote_arena_end")?,
            stack_reserved_bytes: self.span("__mote_stack_bottom", "__mote_stack_top")?,
            ram_bytes: self
                .symbol("__mote_arena_end")?
                .checked_sub(u64::from(board.ram.origin))?,
            ..Sizes::default()
        };
        for section in self.file.sections().filter(is_allocated) {
            let name = section.name().ok()?;
            match (section.kind(), name) {
                (_, ".mote_model" | ".mote_arena" | ".stack" | ".heap") => {}
                (SectionKind::UninitializedData, _) => sizes.statics_bytes += section.size(),
                (_, ".data") => {
                    sizes.statics_bytes += section.size();
                    sizes.flash_code_bytes += section.size();
                }
                _ => sizes.flash_code_bytes += section.size(),
            }
        }
        let flash_end = self
            .symbol("__mote_start_end")?
            .max(self.symbol("__sidata")? + self.section_size(".data"));
        sizes.flash_bytes = flash_end.checked_sub(u64::from(board.flash.origin))?;
        Some(sizes)
    }

    fn section_size(&self, name: &str) -> u64 {
        self.file.section_by_name(name).map_or(0, |section| section.size())
    }
}

pub(crate) fn is_allocated<'data>(section: &impl ObjectSection<'data>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(elf::SHF_ALLOC) != 0)
}
