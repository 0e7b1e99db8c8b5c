//! The oracle knows nothing of the runtime, and says by name what it does not have.

use std::path::Path;

use mote_engine::memory::AlignedBytes;
use mote_oracle::{Oracle, OracleError};
use mote_runtime::{Config, Model, Start};
use mote_tests::mutate::mutate;
use mote_tests::parts::{OPS, Parts};
use mote_tests::random::Random;
use mote_tests::synthetic::{Form, model};
use mote_tools::backend::oracle::{request, start};

/// Of the lock file, which lists what a package is built and what it is tested with, from whatever table of the manifest.
#[test]
fn the_oracles_crate_depends_on_no_other_of_this_project() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(path).expect("the lock file is here");
    let packages: Vec<&str> = lock.split("[[package]]").collect();
    let oracle = packages
        .iter()
        .find(|package| package.contains("name = \"mote-oracle\""))
        .expect("the oracle is a crate of the workspace");
    let (_, dependencies) = oracle.split_once("dependencies = [").expect("it has dependencies");
    let own: Vec<&str> = dependencies.lines().filter(|line| line.contains("\"mote-")).collect();
    assert_eq!(
        own,
        Vec::<&str>::new(),
        "the oracle must share nothing with what it judges"
    );
}

#[test]
fn an_operator_that_the_oracle_lacks_is_refused_by_its_name() {
    let mut parts = Parts::of(&model(Form::W8A8));
    // The first byte of the list is the number of the first operator's kind.
    parts.sections[OPS][0] = 99;
    let file = parts.file();
    let refused = Oracle::new(&file).expect_err("there is no such kind");
    let OracleError::UnknownOperator {
        op: 0,
        number: 99,
        name,
    } = &refused
    else {
        panic!("{refused}");
    };
    assert!(!name.is_empty() && refused.to_string().contains(name), "{refused}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let file = model(Form::W8A8);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        Oracle::new(&file).map(drop)
    };
    let part = |part| Err(OracleError::File { part });
    assert_eq!(refused(&|file| file.clear()), part("magic"));
    assert_eq!(refused(&|file| file.truncate(40)), part("length"));
    assert_eq!(refused(&|file| file[200] ^= 1), part("checksum"));
    let version = OracleError::Version {
        found: [2, 9],
        known: [2, 1],
    };
    assert_eq!(refused(&|file| file[6] = 9), Err(version));
}

/// Whatever the runtime accepts the oracle reads, to the same bits; what the runtime refuses makes no panic.
#[test]
fn damaged_files_are_refused_or_run_alike() {
    let (mut accepted, mut refused, mut read) = (0, 0, 0);
    for form in Form::ALL {
        let whole = Parts::of(&model(form));
        for seed in 0..400 {
            let mut random = Random(seed);
            let mut parts = whole.clone();
            mutate(&mut parts, &mut random);
            let memory = AlignedBytes::copy_of(&parts.file());
            let oracle = Oracle::new(memory.bytes());
            read += usize::from(oracle.is_ok());
            let Ok(model) = Model::parse(memory.bytes()) else {
                refused += 1;
                if let Ok(oracle) = oracle {
                    let request = request(&of_plain(&whole));
                    // An error or a state: nobody knows which is right.
                    let _ = oracle.run(&request, &start(&Start::Seed), &mut |_| ());
                }
                continue;
            };
            accepted += 1;
            let what = format!("{form:?}, damage {seed}");
            let oracle = oracle.unwrap_or_else(|error| panic!("{what}: {error}"));
            let config = Config::of(model.header(), 2);
            let found = mote_tests::running::finish(&model, &config, &Start::Seed);
            let expected = oracle.run(&request(&config), &start(&Start::Seed), &mut |_| ());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.state, expected, "{what}"),
                (found, expected) => assert_eq!(found.is_ok(), expected.is_ok(), "{what}: {expected:?}"),
            }
        }
    }
    assert!(
        accepted > 50 && refused > 500 && read > accepted,
        "{accepted} {refused} {read}"
    );
}

fn of_plain(parts: &Parts) -> Config {
    Config::of(&parts.header(), 2)
}
