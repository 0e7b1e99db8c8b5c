//! The memory planner stays within 5 % of the least that any plan could need, for every bundled network and number format.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::scratch_bytes;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::Dtype;
use mote_runtime::internals::tensor::slots::slot;
use mote_runtime::{Config, Model, Start};
use mote_tests::checkpoints::{checkpoint, converted, digits, fashion};
use mote_tests::running::finish;
use mote_tests::synthetic::{Form, diffusion, emitted, everything};
use mote_tools::convert::{Converted, Options, convert};
use mote_tools::emit::{Diffusion, Emitted};
use mote_tools::plan::{Arena, lower_bound_bytes};
use mote_tools::program::Program;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::report::MemoryMap;
use mote_tools::widths::auto::Budget;

/// A network under the short schedule of the synthetic one, which is enough to plan its memory.
fn network(path: &std::path::Path) -> (Program, Diffusion) {
    (
        converted(path, Scheme::F16).program,
        Diffusion {
            null_class: None,
            ..diffusion()
        },
    )
}

fn holds(name: &str, form: Form, emitted: &Emitted) {
    let plan = &emitted.plan;
    let over = plan.arena_bytes as f64 / plan.lower_bound_bytes as f64;
    assert!(
        (1.0..=1.05).contains(&over),
        "{name} {form:?}: {} of {}",
        plan.arena_bytes,
        plan.lower_bound_bytes
    );
    let memory = AlignedBytes::copy_of(&emitted.bytes);
    let map = MemoryMap::of(&Model::parse(memory.bytes()).expect("the model is valid"));
    assert_eq!(
        map.arena_bytes, plan.arena_bytes,
        "{name} {form:?}: the file says what the plan says"
    );
    assert_eq!(
        map.lower_bound_bytes, plan.lower_bound_bytes,
        "{name} {form:?}: the bound follows from the file alone"
    );
}

#[test]
fn arenas_are_within_five_percent_of_the_lower_bound() {
    let networks = [
        ("everything", (everything(), diffusion())),
        ("digits8-micro", network(&digits())),
        ("fashion16-tiny", network(&fashion())),
    ];
    for (name, (program, diffusion)) in &networks {
        for form in Form::ALL {
            holds(name, form, &emitted(program, diffusion, form));
        }
    }
}

/// digits8-micro as w8a8.
fn planned(arena: Option<Arena>, arena_bytes: Option<usize>) -> Converted {
    let budget = arena_bytes.map(|arena_bytes| Budget {
        model_bytes: usize::MAX,
        arena_bytes,
    });
    let options = Options {
        arena,
        budget,
        ..Options::of(Scheme::W8A8)
    };
    convert(&checkpoint(&digits()), &options, &|_| {}).expect("the bundled checkpoint converts")
}

/// Convolutions with a block of columns, and with a single one.
fn blocks(model: &Model<'_>) -> [usize; 2] {
    let mut count = [0; 2];
    for op in model.ops().filter(|op| matches!(op, Op::Conv(_))) {
        let scratch = op.slots().tensors[slot::SCRATCH]
            .and_then(|id| model.tensor(id))
            .expect("a convolution has scratch");
        let single = scratch_bytes(model, &op);
        count[usize::from(scratch.bytes() == single)] += 1;
    }
    count
}

#[test]
fn a_small_arena_needs_what_single_columns_need_and_gives_the_same_bits() {
    let [fast, small] = [Arena::Fast, Arena::Small].map(|arena| planned(Some(arena), None));
    let dtypes = fast.assignment.as_ref().expect("integers").dtypes();
    let bound = |arena| lower_bound_bytes(&fast.program, &dtypes, arena);
    assert!(bound(Arena::Small) < bound(Arena::Fast));
    assert_eq!(small.assignment, fast.assignment);
    for (converted, arena) in [(&fast, Arena::Fast), (&small, Arena::Small)] {
        assert_eq!(converted.arena, arena);
        assert_eq!(converted.emitted.plan.arena_bytes, bound(arena));
    }
    let run = |converted: &Converted| {
        let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let config = Config::of(model.header(), 4);
        let finished = finish(&model, &config, &Start::Seed).expect("a good run");
        (blocks(&model), finished)
    };
    let ((fast_columns, fast_run), (small_columns, small_run)) = (run(&fast), run(&small));
    assert_eq!(fast_run, small_run);
    let [[fast_blocks, fast_singles], [small_blocks, small_singles]] = [fast_columns, small_columns];
    assert_eq!(fast_blocks + fast_singles, small_blocks + small_singles);
    assert!(
        0 < small_blocks && small_blocks < fast_blocks,
        "{small_blocks} of {fast_blocks}"
    );
}

/// What the large arena is for: nothing is computed twice or inside another, and more activations have 16 bits.
#[test]
fn a_large_arena_keeps_activations_whole_and_wider() {
    let checkpoint = checkpoint(&fashion());
    let [fast, large] = [Arena::Fast, Arena::Large].map(|arena| {
        let options = Options {
            arena: Some(arena),
            ..Options::of(Scheme::W8A8)
        };
        convert(&checkpoint, &options, &|_| {}).expect("the bundled checkpoint converts")
    });
    assert!(!fast.program.recomputed.is_empty() && large.program.recomputed.is_empty());
    let inside = |converted: &Converted| {
        let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        model.ops().filter(|op| matches!(op, Op::NormConv(_))).count()
    };
    assert!(inside(&fast) > 0 && inside(&large) == 0);
    let wide = |converted: &Converted| converted.formats.iter().filter(|f| f.dtype == Dtype::I16).count();
    assert!(wide(&large) > wide(&fast), "{} and {}", wide(&large), wide(&fast));
    assert_eq!(large.arena, Arena::Large);
    assert!(large.emitted.plan.arena_bytes > fast.emitted.plan.arena_bytes);
    let dtypes = large.assignment.as_ref().expect("integers").dtypes();
    assert_eq!(
        large.emitted.plan.lower_bound_bytes,
        lower_bound_bytes(&large.program, &dtypes, Arena::Large)
    );
}

#[test]
fn the_small_arena_is_taken_where_only_it_fits() {
    let [fast, small] = [Arena::Fast, Arena::Small].map(|arena| planned(Some(arena), None).emitted.plan.arena_bytes);
    for (room, taken) in [(fast, Arena::Fast), (fast - 1, Arena::Small), (small, Arena::Small)] {
        let converted = planned(None, Some(room));
        assert_eq!(converted.arena, taken, "{room}");
        assert!(converted.emitted.plan.arena_bytes <= room, "{room}");
    }
    assert_eq!(planned(Some(Arena::Fast), Some(small)).arena, Arena::Fast);
}
