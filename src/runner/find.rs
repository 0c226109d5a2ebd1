//! What was asked for → the scripts, in their order. Runs and reads none of them.

use crate::cli::Test;
use crate::event::Failure;
use crate::exit;
use crate::runner::setups::is_setup;
use crate::words::{nearest, quote};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// Where scripts are looked for when nobody says where.
const USUAL: &str = "tests";

/// The scripts that were asked for, each once. `only`: these, or of those in the paths that were named.
pub fn scripts(options: &Test, only: Option<&[PathBuf]>) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in &options.paths {
        // Whoever has typed none wonders where it came from.
        let place = options.config.as_ref().and_then(|config| config.paths.clone());
        found.extend(meant_by(path).map_err(|failure| Failure { place, ..failure })?);
    }
    if let Some(only) = only {
        match options.paths.is_empty() {
            true => found = only.to_vec(),
            false => found.retain(|path| only.contains(path)),
        }
    } else if options.paths.is_empty() {
        found = below(Path::new(USUAL));
        if found.is_empty() {
            return Err(nothing_usual());
        }
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    let Some(filter) = &options.filter else { return Ok(found) };
    let (matching, others): (Vec<PathBuf>, Vec<PathBuf>) =
        found.into_iter().partition(|path| filter.is_match(&path.to_string_lossy()));
    if matching.is_empty() {
        return Err(Failure {
            notes: vec![known(&others)],
            hint: Some(
                "bgjobs test --list   (without --filter: the paths that it is matched against)".to_owned(),
            ),
            ..usage(format!("no script matches --filter `{filter}`"))
        });
    }
    Ok(matching)
}

/// Where scripts may come and go: directories that were named, those of scripts, and those where patterns begin.
pub fn places(options: &Test) -> Vec<PathBuf> {
    if options.paths.is_empty() {
        return vec![USUAL.into()];
    }
    let place = |path: &PathBuf| -> PathBuf {
        let plain = |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let mut start: PathBuf = path.components().take_while(plain).collect();
        if !start.is_dir() {
            start.pop();
        }
        if start.as_os_str().is_empty() { ".".into() } else { start }
    };
    options.paths.iter().map(place).collect()
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}

/// `3 scripts were found: a.rhai, b.rhai, …`.
fn known(found: &[PathBuf]) -> String {
    const MOST: usize = 5;
    let mut names: Vec<String> = found.iter().take(MOST).map(|path| path.display().to_string()).collect();
    if found.len() > MOST {
        names.push("…".to_owned());
    }
    match found.len() {
        1 => format!("1 script was found: {}", names.join(", ")),
        count => format!("{count} scripts were found: {}", names.join(", ")),
    }
}

/// The scripts that one argument means: a file is one whatever its name is.
fn meant_by(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let text = path.to_string_lossy();
    let is_pattern = text.contains(['*', '?', '[']) && !path.exists();
    let found = match () {
        () if path.is_dir() => below(path),
        () if is_setup(path) && path.exists() => return Err(not_a_test(path)),
        () if path.exists() => vec![path.to_owned()],
        () if is_pattern => matching(&text)?,
        () => return Err(missing(path)),
    };
    if found.is_empty() {
        let what = if is_pattern { "matches" } else { "is in" };
        return Err(Failure {
            notes: vec!["scripts are files *.rhai; names that begin with _ or . are left out".to_owned()],
            ..usage(format!("no script {what} `{text}`"))
        });
    }
    Ok(found)
}

/// What scripts share is none of them.
fn not_a_test(path: &Path) -> Failure {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Failure {
        notes: vec![
            "it runs before the first script beside or below it, and hands on to them what it has started"
                .to_owned(),
        ],
        hint: Some(format!("bgjobs test {}", quote(&dir.display().to_string()))),
        ..usage(format!("`{}` is not a test: it is what tests share", path.display()))
    }
}

fn nothing_usual() -> Failure {
    let here: Vec<PathBuf> = entries(Path::new(".")).into_iter().filter(|path| is_script(path)).collect();
    let hint = match here.first() {
        Some(first) => format!("bgjobs test {}", quote(&plain(first).display().to_string())),
        None => {
            format!("bgjobs test PATH   (or `bgjobs new {USUAL}/first.rhai`, for a script to begin with)")
        }
    };
    Failure {
        notes: vec![format!("looked for {USUAL}/**/*.rhai; names that begin with _ or . are left out")],
        hint: Some(hint),
        ..usage("no script was found".to_owned())
    }
}

fn missing(path: &Path) -> Failure {
    let dir = path.parent().unwrap_or(Path::new(""));
    let readable = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let names: Vec<String> = entries(readable)
        .iter()
        .filter(|path| path.is_dir() || has_ending(path))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let near = nearest(&wanted, names.iter().map(String::as_str));
    let hint = match near {
        Some(name) => format!("bgjobs test {}", quote(&dir.join(name).display().to_string())),
        None => format!("bgjobs test --list   (the scripts of {USUAL}/, which run without a PATH)"),
    };
    Failure { hint: Some(hint), ..usage(format!("there is no file or directory `{}`", path.display())) }
}

/// What a directory holds, in the order of the names; nothing of one that cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = all.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The scripts below a directory, whose own name does not matter.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(dir).into_iter().filter(|path| !path.file_name().is_some_and(is_left_out)) {
        if path.is_dir() {
            // A link to a directory may lead back.
            if !path.is_symlink() {
                found.extend(below(&path));
            }
        } else if has_ending(&path) {
            found.push(plain(&path).to_owned());
        }
    }
    found
}

/// The scripts that a pattern matches; what is left out elsewhere is here, too, unless the pattern names it.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths =
        glob::glob(pattern).map_err(|error| usage(format!("`{pattern}` is not a pattern: {}", error.msg)))?;
    let named: HashSet<&OsStr> = Path::new(pattern).iter().collect();
    let may_be = |path: &PathBuf| {
        let mut parts = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        parts.all(|name| named.contains(name) || !is_left_out(name))
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths.flatten().filter(may_be) {
        if path.is_dir() {
            found.extend(below(&path));
        } else if has_ending(&path) && !is_setup(&path) {
            found.push(plain(&path).to_owned());
        }
    }
    Ok(found)
}

fn has_ending(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rhai") && path.is_file()
}

fn is_script(path: &Path) -> bool {
    has_ending(path) && !path.file_name().is_some_and(is_left_out)
}

/// Modules and data beside the scripts.
fn is_left_out(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"_") || name.as_encoded_bytes().starts_with(b".")
}

/// Without `./` before it.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}
