//! `bgjobs doctor`: what it says is what a run finds.

use crate::support::{Ran, Script, bgjobs};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn base() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bd").tempdir_in("/tmp").expect("a directory")
}

fn doctor(base: &Path, args: &[&str], off: &str) -> Output {
    let mut command = Command::new(bgjobs());
    command.arg("doctor").args(args).env("TMPDIR", base).env("BGJOBS_TEST_OFF", off);
    command.output().expect("bgjobs starts")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The answer in the table, and what stands beside it.
fn row<'l>(lines: &'l [String], name: &str) -> (&'l str, &'l str) {
    let line =
        lines.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {lines:#?}"));
    let rest = line[name.len()..].trim_start();
    rest.split_once(' ').map_or((rest, ""), |(answer, detail)| (answer, detail.trim_start()))
}

const BASIC: [&str; 6] = ["kernel", "pidfd", "subreaper", "parent-death signal", "/proc", "run directory"];

#[test]
fn where_the_promise_holds_it_says_so_and_leaves_nothing() {
    let base = base();
    let output = doctor(base.path(), &[], "");
    let lines = lines(&output);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{lines:#?}");
    for name in BASIC {
        assert_eq!(row(&lines, name).0, "yes", "{lines:#?}");
    }
    assert!(
        row(&lines, "run directory").1.starts_with(&format!("{}, ", base.path().display())),
        "{lines:#?}"
    );
    assert_eq!(lines.iter().filter(|line| line.ends_with("  covered")).count(), 3, "{lines:#?}");
    assert_eq!(std::fs::read_dir(base.path()).expect("a directory").count(), 0);
}

#[test]
fn the_table_and_the_json_say_the_same() {
    let base = base();
    let lines = lines(&doctor(base.path(), &[], ""));
    let output = doctor(base.path(), &["--json"], "");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["holds"], true);
    let checks = json["checks"].as_array().expect("checks");
    for check in checks {
        let answer = if check["ok"] == true { "yes" } else { "no" };
        assert_eq!(row(&lines, check["name"].as_str().expect("a name")).0, answer, "{check}\n{lines:#?}");
    }
    let names: Vec<&str> = checks.iter().take(6).filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, BASIC);
    assert_eq!(json["covers"].as_array().map(Vec::len), Some(4));
}

#[test]
fn what_does_not_work_is_found_by_doing_it() {
    for (off, name, lost) in [
        ("subreaper", "subreaper", "daemons would get away"),
        ("pdeathsig", "parent-death signal", "jobs would not notice"),
    ] {
        let base = base();
        let output = doctor(base.path(), &[], off);
        let lines = lines(&output);
        assert_eq!(output.status.code(), Some(1), "{lines:#?}");
        assert_eq!(row(&lines, name), ("no", lost));
        assert!(
            lines.iter().any(|line| line.contains("NOT covered: see the first `no` above")),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_base_directory_that_is_not_there_is_named() {
    let output = doctor(Path::new("/tmp/no/such/place"), &[], "");
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(1), "{lines:#?}");
    let (answer, detail) = row(&lines, "run directory");
    assert_eq!(answer, "no");
    assert!(detail.starts_with("cannot create a directory in /tmp/no/such/place"), "{detail}");
}

#[test]
fn what_it_says_of_walls_is_what_a_run_meets() {
    let base = base();
    let lines = lines(&doctor(base.path(), &[], ""));
    let works = |ran: Ran| ran.code == Some(0);
    let run = |option: &str, code: &str| {
        let script = Script::code(code).env("TMPDIR", &base.path().to_string_lossy());
        works(if option.is_empty() { script.run() } else { script.option(option).run() })
    };
    for wall in ["pid", "net"] {
        let answer = row(&lines, &format!("--isolate {wall}")).0;
        assert_eq!(run(&format!("--isolate={wall}"), "run(\"true\")"), answer == "yes", "{wall}: {lines:#?}");
    }
    if row(&lines, "cgroup").0 == "yes" {
        for (limit, value) in [("max_memory", "\"64MB\""), ("max_procs", "8")] {
            let code = format!("spawn(\"exec sleep 60\", #{{{limit}: {value}}})");
            assert_eq!(run("", &code), row(&lines, limit).0 == "yes", "{limit}: {lines:#?}");
        }
    }
}
