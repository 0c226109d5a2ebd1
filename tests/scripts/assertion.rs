//! Scripts that assert for themselves: every `tests/script/<namespace>/<behaviour>.rhai` must end with exit code
//! 0. Its header may say otherwise, one expectation a line:
//!
//! ```text
//! //@ exit: 2                  this exit code instead
//! //@ stdout: some text        occurs in stdout; may be given several times
//! //@ stderr: some text        occurs in stderr; may be given several times
//! //@ args: --port 80 file     the script's arguments, separated by spaces
//! //@ options: --isolate net   options of `bgjobs script`, separated by spaces; `--timeout` in the place of 5m
//! //@ needs: redis-server      programs, `root`, or modules of the system's Python as `python:redis`; where one is missing the
//!                              script is skipped, in CI that is a failure
//! ```
//!
//! `cargo test --test scripts fs/read` runs only those whose path has this in it. With `BGJOBS_PLAIN_SCRIPTS=FILE` those that
//! have nothing in their header but `needs` are not run but noted in FILE, a path a line: `.ci/run` gives them to `bgjobs test`.

use crate::support::{Script, repo, search_path, skip, which};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// A script that hangs ends after this; on a busy machine servers take a minute to start.
pub const LONGEST: &str = "5m";

#[derive(Default)]
struct Expected {
    exit: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
    args: Vec<String>,
    options: Vec<String>,
    needs: Vec<String>,
}

impl Expected {
    fn of(text: &str) -> Result<Self, String> {
        let mut expected = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("//@")) {
            let (key, value) = line.split_once(':').ok_or_else(|| format!("no `key: value`: {line}"))?;
            let value = value.trim();
            match key.trim() {
                "exit" => expected.exit = value.parse().map_err(|_| format!("no exit code: {value}"))?,
                "stdout" => expected.stdout.push(value.to_owned()),
                "stderr" => expected.stderr.push(value.to_owned()),
                "args" => expected.args = value.split_whitespace().map(str::to_owned).collect(),
                "options" => expected.options = value.split_whitespace().map(str::to_owned).collect(),
                "needs" => expected.needs = value.split_whitespace().map(str::to_owned).collect(),
                other => return Err(format!("unknown header `{other}`")),
            }
        }
        Ok(expected)
    }

    /// Whether `bgjobs test` alone can judge it.
    fn is_plain(&self) -> bool {
        let Self { exit, stdout, stderr, args, options, needs: _ } = self;
        *exit == 0 && [stdout, stderr, args, options].iter().all(|list| list.is_empty())
    }
}

fn has_python_module(name: &str) -> bool {
    let import =
        std::process::Command::new("/usr/bin/python3").arg("-c").arg(format!("import {name}")).output();
    import.is_ok_and(|output| output.status.success())
}

pub fn passes(path: &Path) -> datatest_stable::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let expected = Expected::of(&text)?;
    let shown = path.strip_prefix(repo("")).unwrap_or(path);
    let has = |need: &String| match need.strip_prefix("python:") {
        Some(module) => has_python_module(module),
        None if need == "root" => nix::unistd::geteuid().is_root(),
        None => which(need).is_some(),
    };
    if let Some(missing) = expected.needs.iter().find(|need| !has(need)) {
        if std::env::var_os("CI").is_some() {
            return Err(format!("`{missing}` is not there").into());
        }
        skip(&format!("{} needs `{missing}`, which is not there", shown.display()));
        return Ok(());
    }
    if let Some(list) = std::env::var_os("BGJOBS_PLAIN_SCRIPTS").filter(|_| expected.is_plain()) {
        // One write a line: several tests run at the same time.
        let mut list = OpenOptions::new().append(true).open(list)?;
        return Ok(list.write_all(format!("{}\n", shown.display()).as_bytes())?);
    }
    let script = Script::file(shown).env("PATH", &search_path());
    let has_time = expected.options.iter().any(|option| option == "--timeout");
    let script = if has_time { script } else { script.option("--timeout").option(LONGEST) };
    let script = expected.options.iter().fold(script, |script, option| script.option(option));
    let ran = expected.args.iter().fold(script, |script, arg| script.arg(arg)).run();
    let mut wrong = Vec::new();
    if ran.code != Some(expected.exit) {
        wrong.push(format!("exit code {:?} (signal {:?}), expected {}", ran.code, ran.signal, expected.exit));
    }
    for (name, all, texts) in
        [("stdout", &ran.stdout, &expected.stdout), ("stderr", &ran.stderr, &expected.stderr)]
    {
        wrong.extend(texts.iter().filter(|t| !all.contains(*t)).map(|t| format!("{name} has no {t:?}")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n--- stdout\n{}--- stderr\n{}", wrong.join("\n"), ran.stdout, ran.stderr).into())
}
