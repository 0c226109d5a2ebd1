//! Which part of the scripts runs here: `--shard`. All shards of a list are told apart by it alone, and by the same rule
//! everywhere, since they do not know of each other.

use crate::cli::Shard as Asked;
use crate::event::Failure;
use crate::exit;
use crate::report::views::model::{Outcome, Recorded, Shard};
use std::collections::HashMap;
use std::path::PathBuf;

/// Variables that tell which part this is: of whom, its number, how many there are, and what the first number is.
struct Source {
    whose: &'static str,
    index: &'static str,
    total: Option<&'static str>,
    first: usize,
}

const SOURCES: &[Source] = &[
    source("GitLab", "CI_NODE_INDEX", Some("CI_NODE_TOTAL"), 1),
    source("CircleCI", "CIRCLE_NODE_INDEX", Some("CIRCLE_NODE_TOTAL"), 0),
    source("Buildkite", "BUILDKITE_PARALLEL_JOB", Some("BUILDKITE_PARALLEL_JOB_COUNT"), 0),
    source("Bitbucket", "BITBUCKET_PARALLEL_STEP", Some("BITBUCKET_PARALLEL_STEP_COUNT"), 0),
    source("Semaphore", "SEMAPHORE_JOB_INDEX", Some("SEMAPHORE_JOB_COUNT"), 1),
    source("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", Some("AWS_BATCH_JOB_ARRAY_SIZE"), 0),
    source("Slurm", "SLURM_ARRAY_TASK_ID", Some("SLURM_ARRAY_TASK_COUNT"), 0),
    source("Kubernetes", "JOB_COMPLETION_INDEX", None, 0),
];

const fn source(
    whose: &'static str,
    index: &'static str,
    total: Option<&'static str>,
    first: usize,
) -> Source {
    Source { whose, index, total, first }
}

/// Which part is meant, and from where that is known, in words, if it was not said.
pub fn meant(asked: Asked, env: &dyn Fn(&str) -> Option<String>) -> Result<(Shard, Option<String>), Failure> {
    let given = match asked {
        Asked::Of { index, total } => return Ok((Shard { index, total }, None)),
        Asked::Auto { total } => total,
    };
    let mut found: Vec<(Shard, String)> = Vec::new();
    for source in SOURCES {
        found.extend(told_by(source, given, env)?);
    }
    // A single part is what is told where nothing was divided.
    if found.iter().any(|(shard, _)| shard.total > 1) {
        found.retain(|(shard, _)| shard.total > 1);
    }
    let mut found = found.into_iter();
    let Some((shard, from)) = found.next() else {
        let names: Vec<&str> = SOURCES.iter().map(|source| source.index).collect();
        return Err(Failure {
            notes: vec![format!("looked for {}", names.join(", "))],
            hint: Some("--shard I/N, such as 1/4   (the first of four parts)".to_owned()),
            ..usage("--shard auto: nothing here tells which part this is".to_owned())
        });
    };
    if let Some((_, other)) = found.find(|(other, _)| *other != shard) {
        return Err(Failure {
            hint: Some(format!("--shard {}/{}", shard.index, shard.total)),
            ..usage(format!("--shard auto: {from}, but {other}"))
        });
    }
    Ok((shard, Some(from)))
}

/// What one of them tells, if it is there.
fn told_by(
    source: &Source,
    given: Option<usize>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<(Shard, String)>, Failure> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let Some(index) = set(source.index) else { return Ok(None) };
    let mut from = format!("{}={index}", source.index);
    let total = match (given, source.total) {
        (Some(total), _) => total.to_string(),
        (None, None) => {
            let hint = format!("--shard auto/N   (N: how many there are; {} does not tell)", source.whose);
            let message = format!(
                "--shard auto: {from} ({}) tells which part this is, but not of how many",
                source.whose
            );
            return Err(Failure { hint: Some(hint), ..usage(message) });
        }
        (None, Some(name)) => match set(name) {
            Some(total) => {
                from = format!("{from} and {name}={total}");
                total
            }
            None => return Ok(None),
        },
    };
    let mut first = source.first;
    let mut step = 1;
    if source.whose == "Slurm" {
        // An array may begin anywhere, and leave numbers out.
        let number =
            |name: &str, usual: usize| set(name).and_then(|value| value.parse().ok()).unwrap_or(usual);
        first = number("SLURM_ARRAY_TASK_MIN", 0);
        step = number("SLURM_ARRAY_TASK_STEP", 1).max(1);
    }
    let shard = index.trim().parse::<usize>().ok().zip(total.trim().parse::<usize>().ok()).and_then(
        |(index, total)| {
            let beyond = index.checked_sub(first)?;
            let index = (beyond % step == 0).then_some(beyond / step + 1)?;
            (index <= total).then_some(Shard { index, total })
        },
    );
    let Some(shard) = shard else {
        let asked = given.map_or_else(String::new, |total| format!("/{total}"));
        return Err(Failure {
            notes: vec![format!("{} counts from {first}", source.whose)],
            hint: Some("--shard I/N, such as 1/4   (the first of four parts)".to_owned()),
            ..usage(format!("--shard auto{asked}: {from} ({}) is not one of so many parts", source.whose))
        });
    };
    Ok(Some((shard, format!("{from} ({})", source.whose))))
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}

