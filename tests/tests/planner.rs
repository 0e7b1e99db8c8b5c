//! The memory planner stays within 5 % of the least that any plan could need, for every bundled network and number format.

use mote_host::memory::AlignedBytes;
use mote_runtime::Model;
use mote_tests::checkpoints::{converted, digits, fashion};
use mote_tests::synthetic::{Form, diffusion, emitted, everything};
use mote_tools::emit::{Diffusion, Emitted};
use mote_tools::lower::program::Program;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::report::MemoryMap;

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
