//! Scripts that assert for themselves: every `tests/script/<namespace>/<behaviour>.rhai` must end with exit code
//! 0. Its header may say otherwise, one expectation a line:
//!
//! ```text
//! //@ exit: 2                  this exit code instead
//! //@ stdout: some text        occurs in stdout; may be given several times
//! //@ stderr: some text        occurs in stderr; may be given several times
//! //@ args: --port 80 file     the script's arguments, separated by spaces
//! //@ options: --isolate net   options of `bgjobs script`, separated by spaces
//! //@ needs: redis-server      programs, `root`, or modules of the system's Python as `python:redis`; where one is missing the
//!                              script is skipped, in CI that is a failure
//! ```
//!
//! `SCRIPT=fs/read cargo test --test it scripts` runs only those whose path contains that text.

use crate::support::{Script, repo, search_path, skip, which};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A script that hangs ends after this; on a busy machine servers take a minute to start.
const LONGEST: &str = "5m";
/// How many run at the same time.
const AT_ONCE: usize = 3;

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
}

fn scripts() -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let wanted = std::env::var("SCRIPT").unwrap_or_default();
    let mut found: Vec<PathBuf> = list(&repo("tests/script"))
        .iter()
        .flat_map(|namespace| list(namespace))
        .filter(|path| path.extension().is_some_and(|end| end == "rhai"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    found.sort();
    found
}

fn has_python_module(name: &str) -> bool {
    let import =
        std::process::Command::new("/usr/bin/python3").arg("-c").arg(format!("import {name}")).output();
    import.is_ok_and(|output| output.status.success())
}

/// What was wrong, if anything.
fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let expected = Expected::of(&text)?;
    let shown = path.strip_prefix(repo("")).unwrap_or(path);
    let has = |need: &String| match need.strip_prefix("python:") {
        Some(module) => has_python_module(module),
        None if need == "root" => nix::unistd::geteuid().is_root(),
        None => which(need).is_some(),
    };
    if let Some(missing) = expected.needs.iter().find(|need| !has(need)) {
        if std::env::var_os("CI").is_some() {
            return Err(format!("`{missing}` is not there"));
        }
        skip(&format!("{} needs `{missing}`, which is not there", shown.display()));
        return Ok(());
    }
    let script = Script::file(shown).option("--timeout").option(LONGEST).env("PATH", &search_path());
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
    Err(format!("{}\n--- stdout\n{}--- stderr\n{}", wrong.join("\n"), ran.stdout, ran.stderr))
}

#[test]
fn scripts_assert_for_themselves() {
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no script was found");
    let queue = Mutex::new(scripts.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().expect("not poisoned").next() else { return };
                    if let Err(wrong) = check(path) {
                        failures.lock().expect("not poisoned").push(format!("{}: {wrong}", path.display()));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("not poisoned");
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {} scripts failed:\n\n{}",
        failures.len(),
        scripts.len(),
        failures.join("\n")
    );
}

/// Modules whose example needs more than a server: a container engine with images, files of a project.
const NOT_ALONE: &[&str] = &[
    "cargo.rhai",
    "compose.rhai",
    "docker.rhai",
    "node.rhai",
    "procfile.rhai",
    "python.rhai",
    "services.rhai",
];

/// The first ```` ```rhai ```` block of a module's header, as a script.
fn example(module: &str) -> String {
    let header = module.lines().map_while(|line| line.strip_prefix("//!"));
    let block = header.skip_while(|line| line.trim() != "```rhai").skip(1);
    let lines: Vec<&str> = block.take_while(|line| line.trim() != "```").collect();
    lines.join("\n")
}

#[test]
fn the_example_at_the_top_of_each_module_runs() {
    let modules = std::fs::read_dir(repo("stdlib")).expect("stdlib is there");
    let mut modules: Vec<PathBuf> = modules.map(|entry| entry.expect("readable").path()).collect();
    modules.retain(|path| !NOT_ALONE.iter().any(|name| path.ends_with(name)));
    modules.sort();
    let queue = Mutex::new(modules.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().expect("not poisoned").next() else { return };
                    let code = example(&std::fs::read_to_string(path).expect("readable"));
                    let run =
                        Script::code(&code).option("--timeout").option(LONGEST).env("PATH", &search_path());
                    let ran = run.run();
                    let missing = ran.stderr.contains("installed") && std::env::var_os("CI").is_none();
                    if missing && ran.code != Some(0) {
                        skip(&format!("the example of {}: {}", path.display(), ran.stderr));
                    } else if ran.code != Some(0) || code.is_empty() {
                        wrong.lock().expect("not poisoned").push(format!(
                            "{}: {}",
                            path.display(),
                            ran.stderr
                        ));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("not poisoned");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// It takes the ten seconds that all closures together have.
#[test]
fn a_closure_that_does_not_end_hides_no_failure() {
    let ran = Script::code("on_exit(|| sleep(\"60s\")); assert_eq(1, 2);").run().code(1);
    let ran = ran.stderr_has("assertion failed: `actual` is 1, expected 2");
    let _ = ran.stderr_has("warning: on_exit: the closures were cut off after 10 s");
}
