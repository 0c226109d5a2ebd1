//! Whether several runs are all shards of one list of scripts: none missing, none twice, none of another list. What is
//! lost here would look like success.

use super::model::{Outcome, Recorded, Run, Script, Shard, Whole};
use crate::event::Failure;
use crate::exit;
use crate::report::style::Style;
use crate::report::tested::{Tally, counts};
use crate::report::words::seconds;
use ring::digest;
use std::fmt::Write;
use std::time::Duration;

/// What all shards of a list have in common: told from the paths alone, in whatever order they come.
pub fn hash<T: AsRef<str>>(paths: &[T]) -> String {
    let mut sorted: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    let hash = digest::digest(&digest::SHA256, sorted.join("\n").as_bytes());
    hash.as_ref().iter().take(8).fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str())
}

/// What came of all shards together.
pub struct Merged {
    pub code: i32,
    /// The lines that tell it, the verdict last.
    pub text: String,
}

/// Judges them all; `Err` when they are not the whole.
pub fn merged(recorded: &Recorded, style: Style) -> Result<Merged, Failure> {
    let shards: Vec<(&Run, &Whole, Shard)> = recorded.runs.iter().map(shard).collect::<Result<_, _>>()?;
    let Some((first, whole, of)) = shards.first() else {
        return Err(refused("there is no shard".to_owned(), Vec::new()));
    };
    let total = of.total;
    for (run, other, shard) in &shards {
        if (&other.hash, other.count, shard.total) != (&whole.hash, whole.count, total) {
            let part = |run: &Run, whole: &Whole, shard: Shard| {
                let Shard { index, total } = shard;
                format!(
                    "`{}` is shard {index} of {total} of a list of {} (hash {})",
                    run.file, whole.count, whole.hash
                )
            };
            let notes = vec![part(first, whole, *of), part(run, other, *shard)];
            let wrong = match (&other.hash, other.count) == (&whole.hash, whole.count) {
                true => format!("`{}` is one of {} shards, and not of {total}", run.file, shard.total),
                false => format!("`{}` is a shard of another list of scripts", run.file),
            };
            return Err(refused(wrong, notes));
        }
    }
    for index in 1..=total {
        let found: Vec<&str> = shards
            .iter()
            .filter(|(_, _, it)| it.index == index)
            .map(|(run, _, _)| run.file.as_str())
            .collect();
        match &found[..] {
            [_] => {}
            [] => {
                let there = shards.iter().map(|(run, _, it)| format!("shard {} is `{}`", it.index, run.file));
                return Err(refused(format!("shard {index} of {total} is missing"), there.collect()));
            }
            [one, other, ..] => {
                let message = format!("shard {index} of {total} is there twice: `{one}` and `{other}`");
                return Err(refused(message, Vec::new()));
            }
        }
    }
    let mut paths: Vec<&str> =
        shards.iter().flat_map(|(_, it, _)| it.paths.iter().map(String::as_str)).collect();
    paths.sort_unstable();
    if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        let note = "all shards need the same --shard-by, of the same files".to_owned();
        return Err(refused(format!("`{}` ran in two shards", twice[0]), vec![note]));
    }
    if hash(&paths) != whole.hash {
        let message =
            format!("the shards together have {} scripts, the whole list has {}", paths.len(), whole.count);
        return Err(refused(
            message,
            vec!["all shards need the same --shard-by, of the same files".to_owned()],
        ));
    }
    Ok(verdict(recorded, total, style))
}

fn shard(run: &Run) -> Result<(&Run, &Whole, Shard), Failure> {
    let found = run.whole.as_ref().and_then(|whole| Some((run, whole, whole.shard?)));
    found.ok_or_else(|| Failure {
        hint: Some(format!(
            "bgjobs report junit {}   (for files that are not shards)",
            crate::words::quote(&run.file)
        )),
        ..refused(format!("`{}` is not of a shard", run.file), Vec::new())
    })
}

fn refused(message: String, notes: Vec<String>) -> Failure {
    Failure { code: exit::USAGE, message, notes, ..Failure::default() }
}

