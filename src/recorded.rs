//! `bgjobs report`: reports of what was recorded, and shards put together.

use crate::cli::{Color, Report};
use crate::event::Failure;
use crate::exit;
use crate::jobs;
use crate::report::views::{self, Outputs};
use crate::report::{self, ReportStyle};
use std::fs::File;
use std::path::{Path, PathBuf};

pub fn run(what: &Report) -> i32 {
    let made = match what {
        Report::Schema => return report::print(report::SCHEMA),
        Report::One { kind, files, output } => one(*kind, files, output.as_deref()),
        Report::Merge { paths, reports, output } => merge(paths, reports, output.as_deref()),
    };
    made.unwrap_or_else(|failure| {
        report::print_failure(&failure, ReportStyle::choose(Color::Auto));
        failure.code
    })
}

fn one(kind: crate::cli::ReportKind, files: &[PathBuf], output: Option<&Path>) -> Result<i32, Failure> {
    let recorded = views::read(files)?;
    report::damaged(&recorded);
    match views::write_one(kind, &recorded, output)? {
        Some(text) => Ok(report::print(&text)),
        None => Ok(exit::OK),
    }
}

/// Shards → one; the worst of their exit codes.
fn merge(paths: &[PathBuf], reports: &[crate::cli::Wanted], output: Option<&Path>) -> Result<i32, Failure> {
    let files = files(paths, output)?;
    let recorded = views::read(&files)?;
    report::damaged(&recorded);
    let style = ReportStyle::choose(Color::Auto);
    let merged = views::merged(&recorded, style)?;
    let outputs = Outputs::open(reports, output)?;
    if let Some(output) = output {
        let together = || {
            let mut target = report::open_events(output)?;
            for path in &files {
                let mut file = File::open(path).map_err(jobs::why)?;
                std::io::copy(&mut file, &mut target).map_err(jobs::why)?;
            }
            Ok::<(), String>(())
        };
        together().map_err(|why| usage(format!("-o {}: {why}", output.display())))?;
    }
    let made = outputs.write_all(&recorded);
    report::merged(&made, &merged.text);
    Ok(if made.errors.is_empty() { merged.code } else { merged.code.max(exit::INFRASTRUCTURE) })
}

/// The files of events in directories, at any depth, but for the one that is to be written.
fn files(paths: &[PathBuf], output: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let written = output.and_then(real);
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let mut found = below(path);
        found.retain(|path| written.is_none() || real(path) != written);
        if found.is_empty() {
            return Err(Failure {
                notes: vec!["files of events are looked for by their end, .jsonl, at any depth".to_owned()],
                hint: Some("bgjobs test --shard 1/2 --events DIR/1.jsonl   (writes one)".to_owned()),
                ..usage(format!("no file of events is in `{}`", path.display()))
            });
        }
        all.append(&mut found);
    }
    Ok(all)
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|end| end == "jsonl") {
            found.push(path);
        }
    }
    found
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}
