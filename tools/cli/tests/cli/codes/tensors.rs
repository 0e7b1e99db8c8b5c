//! Files of safetensors, taken apart and put together again.

use serde_json::{Map, Value, json};

/// Tensors by name: type, extents and bytes.
#[derive(Default)]
pub struct Tensors(Vec<(String, String, Value, Vec<u8>)>);

impl Tensors {
    pub fn of(file: &[u8]) -> Self {
        let (length, rest) = file.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
        let tensors = header.into_iter().filter(|(key, _)| key != "__metadata__");
        let taken = tensors.map(|(key, of)| {
            let [from, to] = [0, 1].map(|i| of["data_offsets"][i].as_u64().unwrap() as usize);
            let kind = of["dtype"].as_str().unwrap().to_owned();
            (key, kind, of["shape"].clone(), data[from..to].to_vec())
        });
        Self(taken.collect())
    }

    /// Those of these names.
    pub fn only(&self, keys: &[&str]) -> Self {
        let kept = self.0.iter().filter(|one| keys.contains(&one.0.as_str()));
        Self(kept.cloned().collect())
    }

    /// All but one.
    pub fn without(&self, key: &str) -> Self {
        Self(self.0.iter().filter(|one| one.0 != key).cloned().collect())
    }

    fn at(&mut self, key: &str) -> &mut (String, String, Value, Vec<u8>) {
        self.0.iter_mut().find(|one| one.0 == key).unwrap()
    }

    /// Says that a tensor has another type.
    pub fn retyped(&mut self, key: &str, kind: &str) {
        self.at(key).1 = kind.to_owned();
    }

    /// Sets the first element of a tensor of f32.
    pub fn set(&mut self, key: &str, value: f32) {
        self.at(key).3[..4].copy_from_slice(&value.to_le_bytes());
    }

    /// Adds a vector of f32.
    pub fn add(&mut self, key: &str, values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((key.into(), "F32".into(), json!([values.len()]), bytes));
    }

    /// Adds a tensor of zeros in f32.
    pub fn add_shaped(&mut self, key: &str, shape: &[usize]) {
        let bytes = vec![0; 4 * shape.iter().product::<usize>()];
        self.0.push((key.into(), "F32".into(), json!(shape), bytes));
    }

    /// A vector of f32 in a tensor's place.
    pub fn replace(&mut self, key: &str, values: &[f32]) {
        self.0.retain(|one| one.0 != key);
        self.add(key, values);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (mut header, mut data) = (Map::new(), Vec::<u8>::new());
        for (key, kind, shape, bytes) in &self.0 {
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert(
                key.clone(),
                json!({"dtype": kind, "shape": shape, "data_offsets": offsets}),
            );
            data.extend(bytes);
        }
        let header = Value::Object(header).to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }
}