/// The scripts of a part: of a sorted list each n-th, so that those of a directory are spread.
pub fn part(mut scripts: Vec<PathBuf>, shard: Shard) -> Vec<PathBuf> {
    scripts.sort();
    scripts.into_iter().skip(shard.index - 1).step_by(shard.total).collect()
}

/// The scripts of a part, when all are to take equally long: the longest goes first, to the part that has least so far.
/// They run in this order, too, so that with several at a time no long one is left for the end.
pub fn part_by(scripts: Vec<PathBuf>, shard: Shard, earlier: &Recorded) -> Vec<PathBuf> {
    let known = durations(earlier);
    let usual = median(&mut known.values().copied().collect::<Vec<_>>()).unwrap_or(1.0);
    let mut timed: Vec<(f64, PathBuf)> = scripts
        .into_iter()
        .map(|path| (known.get(&*path.to_string_lossy()).copied().unwrap_or(usual), path))
        .collect();
    timed.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    let mut loads = vec![0.0; shard.total];
    let mut mine = Vec::new();
    for (took, path) in timed {
        let least = (0..loads.len()).min_by(|a, b| f64::total_cmp(&loads[*a], &loads[*b])).unwrap_or(0);
        loads[least] += took;
        if least + 1 == shard.index {
            mine.push(path);
        }
    }
    mine
}

/// Whether these runs tell how long any of these scripts took.
pub fn tells_of_any(scripts: &[PathBuf], earlier: &Recorded) -> bool {
    let known = durations(earlier);
    scripts.iter().any(|path| known.contains_key(&*path.to_string_lossy()))
}

