//! Which scripts run here, in their order: of those that are found, those that have failed before, and those of this shard.

use crate::cli::Test;
use crate::event::Failure;
use crate::report::views::model::Whole;
use crate::report::views::{self, hash};
use crate::runner::find;
use crate::runner::rerun;
use crate::runner::shard;
use std::path::PathBuf;

pub struct Selected {
    pub scripts: Vec<PathBuf>,
    /// What they are a part of.
    pub whole: Whole,
    /// What was decided here, in words; and what is to be said also where little is.
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
    /// Why nothing is to be run, and that is well.
    pub nothing: Option<String>,
}

pub fn selected(options: &Test) -> Result<Selected, Failure> {
    let asked = &options.selection;
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    let earlier = asked
        .rerun_failed
        .as_deref()
        .map(|file| Ok::<_, Failure>((file, rerun::failed(file)?)))
        .transpose()?;
    let mut nothing = None;
    if let Some((file, earlier)) = &earlier {
        let left_out = match earlier.not_run {
            0 => String::new(),
            count => format!("; {count} did not run then and are left out"),
        };
        match earlier.failed.len() {
            0 => nothing = Some(format!("nothing has failed in {}{left_out}", file.display())),
            1 => notes.push(format!("1 script has failed in {}{left_out}", file.display())),
            count => notes.push(format!("{count} scripts have failed in {}{left_out}", file.display())),
        }
        let all_of_them = options.paths.is_empty();
        if let Some(gone) = earlier.failed.iter().find(|path| all_of_them && !path.is_file()) {
            return Err(rerun::missing(gone, file));
        }
    }
    let only = earlier.as_ref().map(|(_, earlier)| &earlier.failed[..]);
    let all = match (&nothing, only) {
        (None, _) => find::scripts(options, only)?,
        (Some(_), _) => Vec::new(),
    };
    if nothing.is_none() && all.is_empty() {
        nothing = Some("none of the scripts in these paths has failed".to_owned());
    }
    let names: Vec<String> = all.iter().map(|path| path.display().to_string()).collect();
    let (list, count) = (hash(&names), names.len());
    let mut part = None;
    let mut scripts = all;
    if let Some(asked_part) = asked.shard {
        let (shard, from) = shard::meant(asked_part, &|name| std::env::var(name).ok())?;
        scripts = match asked.shard_by.is_empty() {
            true => shard::part(scripts, shard),
            false => {
                let earlier = views::read(&asked.shard_by)?;
                if !scripts.is_empty() && !shard::tells_of_any(&scripts, &earlier) {
                    let none =
                        "--shard-by: it tells of none of these scripts; each counts as long as any other";
                    warnings.push(none.to_owned());
                }
                shard::part_by(scripts, shard, &earlier)
            }
        };
        let from = from.map_or_else(String::new, |from| format!(", from {from}"));
        let mine = if scripts.is_empty() { "none".to_owned() } else { scripts.len().to_string() };
        let of = if count == 1 { "1 script".to_owned() } else { format!("{count} scripts") };
        let line = format!("shard {} of {}{from}: {mine} of {of}", shard.index, shard.total);
        // It passes, which nobody is to take for more than it is.
        if scripts.is_empty() {
            warnings.push(line)
        } else {
            notes.push(line)
        }
        part = Some(shard);
    }
    let paths = scripts.iter().map(|path| path.display().to_string()).collect();
    let whole = Whole { hash: list, count, shard: part, paths, repeat: options.repeat };
    Ok(Selected { scripts, whole, notes, warnings, nothing })
}
