//! Timesteps against values computed as diffusers computes them.

use super::std::{vec, vec::Vec};
use crate::schedule::spacing::{MAX_TRAIN_STEPS, PrevRule, Spacing, begins_within, prev_timestep, timestep};

fn list(spacing: Spacing, train_steps: u32, steps: u32, offset: i32) -> Vec<u32> {
    (0..steps)
        .map(|i| timestep(spacing, train_steps, steps, offset, i).unwrap())
        .collect()
}

/// `round(v)`, ties to even, as `numpy.round`.
fn numpy_round(v: f64) -> u32 {
    v.round_ties_even() as u32
}

#[test]
fn known_lists() {
    assert_eq!(
        list(Spacing::Leading, 1000, 10, 0),
        [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]
    );
    assert_eq!(list(Spacing::Leading, 1000, 3, 1), [667, 334, 1]);
    assert_eq!(
        list(Spacing::Trailing, 1000, 10, 0),
        [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    );
    assert_eq!(list(Spacing::Trailing, 1000, 3, 0), [999, 666, 332]);
    assert_eq!(
        list(Spacing::Linspace, 1000, 10, 0),
        [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    );
    assert_eq!(list(Spacing::Linspace, 1000, 5, 0), [999, 749, 500, 250, 0]);
    assert_eq!(
        list(Spacing::Quadratic, 1000, 10, 0),
        [800, 632, 483, 355, 246, 158, 88, 39, 9, 0]
    );
}

#[test]
fn ties_round_to_even() {
    // 62.5 - 1 and 187.5 - 1, of T/S = 62.5.
    let trailing = list(Spacing::Trailing, 1000, 16, 0);
    assert_eq!(trailing[13..], [187, 124, 61]);
    // 4.5 and 1.5.
    assert_eq!(list(Spacing::Linspace, 10, 7, 0), [9, 8, 6, 4, 3, 2, 0]);
}

/// NumPy's double-precision lists, `round(linspace(0, T - 1, S))` reversed and `round(arange(T, 0, -T/S)) - 1`, with
/// its order of operations (`arange` multiplies the difference of its first two elements).
fn numpy_list(spacing: Spacing, train_steps: u32, steps: u32) -> Vec<u32> {
    let t = f64::from(train_steps);
    if spacing == Spacing::Linspace {
        let step = (t - 1.0) / f64::from(steps - 1);
        let inner = (0..steps - 1).rev().map(|i| numpy_round(f64::from(i) * step));
        return core::iter::once(train_steps - 1).chain(inner).collect();
    }
    let difference = (t - t / f64::from(steps)) - t;
    (0..steps)
        .map(|i| numpy_round(t + f64::from(i) * difference).saturating_sub(1))
        .collect()
}

/// Also where NumPy's rounding errors carry an exact half to one side.
#[test]
fn agrees_with_numpy() {
    for spacing in [Spacing::Linspace, Spacing::Trailing] {
        for train_steps in [7, 100, 1000, 1024, 2000] {
            for steps in 2..=train_steps {
                let expected = numpy_list(spacing, train_steps, steps);
                assert_eq!(
                    list(spacing, train_steps, steps, 0),
                    expected,
                    "{spacing:?} {train_steps} {steps}"
                );
            }
        }
        for steps in (2..=40).chain([48, 96, 999, 3000]) {
            for train_steps in [3001, 4000, 50_000, MAX_TRAIN_STEPS] {
                assert_eq!(
                    list(spacing, train_steps, steps, 0),
                    numpy_list(spacing, train_steps, steps)
                );
            }
        }
    }
    // 13 * (999 / 26) is 499.49999999999994 in double precision, and 499.5 in truth.
    assert_eq!(timestep(Spacing::Linspace, 1000, 27, 0, 13), Some(499));
}

#[test]
fn lists_fall_and_stay_in_range() {
    for spacing in [
        Spacing::Leading,
        Spacing::Trailing,
        Spacing::Linspace,
        Spacing::Quadratic,
    ] {
        for train_steps in [1, 2, 3, 5, 37, 1000, MAX_TRAIN_STEPS] {
            for steps in [1, 2, 3, 7, 20, 1000, train_steps / 3, train_steps]
                .into_iter()
                .filter(|&s| s <= train_steps)
            {
                let mut before = train_steps;
                for index in (0..steps).step_by(1 + steps as usize / 500) {
                    let t = timestep(spacing, train_steps, steps, 0, index).unwrap();
                    assert!(
                        t < before || (spacing == Spacing::Quadratic && t == before),
                        "{spacing:?} {steps}"
                    );
                    before = t;
                }
            }
        }
    }
}

#[test]
fn one_step_alone() {
    let alone = |spacing| timestep(spacing, 1000, 1, 0, 0);
    assert_eq!(alone(Spacing::Leading), Some(0));
    assert_eq!(alone(Spacing::Trailing), Some(999));
    assert_eq!(alone(Spacing::Linspace), Some(999));
    assert_eq!(alone(Spacing::Quadratic), Some(800));
}

#[test]
fn refusals_and_extremes() {
    for (train_steps, steps, index) in [
        (10, 0, 0),
        (10, 11, 0),
        (0, 0, 0),
        (10, 5, 5),
        (MAX_TRAIN_STEPS + 1, 5, 0),
    ] {
        assert_eq!(timestep(Spacing::Leading, train_steps, steps, 0, index), None);
        assert_eq!(
            prev_timestep(PrevRule::Diffusers, Spacing::Leading, train_steps, steps, 0, index),
            None
        );
    }
    assert_eq!(timestep(Spacing::Leading, 10, 5, i32::MAX, 0), Some(9));
    assert_eq!(timestep(Spacing::Leading, 10, 5, i32::MIN, 0), Some(0));
    assert_eq!(
        prev_timestep(PrevRule::List, Spacing::Leading, 10, 5, 0, u32::MAX),
        None
    );
}

#[test]
fn previous_timesteps() {
    let previous = |rule, spacing, offset| -> Vec<Option<u32>> {
        (0..3)
            .map(|i| prev_timestep(rule, spacing, 1000, 3, offset, i))
            .collect()
    };
    assert_eq!(
        previous(PrevRule::List, Spacing::Linspace, 0),
        vec![Some(500), Some(0), None]
    );
    assert_eq!(
        previous(PrevRule::Diffusers, Spacing::Linspace, 0),
        vec![Some(666), Some(167), None]
    );
    assert_eq!(
        previous(PrevRule::Diffusers, Spacing::Leading, 1),
        vec![Some(334), Some(1), None]
    );
    assert_eq!(
        previous(PrevRule::List, Spacing::Leading, 1),
        vec![Some(334), Some(1), None]
    );
}

/// A run is within the schedule exactly where NumPy's list is: nothing had to be kept in range.
#[test]
fn a_run_begins_within_the_schedule_where_nothing_is_kept_in_range() {
    for train_steps in [1u32, 7, 40, 1000] {
        for steps in 1..=train_steps {
            for offset in [-1, 0, 1, 6, 999, i32::MAX] {
                let first = (steps - 1) * (train_steps / steps);
                let within = i64::from(first) + i64::from(offset) < train_steps.into();
                let at = |spacing| begins_within(spacing, train_steps, steps, offset);
                assert_eq!(at(Spacing::Leading), within, "{train_steps} {steps} {offset}");
                assert!(at(Spacing::Trailing) && at(Spacing::Linspace) && at(Spacing::Quadratic));
            }
        }
    }
    assert!(
        begins_within(Spacing::Leading, 1000, 0, 1),
        "no steps are refused elsewhere"
    );
}
