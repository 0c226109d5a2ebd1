//! `--rerun-failed`: what has failed in an earlier file of events.

use crate::event::Failure;
use crate::exit;
use crate::report::views;
use crate::report::views::model::Outcome;
use std::path::{Path, PathBuf};

/// What a file tells.
pub struct Earlier {
    /// The scripts that did not pass, each once, as they were called.
    pub failed: Vec<PathBuf>,
    /// How many did not run.
    pub not_run: usize,
}

/// The scripts that did not pass, when they were run last: they have failed, were stopped, or nothing tells of their end.
pub fn failed(file: &Path) -> Result<Earlier, Failure> {
    let recorded = views::read(&[file.to_owned()])?;
    let mut earlier = Earlier { failed: Vec::new(), not_run: 0 };
    let scripts = recorded.runs.iter().flat_map(|run| &run.scripts);
    for script in scripts.filter(|script| !script.setup) {
        let path = PathBuf::from(&script.path);
        match script.last().map(|last| last.outcome) {
            None => earlier.not_run += 1,
            Some(Outcome::Passed) => {}
            Some(_) if earlier.failed.contains(&path) => {}
            Some(_) => earlier.failed.push(path),
        }
    }
    Ok(earlier)
}

/// One that is not there any more cannot be run.
pub fn missing(path: &Path, file: &Path) -> Failure {
    Failure {
        code: exit::USAGE,
        message: format!("there is no file `{}`, which has failed in {}", path.display(), file.display()),
        notes: vec!["paths are those of the directory that it was run in".to_owned()],
        hint: Some("bgjobs test   (runs what there is)".to_owned()),
        ..Failure::default()
    }
}
