//! Every code, group by group.

use super::{Group, backends, convert, data, device, import, kinds, schedule};

const fn group(title: &'static str, entries: &'static [super::Entry]) -> Group {
    Group { title, entries }
}

/// All of them, as `docs/errors.md` has them.
#[must_use]
pub fn groups() -> Vec<Group> {
    vec![
        group("By kind", kinds::KINDS),
        group("A checkpoint is read", import::IMPORT),
        group("A setting", import::CONFIG),
        group("The network's graph", import::GRAPH),
        group("A model is converted", convert::CONVERT),
        group("A layer without an operator", convert::LOWER),
        group("Formats that were trained", convert::TRAINED),
        group("A board's memory", convert::AUTO),
        group("A model file is written", convert::EMIT),
        group("A run is planned", convert::PLAN),
        group("A file is cut", convert::SPLIT),
        group("Training", convert::TRAIN),
        group("A network for a board", convert::FIT),
        group("Training for number formats", convert::QAT),
        group("Distillation", convert::LADDER),
        group("Folders of chains", convert::CHAIN_FILES),
        group("Images as data", data::DATA),
        group("Tensors as data", data::TENSORS),
        group("Pictures", data::IMAGE),
        group("Reference vectors", data::CROSSCHECK),
        group("Against the float network", data::COMPARED),
        group("Distributions", data::DISTRIBUTION),
        group("Backends", backends::BACKENDS),
        group("Simulated boards", backends::BOARDS),
        group("Graphics processors", backends::GPU),
        group("The oracle", backends::ORACLE),
        group("Noise schedules", schedule::SCHEDULE),
        group("Float networks", schedule::FLOAT),
        group("Predictions", schedule::PREDICTOR),
        group("Solvers", schedule::SOLVER),
        group("A model file is opened", device::FILE),
        group("A tensor of a model file", device::TENSORS),
        group("An operator of a model file", device::OPERATORS),
        group("A run", device::RUN),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_s_codes_are_those_of_its_header() {
        let said: Vec<(&str, i32)> = groups()
            .iter()
            .flat_map(|group| group.entries)
            .filter(|entry| entry.code.number() < 1000)
            .map(|entry| (entry.name, entry.code.number().into()))
            .collect();
        let header: Vec<(&str, i32)> = mote::status_names().filter(|(_, number)| *number >= 100).collect();
        assert_eq!(said, header);
    }
}
