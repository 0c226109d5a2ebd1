//! `assert_snapshot`: a value as it was when somebody has looked at it last, in a file beside the script.

use crate::event::Event;
use crate::host::functions::assert::equal::text_of;
use crate::host::functions::assert::failure::failed;
use crate::host::run::runtime::{Runtime, rt};
use crate::host::value::describe::options;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{self, MapOf};
use crate::host::value::response::Response;
use crate::host::value::{self, json};
use crate::lock::lock;
use crate::secret;
use crate::snapshot::{Snapshots, normal};
use crate::words::quote;
use rhai::Dynamic;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::group_diff_ops;
use similar::udiff::UnifiedHunkHeader;

options! {
    /// What a snapshot can be told.
    pub(super) struct SnapshotOptions {
        /// What differs from run to run: regular expressions, and what stands in the place of what they match.
        mask: Option<MapOf<String>>, also redact redactions replace filters;
    }
}

pub(super) fn snapshot(name: &str, value: &Dynamic, opts: SnapshotOptions) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    if name.trim().is_empty() || name.contains(['\n', '\r']) {
        return Err(ScriptError::usage("assert_snapshot: its name must be a line that is not empty").into());
    }
    let name = match rt.place().test {
        Some(test) => format!("{} › {name}", test.name.replace(['\n', '\r'], " ")),
        None => name.to_owned(),
    };
    let now = masked(text(value)?, opts.mask)?;
    // Said when the lock is free: another closure of a `parallel` may have its turn meanwhile.
    if let Some(said) = compare(rt, &name, &now)? {
        rt.emit(Event::Log(said));
    }
    Ok(())
}

/// Compares with the snapshot of this name, or writes it; then what is to be said about that.
fn compare(rt: &Runtime, name: &str, now: &str) -> Fallible<Option<String>> {
    let mut all = lock(&rt.snapshots);
    let all = match &mut *all {
        Some(all) => all,
        none => none.insert(open(rt)?),
    };
    let update = rt.options.update;
    let known = all.get(name).map(str::to_owned);
    let file = shown(all);
    match known {
        Some(known) if known == now => Ok(None),
        Some(known) if !update => {
            let diff = differing(&known, now);
            let error = failed(None, &format!("the snapshot `{name}` differs ({file})"));
            Err(error
                .fact("actual", now.to_owned())
                .fact("expected", known)
                .note(format!("- kept, + now:\n{}", diff.trim_end()))
                .hint(format!("{}   (if it is right now)", to_update(rt)))
                .into())
        }
        None if !update && in_ci() => {
            let missing = format!("there is no snapshot `{name}` ({file}), and in CI none is written");
            let hint = format!("{}   (not in CI; then commit the file)", to_update(rt));
            Err(failed(None, &missing).hint(hint).into())
        }
        known => {
            all.put(name, now).map_err(|why| ScriptError::io(format!("assert_snapshot: {why}")))?;
            let how = if known.is_some() { "updated" } else { "written" };
            Ok(Some(format!("snapshot {how}: {name} ({file})")))
        }
    }
}

/// What differs, by lines, each change between two lines that are the same, as `diff -U2` tells it. Not by `TextDiff`: it
/// brings all of its algorithms, each for texts of all kinds, and with them half a megabyte.
fn differing(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut found = Compact::new(Replace::new(Capture::new()), &old, &new);
    let Ok(()) = myers::diff(&mut found, &old, 0..old.len(), &new, 0..new.len());
    let mut text = String::new();
    for hunk in group_diff_ops(found.into_inner().into_inner().into_ops(), 2) {
        text += &format!("{}\n", UnifiedHunkHeader::new(&hunk));
        for change in hunk.iter().flat_map(|part| part.iter_changes(&old, &new)) {
            text += &format!("{}{}\n", change.tag(), change.value());
        }
    }
    text
}

/// What is done at the end of a script all of whose tests have run: only then it is known which are not asked for.
pub fn finish(rt: &Runtime) -> Fallible<()> {
    let mut all = lock(&rt.snapshots);
    if all.is_none() && rt.options.update {
        // It may have had some before.
        *all = open(rt).ok();
    }
    let Some(all) = &mut *all else { return Ok(()) };
    let unused = all.unused();
    if unused.is_empty() {
        return Ok(());
    }
    let (names, file) = (unused.join(", "), shown(all));
    if rt.options.update {
        all.remove_unused().map_err(|why| ScriptError::io(format!("assert_snapshot: {why}")))?;
        rt.emit(Event::Log(format!("snapshots removed: {names} ({file})")));
    } else {
        rt.emit(Event::Log(format!(
            "snapshots that nothing asks for: {names} ({file}); --update removes them"
        )));
    }
    Ok(())
}

fn open(rt: &Runtime) -> Fallible<Snapshots> {
    let script = lock(&rt.script_file).clone();
    let Some(script) = script else {
        return Err(ScriptError::usage(
            "assert_snapshot: snapshots stand beside the file of a script, and this one has none",
        )
        .into());
    };
    let path = Snapshots::path_of(&lock(&rt.script_dir), &script);
    Snapshots::read(path).map_err(|why| ScriptError::io(format!("assert_snapshot: {why}")).into())
}

/// The file, as it is called from here.
fn shown(all: &Snapshots) -> String {
    let here = std::env::current_dir().ok();
    let path = here.and_then(|here| all.path.strip_prefix(here).ok()).unwrap_or(&all.path);
    path.display().to_string()
}

fn to_update(rt: &Runtime) -> String {
    format!("bgjobs script --update {}", quote(&rt.options.source))
}

/// Whether nobody is there who would look at what is new.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// A string as it is, all else as JSON.
fn text(value: &Dynamic) -> Fallible<String> {
    if let Some(text) = text_of(value) {
        return Ok(text.to_string());
    }
    if value.read_lock::<Response>().is_some() {
        let error = ScriptError::usage("assert_snapshot: a response has parts that differ each time");
        return Err(error.hint("assert_snapshot(name, response.body)   (or .json, .status)").into());
    }
    let shown = || value::show(value);
    let wrong =
        |why: String| ScriptError::usage(format!("assert_snapshot: {} cannot be kept: {why}", shown()));
    let tree = json::to_json(value).map_err(wrong)?;
    serde_json::to_string_pretty(&tree).map_err(|error| wrong(error.to_string()).into())
}

/// With what stands in the place of what differs from run to run.
fn masked(text: String, mask: Option<MapOf<String>>) -> Fallible<String> {
    let mut text = text;
    for (pattern, instead) in mask.into_iter().flat_map(|mask| mask.0) {
        let regex = kinds::regex("assert_snapshot: option `mask`", &pattern)?;
        text = regex.replace_all(&text, instead.as_str()).into_owned();
    }
    Ok(normal(&secret::mask(&text)))
}
