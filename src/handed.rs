//! What a `_setup.rhai` hands on to the scripts below it, as plain data, and the line in which it goes from its run to whoever
//! runs them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The name of such a script.
pub const SETUP: &str = "_setup.rhai";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Handed {
    /// The script that hands it on, without links.
    pub path: PathBuf,
    /// What it exports.
    pub values: Map<String, Value>,
    /// The variables that it has set, or removed, and where its jobs are.
    pub env: Vec<(String, Option<String>)>,
    /// What is not to be shown.
    pub secrets: Vec<String>,
}

impl Handed {
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// None where it is not whole.
    pub fn from_line(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        serde_json::from_slice(&bytes[..end]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let handed = Handed {
            path: "e2e/_setup.rhai".into(),
            values: Map::from_iter([("token".to_owned(), "a\nb".into())]),
            env: vec![("DB_URL".to_owned(), Some("postgres://".to_owned())), ("OLD".to_owned(), None)],
            secrets: vec!["a\nb".to_owned()],
        };
        let line = handed.to_line();
        assert_eq!(Handed::from_line(&line), Some(handed));
        assert_eq!(Handed::from_line(&line[..line.len() - 1]), None);
    }
}
