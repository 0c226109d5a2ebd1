//! Where reports go: opened before anything runs, since hours later it would be too late to say that there is no place for
//! them, and written when all is over.

use super::model::{Made, Recorded};
use super::{ctrf, github, junit, read, tap, trace};
use crate::cli::{ReportKind, Wanted};
use crate::event::Failure;
use crate::exit;
use crate::jobs;
use crate::report::events::open;
use crate::report::html::html;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where GitHub wants the summary of a step, and where it has checked out the repository.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";
const WORKSPACE: &str = "GITHUB_WORKSPACE";

/// What `--report` takes.
const WHERE: &str = "   (in a directory that is there; an older one is replaced)";

#[derive(Clone, Debug, Default)]
pub struct Outputs(Vec<Output>);

#[derive(Clone, Debug)]
struct Output {
    kind: ReportKind,
    /// None where there is nothing but annotations.
    file: Option<Arc<File>>,
    name: String,
}

impl Outputs {
    /// Opens them; `events`: where events are recorded, which must not be one of them.
    pub fn open(wanted: &[Wanted], events: Option<&Path>) -> Result<Self, Failure> {
        let mut taken: Vec<(PathBuf, String)> =
            events.map(|path| (path.to_owned(), "--events".to_owned())).into_iter().collect();
        let mut outputs = Vec::new();
        for one in wanted {
            let option = format!("--report {}", one.kind.name());
            if let Some(path) = &one.path {
                if let Some((_, other)) = taken.iter().find(|(other, _)| is_same(other, path)) {
                    let message =
                        format!("{option} and {other} are both to be written to {}", path.display());
                    return Err(Failure { hint: Some(format!("{option}=ANOTHER-FILE")), ..usage(message) });
                }
                taken.push((path.clone(), option));
            }
            outputs.push(Output::open(one)?);
        }
        Ok(Self(outputs))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes all of them from what somebody has recorded.
    pub fn write(&self, events: &File, name: &str) -> Made {
        match read::read_one(events, name) {
            Ok(recorded) => self.write_all(&recorded),
            Err(failure) => Made { errors: vec![failure.message], ..Made::default() },
        }
    }

    pub fn write_all(&self, recorded: &Recorded) -> Made {
        let mut made = Made::default();
        for output in &self.0 {
            if output.kind == ReportKind::Github {
                made.annotations.push_str(&annotations(recorded));
            }
            let Some(file) = &output.file else { continue };
            let written = text(output.kind, recorded)
                .and_then(|text| (&**file).write_all(text.as_bytes()).map_err(jobs::why));
            if let Err(why) = written {
                made.errors.push(format!("the report {} cannot be written: {why}", output.name));
            }
        }
        made
    }
}

impl Output {
    fn open(wanted: &Wanted) -> Result<Self, Failure> {
        let kind = wanted.kind;
        let (file, name) = match &wanted.path {
            Some(path) => {
                let file = open(path).map_err(|why| Failure {
                    hint: Some(format!("--report {}=FILE{WHERE}", kind.name())),
                    ..usage(format!("--report {}: {why}", path.display()))
                })?;
                (Some(file), path.display().to_string())
            }
            None => match step_summary() {
                Some((file, path)) => (Some(file), path),
                None if wanted.by_itself => (None, String::new()),
                None => {
                    return Err(Failure {
                        hint: Some(format!("--report {}=FILE", kind.name())),
                        ..usage(format!(
                            "--report {}: ${STEP_SUMMARY} does not name a file here",
                            kind.name()
                        ))
                    });
                }
            },
        };
        Ok(Self { kind, file: file.map(Arc::new), name })
    }
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}

/// Whether they are one file, which need not be there.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let in_dir = || Some(std::fs::canonicalize(dir).ok()?.join(path.file_name()?));
        std::fs::canonicalize(path).ok().or_else(in_dir).unwrap_or_else(|| path.to_owned())
    };
    real(a) == real(b)
}

/// The file for the summary of a step, to which others have written, too.
fn step_summary() -> Option<(File, String)> {
    let path = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty())?;
    let file = OpenOptions::new().append(true).create(true).open(&path).ok()?;
    Some((file, path.to_string_lossy().into_owned()))
}

/// The lines for the log of GitHub Actions; nothing elsewhere, where they would only be in the way.
fn annotations(recorded: &Recorded) -> String {
    if !crate::cli::on_github() {
        return String::new();
    }
    let workspace = std::env::var_os(WORKSPACE).map(PathBuf::from);
    let here = std::env::current_dir().ok();
    let below = workspace.zip(here).and_then(|(top, here)| Some(here.strip_prefix(top).ok()?.to_owned()));
    github::annotations(recorded, &below.unwrap_or_default().to_string_lossy())
}

/// A report as text.
pub fn text(kind: ReportKind, recorded: &Recorded) -> Result<String, String> {
    Ok(match kind {
        ReportKind::Junit => junit::junit(recorded, junit::Dialect::here())?,
        ReportKind::Ctrf => ctrf::ctrf(recorded),
        ReportKind::Tap => tap::tap(recorded),
        ReportKind::Github => github::summary(recorded),
        ReportKind::Trace => trace::trace(recorded),
        ReportKind::Html => html(recorded),
    })
}

/// Makes one report of what was recorded, for a file, for the summary of a step, or for stdout; the exit code.
pub fn write_one(
    kind: ReportKind,
    recorded: &Recorded,
    path: Option<&Path>,
) -> Result<Option<String>, Failure> {
    let to_step =
        path.is_none() && kind == ReportKind::Github && crate::cli::on_github() && step_summary().is_some();
    if path.is_none() && !to_step {
        let text = text(kind, recorded);
        return text.map(Some).map_err(|why| Failure { code: exit::INFRASTRUCTURE, ..usage(why) });
    }
    let wanted = Wanted { kind, path: path.map(Path::to_owned), by_itself: false };
    let outputs = Outputs::open(&[wanted], None).map_err(|failure| Failure {
        message: failure.message.replacen("--report", "-o", 1),
        hint: Some(format!("-o FILE{WHERE}")),
        ..failure
    })?;
    let made = outputs.write_all(recorded);
    crate::report::print::print_error(&made.annotations);
    match made.errors.into_iter().next() {
        Some(why) => Err(Failure { code: exit::INFRASTRUCTURE, ..usage(why) }),
        None => Ok(None),
    }
}
