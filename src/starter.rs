//! What `bgjobs new` and `bgjobs skill` write: a first script, and the skill that tells a coding agent how to use bgjobs.
//!
//! Nothing of the user's is overwritten.

use crate::builtin;
use crate::cli::{Color, Kind, New, Options, Skill};
use crate::event::Failure;
use crate::exit;
use crate::host;
use crate::report::{self, ReportStyle};
use std::path::{Path, PathBuf};

/// The skill, as it also stands in the repository.
const SKILL: &str = include_str!("../skills/bgjobs/SKILL.md");

/// The script that is to be written.
fn target(options: &New) -> PathBuf {
    let mut path = options.name.clone();
    if path.extension().is_none() {
        path.set_extension("rhai");
    }
    path
}

/// `bgjobs new --from FILE`: the run that writes it; or the exit code, when there is no such file, or one that it would
/// overwrite. None without `--from`.
pub fn from(options: &New) -> Option<Result<Options, i32>> {
    let source = options.from.clone()?;
    let target = target(options);
    let wrong = |message: String| Failure { code: exit::USAGE, message, ..Failure::default() };
    let obstacle = if target.exists() {
        Some(taken(&target))
    } else if source.is_dir() {
        Some(wrong(format!("--from {}: it is a directory", source.display())))
    } else if !source.exists() {
        Some(wrong(format!("--from {}: there is no such file", source.display())))
    } else {
        None
    };
    Some(match obstacle {
        Some(failure) => Err(failed(&failure)),
        None => Ok(options.run_from(source, target)),
    })
}

/// `bgjobs new`: a script to begin with.
pub fn new(options: &New) -> i32 {
    let path = target(options);
    let template = match options.kind {
        Kind::Web => include_str!("new/web.rhai"),
        Kind::Services => include_str!("new/services.rhai"),
        Kind::Database => include_str!("new/database.rhai"),
        Kind::Empty => include_str!("new/empty.rhai"),
    };
    let name = path.display().to_string();
    let text = template.replace("NAME.rhai", &name);
    if let Err(failure) = create(&path, &text) {
        return failed(&failure);
    }
    report::print(&crate::words::written(&name))
}

fn taken(path: &Path) -> Failure {
    Failure {
        code: exit::USAGE,
        message: format!("cannot write `{}`: it already exists", path.display()),
        hint: Some("bgjobs new OTHER_NAME".to_owned()),
        ..Failure::default()
    }
}

/// Writes a file that is not there yet.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            return taken(path);
        }
        let message = format!("cannot write `{}`: {}", path.display(), reason(&e));
        Failure { code: exit::USAGE, message, ..Failure::default() }
    })
}

/// What went wrong, without the number of the error.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// `bgjobs skill`: prints the skill, or installs it.
pub fn skill(options: &Skill) -> i32 {
    let Some(place) = &options.install else { return report::print(SKILL) };
    let dir = match place.as_str() {
        "claude" => PathBuf::from(".claude/skills/bgjobs"),
        // Codex reads the folder that agents share.
        "agents" | "codex" => PathBuf::from(".agents/skills/bgjobs"),
        "gemini" => PathBuf::from(".gemini/skills/bgjobs"),
        "cursor" => PathBuf::from(".cursor/skills/bgjobs"),
        "copilot" => PathBuf::from(".github/skills/bgjobs"),
        dir => Path::new(dir).join("bgjobs"),
    };
    match install(&dir, options.force) {
        Ok(text) => report::print(&text),
        Err(failure) => failed(&failure),
    }
}

/// The last line of each file that is written begins so; behind it stands what tells whether it was changed since.
const MARK: &str =
    "<!-- written by `bgjobs skill --install`, which replaces it as long as nobody has changed it: ";

/// A text as it is written.
fn marked(text: &str) -> String {
    let body = text.trim_end();
    format!("{body}\n\n{MARK}{:016x} -->\n", sum(body))
}

/// Whether a file is as it was written, by this version or another.
fn is_ours(bytes: &[u8]) -> bool {
    let written = std::str::from_utf8(bytes).ok().and_then(|text| text.rsplit_once(MARK));
    written.is_some_and(|(body, end)| end == format!("{:016x} -->\n", sum(body.trim_end())))
}

/// FNV-1a: the same in every version, and good enough to see an edit.
fn sum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn install(dir: &Path, force: bool) -> Result<String, Failure> {
    let mut files =
        vec![(dir.join("SKILL.md"), SKILL.to_owned()), (dir.join("references/language.md"), host::brief())];
    for name in builtin::modules() {
        let file = format!("references/{}.md", name.replace('/', "-"));
        files.push((dir.join(file), host::pages(&[name.to_owned()], true)?));
    }
    // All or nothing: first look whether one of them is somebody else's.
    for (path, _) in &files {
        let foreign = match std::fs::read(path) {
            Ok(bytes) => !is_ours(&bytes),
            Err(e) => e.kind() != std::io::ErrorKind::NotFound,
        };
        if foreign && !force {
            return Err(Failure {
                code: exit::USAGE,
                message: format!(
                    "`{}` already exists, and was changed or written by somebody else",
                    path.display()
                ),
                hint: Some("--force   (replaces it)".to_owned()),
                ..Failure::default()
            });
        }
    }
    for (path, text) in &files {
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
            std::fs::write(path, marked(text))
        };
        write().map_err(|e| Failure {
            code: exit::INFRASTRUCTURE,
            message: format!("cannot write `{}`: {}", path.display(), reason(&e)),
            ..Failure::default()
        })?;
    }
    Ok(format!("wrote {}, and {} files in references/\n", dir.join("SKILL.md").display(), files.len() - 1))
}

fn failed(failure: &Failure) -> i32 {
    report::print_failure(failure, ReportStyle::choose(Color::Auto));
    failure.code
}
