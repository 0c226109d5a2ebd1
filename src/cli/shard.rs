//! Which part of a list of scripts is to run: `--shard`.

use super::meant::Advice;
use crate::words::quote;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// The first is 1.
    Of { index: usize, total: usize },
    /// As the surroundings say; how many there are, where they do not say that.
    Auto { total: Option<usize> },
}

/// Which of the scripts that were found are to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub shard: Option<Shard>,
    /// Files of events that tell how long each script has taken.
    pub shard_by: Vec<PathBuf>,
    /// A file of events: only what has failed in it.
    pub rerun_failed: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct ShardArgs {
    /// Run only the i-th of n parts of the scripts, e.g. 2/5; `auto` takes both from the CI or the scheduler that this runs
    /// in, auto/5 only the first
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// Make the parts equally long by how long each script took in this file of events; may be given several times
    #[arg(long, value_name = "EVENTS", value_hint = clap::ValueHint::FilePath)]
    shard_by: Vec<PathBuf>,
    /// Run only the scripts that have failed in this file of events
    #[arg(long, value_name = "EVENTS", value_hint = clap::ValueHint::FilePath)]
    rerun_failed: Option<PathBuf>,
}

impl ShardArgs {
    /// What is missing.
    pub(super) fn incomplete(&self) -> Option<Advice> {
        let file = self.shard_by.first().filter(|_| self.shard.is_none())?;
        let shown = quote(&file.display().to_string());
        Some(Advice {
            message: format!(
                "--shard-by {shown}: no part is asked for that it could make as long as the others"
            ),
            note: Some(
                "it divides scripts by how long they took; --shard says which part runs here".to_owned(),
            ),
            hint: format!("bgjobs test --shard 1/2 --shard-by {shown}   (or --shard auto, in a CI)"),
        })
    }
}

impl From<ShardArgs> for Selection {
    fn from(given: ShardArgs) -> Self {
        Self { shard: given.shard, shard_by: given.shard_by, rerun_failed: given.rerun_failed }
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    let wrong = || "expected I/N, such as 2/5 for the second of five parts, or auto".to_owned();
    let number = |text: &str| text.parse::<usize>().ok();
    match text.split_once('/') {
        None if text == "auto" => Ok(Shard::Auto { total: None }),
        None => Err(wrong()),
        Some((index, total)) => {
            let total = number(total).ok_or_else(wrong)?;
            if total == 0 {
                return Err("there is at least one part".to_owned());
            }
            if index == "auto" {
                return Ok(Shard::Auto { total: Some(total) });
            }
            let index = number(index).ok_or_else(wrong)?;
            match (1..=total).contains(&index) {
                true => Ok(Shard::Of { index, total }),
                false => Err(format!("the parts are 1/{total} to {total}/{total}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(shard("2/5"), Ok(Shard::Of { index: 2, total: 5 }));
        assert_eq!(shard("auto"), Ok(Shard::Auto { total: None }));
        assert_eq!(shard("auto/3"), Ok(Shard::Auto { total: Some(3) }));
        for wrong in ["", "2", "0/5", "6/5", "1/0", "a/b", "1/2/3", "-1/2", "Auto"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
