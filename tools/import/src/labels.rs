//! Fewer labels than a checkpoint's table has rows: a library may keep a row for a thousand labels of which a few were trained.

use super::Checkpoint;
use mote_graph::config::ConfigError;
use mote_graph::graph::Op;

impl Checkpoint {
    /// Keeps the labels below `count` and the null one, which becomes label `count`; a model file has no row for the others.
    ///
    /// # Errors
    /// Where the network has no labels, or not as many.
    pub fn keep_labels(&mut self, count: usize) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError {
            file: self.config_file.clone(),
            field: "labels".to_string(),
            value: count.to_string(),
            problem,
        };
        let Some(classes) = self.graph.classes else {
            return Err(wrong("the network has no labels".to_string()));
        };
        if count == 0 || count > classes {
            return Err(wrong(format!("the network has {classes} labels")));
        }
        let null = self.null_class.filter(|null| *null >= count);
        let rows: Vec<usize> = (0..count).chain(null).collect();
        let mut tables: Vec<String> = vec![];
        for node in &self.graph.nodes {
            if let Op::ClassEmbed(table) = &node.op
                && !tables.contains(&table.weight)
            {
                tables.push(table.weight.clone());
            }
        }
        for key in tables {
            let Some(param) = self.graph.params.get_mut(&key) else {
                continue;
            };
            let each = param.data.len() / classes;
            param.data = rows
                .iter()
                .flat_map(|row| &param.data[row * each..][..each])
                .copied()
                .collect();
            param.shape[0] = rows.len();
        }
        self.graph.classes = Some(rows.len());
        if null.is_some() {
            self.null_class = Some(count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::import;
    use std::path::Path;

    #[test]
    fn the_first_rows_and_the_null_one_are_kept() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/importers/dit");
        let whole = import(&fixture).unwrap();
        let mut kept = whole.clone();
        kept.keep_labels(2).unwrap();
        assert_eq!((kept.graph.classes, kept.null_class), (Some(3), Some(2)));
        kept.graph.check().unwrap();
        let key = "transformer_blocks.1.norm1.emb.class_embedder.embedding_table.weight";
        let (all, some) = (&whole.graph.params[key].data, &kept.graph.params[key].data);
        assert_eq!(some[..16], all[..16]);
        assert_eq!(some[16..], all[24..]);
        for wrong in [0, 5] {
            let text = whole.clone().keep_labels(wrong).unwrap_err().to_string();
            assert!(text.contains("4 labels"), "{text}");
        }
    }
}