/// How long each path has taken: all its tries of a run together, and of several runs the median.
fn durations(earlier: &Recorded) -> HashMap<String, f64> {
    let mut all: HashMap<String, Vec<f64>> = HashMap::new();
    for run in &earlier.runs {
        let mut of_run: HashMap<&str, f64> = HashMap::new();
        for script in &run.scripts {
            // What was stopped would have taken longer.
            let came_to_its_end = |one: &&crate::report::views::model::Try| {
                matches!(one.outcome, Outcome::Passed | Outcome::Failed)
            };
            let took: f64 = script.tries.iter().filter(came_to_its_end).map(|one| one.took_ms).sum();
            if took > 0.0 {
                *of_run.entry(&script.path).or_default() += took;
            }
        }
        of_run.into_iter().for_each(|(path, took)| all.entry(path.to_owned()).or_default().push(took));
    }
    all.into_iter().filter_map(|(path, mut times)| Some((path, median(&mut times)?))).collect()
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    match times.len() {
        0 => None,
        even if even % 2 == 0 => Some(f64::midpoint(times[middle - 1], times[middle])),
        _ => Some(times[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::model::{Run, Script, Try};

    fn told(vars: &[(&str, &str)], total: Option<usize>) -> Result<(usize, usize), String> {
        let env = |name: &str| {
            let found = vars.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        meant(Asked::Auto { total }, &env)
            .map(|(shard, _)| (shard.index, shard.total))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn each_of_the_surroundings_counts_in_its_way() {
        for (vars, shard) in [
            (&[("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "3")][..], (2, 3)),
            (&[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "3")], (1, 3)),
            (&[("BUILDKITE_PARALLEL_JOB", "2"), ("BUILDKITE_PARALLEL_JOB_COUNT", "3")], (3, 3)),
            (&[("BITBUCKET_PARALLEL_STEP", "1"), ("BITBUCKET_PARALLEL_STEP_COUNT", "3")], (2, 3)),
            (&[("SEMAPHORE_JOB_INDEX", "1"), ("SEMAPHORE_JOB_COUNT", "3")], (1, 3)),
            (&[("AWS_BATCH_JOB_ARRAY_INDEX", "2"), ("AWS_BATCH_JOB_ARRAY_SIZE", "3")], (3, 3)),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "0"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", "0"),
                ],
                (1, 3),
            ),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "3"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", "1"),
                ],
                (3, 3),
            ),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "4"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", "0"),
                    ("SLURM_ARRAY_TASK_STEP", "2"),
                ],
                (3, 3),
            ),
            // Nothing was divided by the first.
            (
                &[
                    ("CIRCLE_NODE_INDEX", "0"),
                    ("CIRCLE_NODE_TOTAL", "1"),
                    ("AWS_BATCH_JOB_ARRAY_INDEX", "4"),
                    ("AWS_BATCH_JOB_ARRAY_SIZE", "5"),
                ],
                (5, 5),
            ),
        ] {
            assert_eq!(told(vars, None), Ok(shard), "{vars:?}");
        }
        assert_eq!(told(&[("JOB_COMPLETION_INDEX", "3")], Some(4)), Ok((4, 4)));
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        for (vars, message) in [
            (&[][..], "--shard auto: nothing here tells which part this is"),
            (&[("CI_NODE_TOTAL", "1")], "--shard auto: nothing here tells which part this is"),
            (
                &[("JOB_COMPLETION_INDEX", "3")],
                "--shard auto: JOB_COMPLETION_INDEX=3 (Kubernetes) tells which part this is, but not of how many",
            ),
            (
                &[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "3")],
                "--shard auto: CI_NODE_INDEX=4 and CI_NODE_TOTAL=3 (GitLab) is not one of so many parts",
            ),
            (
                &[
                    ("CI_NODE_INDEX", "1"),
                    ("CI_NODE_TOTAL", "3"),
                    ("SEMAPHORE_JOB_INDEX", "2"),
                    ("SEMAPHORE_JOB_COUNT", "3"),
                ],
                "--shard auto: CI_NODE_INDEX=1 and CI_NODE_TOTAL=3 (GitLab), but SEMAPHORE_JOB_INDEX=2 and \
                 SEMAPHORE_JOB_COUNT=3 (Semaphore)",
            ),
        ] {
            assert_eq!(told(vars, None), Err(message.to_owned()));
        }
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn parts_are_the_whole_and_nothing_twice() {
        let all = paths(&["e", "a", "d", "b", "c"]);
        let parts: Vec<Vec<PathBuf>> =
            (1..=3).map(|index| part(all.clone(), Shard { index, total: 3 })).collect();
        assert_eq!(parts, [paths(&["a", "d"]), paths(&["b", "e"]), paths(&["c"])]);
        assert_eq!(part(paths(&["a"]), Shard { index: 2, total: 2 }), paths(&[]));
    }

    #[test]
    fn long_ones_are_spread_and_unknown_ones_are_usual() {
        let script = |(path, took_ms): &(&str, f64)| Script {
            name: (*path).to_owned(),
            path: (*path).to_owned(),
            setup: false,
            tries: vec![Try { outcome: Outcome::Passed, took_ms: *took_ms, ..Try::default() }],
        };
        let run = |times: &[(&str, f64)]| Run {
            file: String::new(),
            bgjobs: String::new(),
            began: String::new(),
            began_ms: 0.0,
            took_ms: 0.0,
            whole: None,
            scripts: times.iter().map(script).collect(),
            end: None,
            damaged: 0,
        };
        // Of a the median is 9, that of all 3.
        let runs = vec![
            run(&[("a", 9.0), ("b", 3.0), ("c", 3.0)]),
            run(&[("a", 90.0)]),
            run(&[("a", 1.0), ("d", 2.0)]),
        ];
        let earlier = Recorded { runs };
        let all = paths(&["a", "b", "c", "d", "new"]);
        let by = |index| part_by(all.clone(), Shard { index, total: 2 }, &earlier);
        assert_eq!((by(1), by(2)), (paths(&["a", "d"]), paths(&["b", "c", "new"])));
    }
}