fn verdict(recorded: &Recorded, total: usize, style: Style) -> Merged {
    let mut text = String::new();
    let mut tally = Tally::default();
    let mut code = exit::OK;
    for run in &recorded.runs {
        match &run.end {
            Some(end) => code = code.max(end.code),
            None => {
                code = code.max(exit::INFRASTRUCTURE);
                let _ = writeln!(text, "{} `{}` has no end: it was killed", style.bad("error:"), run.file);
            }
        }
        for script in &run.scripts {
            let said = count(script, &mut tally);
            if let Some((word, how)) = said {
                let _ = writeln!(text, "{} {} ({how})", style.bad(word), script.name);
            }
        }
    }
    let took = recorded.runs.iter().map(|run| run.took_ms).fold(0.0, f64::max);
    let took = seconds(Duration::try_from_secs_f64(took / 1000.0).unwrap_or_default());
    let word = match code {
        exit::OK => style.good("passed"),
        code => format!("{} (exit {code})", style.bad("failed")),
    };
    let shards = if total == 1 { "1 shard".to_owned() } else { format!("{total} shards") };
    let _ = writeln!(text, "bgjobs: {word} in {took}, {shards}: {}", counts(&tally));
    Merged { code, text }
}

/// Counts it; what is said about one that has failed.
fn count(script: &Script, tally: &mut Tally) -> Option<(&'static str, String)> {
    let Some(last) = script.last() else {
        tally.not_run += 1;
        return None;
    };
    let how = || last.status.clone().unwrap_or_else(|| "killed".to_owned());
    if script.setup {
        let failed = matches!(last.outcome, Outcome::Failed | Outcome::Unfinished);
        tally.setups += usize::from(failed);
        return failed.then(|| ("FAILED", how()));
    }
    match last.outcome {
        Outcome::Passed => {
            tally.passed += 1;
            tally.flaky += usize::from(script.is_flaky());
            None
        }
        Outcome::Stopped => {
            tally.stopped += 1;
            None
        }
        Outcome::Failed | Outcome::Unfinished => {
            tally.failed += 1;
            Some(("FAILED", how()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::model::End;
    use crate::report::views::testing::{passing, recorded, script};

    fn shards(parts: &[(&str, usize, usize, &[&str])], list: &[&str]) -> Recorded {
        let run = |(file, index, total, paths): &(&str, usize, usize, &[&str])| {
            let scripts = paths.iter().map(|path| script(path, vec![passing(&[])])).collect();
            let mut run = recorded(scripts).runs.remove(0);
            run.file = (*file).to_owned();
            run.end = Some(End { code: *index as i32 - 1 });
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            let shard = Some(Shard { index: *index, total: *total });
            run.whole = Some(Whole { hash: hash(list), count: list.len(), shard, paths, repeat: 1 });
            run
        };
        Recorded { runs: parts.iter().map(run).collect() }
    }

    #[test]
    fn only_all_of_one_list_are_merged() {
        let refusal = |parts: &[(&str, usize, usize, &[&str])]| {
            merged(&shards(parts, &["a", "b", "c"]), Style::never()).err().map(|failure| failure.message)
        };
        let (one, two) = (("1", 1, 2, &["a", "c"][..]), ("2", 2, 2, &["b"][..]));
        assert_eq!(refusal(&[one, two]), None);
        assert_eq!(refusal(&[two, one]), None);
        for (parts, message) in [
            (&[one][..], "shard 2 of 2 is missing"),
            (&[one, two, two], "shard 2 of 2 is there twice: `2` and `2`"),
            (&[one, ("2", 2, 2, &["c"])], "`c` ran in two shards"),
            (&[one, ("2", 2, 2, &[])], "the shards together have 2 scripts, the whole list has 3"),
            (&[one, ("2", 2, 3, &["b"])], "`2` is one of 3 shards, and not of 2"),
            (&[], "there is no shard"),
        ] {
            assert_eq!(refusal(parts).as_deref(), Some(message));
        }
        let all = merged(&shards(&[one, two], &["a", "b", "c"]), Style::never())
            .unwrap_or_else(|_| panic!("whole"));
        assert_eq!(
            (all.code, all.text.as_str()),
            (1, "bgjobs: failed (exit 1) in 2.00s, 2 shards: 3 scripts passed\n")
        );
    }

    #[test]
    fn a_hash_does_not_depend_on_the_order() {
        assert_eq!(hash(&["b", "a"]), hash(&["a", "b"]));
        assert_ne!(hash(&["a"]), hash(&["a", "b"]));
        assert_eq!(hash::<&str>(&[]).len(), 16);
    }
}
