//! Reports: what `bgjobs test` records, and what is made of it, then or later: each form, the same exit code, and what is
//! said when something is wrong.

use crate::events::{are_as_described, events, names};
use crate::support::{bgjobs, gone, lives};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(100);

/// A directory with scripts.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        for (name, text) in files {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(bgjobs());
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("FORCE_COLOR");
        command.env_remove("GITHUB_ACTIONS").env_remove("GITLAB_CI").env_remove("CIRCLECI");
        command
    }

    /// Runs it, and checks how it ends; what it has said on stderr.
    #[track_caller]
    pub fn ends(&self, args: &[&str], code: i32) -> String {
        let Output { status, stdout, stderr } = self.command(args).output().expect("bgjobs starts");
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
        err.into_owned()
    }

    #[track_caller]
    pub fn prints(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("bgjobs starts");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

pub const KINDS: [&str; 6] = ["junit", "ctrf", "tap", "github", "html", "trace"];

/// Tests that pass, fail and are skipped; one that is flaky; a script that fails without a test, and a job that dies.
pub fn mixed() -> Place {
    Place::with(&[
        (
            "a.rhai",
            "test(\"adds\", || assert_eq(1 + 1, 2));\ntest(\"fails\", || assert_eq(1, 2));\n\
             test(\"skips\", || skip(\"no engine\"));\ntest(\"adds\", || ());",
        ),
        ("b.rhai", "print(\"bye\\u0007 <&> ]]>\"); exit(3);"),
        (
            "c.rhai",
            "test(\"meets\", || { if !exists(\"seen\") { write_file(\"seen\", \"\"); fail(\"<not yet>\"); } });",
        ),
        ("d.rhai", "start(\"api\", \"echo up; exec sleep 300\", #{ready: #{log: \"up\"}}); run(\"exit 0\");"),
        ("e.rhai", "start(\"api\", \"echo dying; exit 4\", #{ready: #{log: \"up\"}});"),
    ])
}

pub const MIXED: [&str; 5] = ["a.rhai", "b.rhai", "c.rhai", "d.rhai", "e.rhai"];

fn args<'a>(before: &[&'a str], behind: &[&'a str]) -> Vec<&'a str> {
    [before, &MIXED, behind].concat()
}

#[test]
fn all_scripts_are_recorded_in_one_file() {
    let place = mixed();
    place.ends(&args(&["test", "--retries", "1", "--jobs", "2", "--events", "out.jsonl"], &[]), 125);
    let events = events(&place.path().join("out.jsonl"));
    are_as_described(&events);
    let first = &events[0];
    assert_eq!((&first["event"], &first["scripts"]), (&"tests_started".into(), &json!(MIXED)));
    assert_eq!((&first["list"]["count"], &first["shard"]), (&5.into(), &Value::Null));
    let last = events.last().expect("a last line");
    assert_eq!((&last["event"], &last["code"]), (&"tests_ended".into(), &125.into()));
    assert_eq!((&last["passed"], &last["flaky"], &last["failed"]), (&2.into(), &1.into(), &3.into()));
    // Each line tells of whom it is, and those of one try are in order.
    let of = |script: &str, number: i64| -> Vec<Value> {
        let mine = |event: &&Value| event["script"] == script && event["try"] == number;
        events.iter().filter(mine).cloned().collect()
    };
    let whole = |script: &str, number: i64| {
        let mine = of(script, number);
        let names = names(&mine).join(" ");
        assert!(names.starts_with("script_started run_started "), "{names}");
        assert!(names.ends_with(" run_ended script_ended"), "{names}");
        mine.last().expect("an end").clone()
    };
    let end = whole("a.rhai", 1);
    assert_eq!((&end["outcome"], &end["again"], &end["code"]), (&"failed".into(), &true.into(), &1.into()));
    let end = whole("c.rhai", 2);
    assert_eq!((&end["outcome"], &end["tries"], &end["said"]), (&"passed".into(), &2.into(), &Value::Null));
    let end = whole("b.rhai", 2);
    assert!(end["said"].as_str().is_some_and(|said| said.contains("bye")), "{end}");
    let died = of("e.rhai", 1).into_iter().find(|event| event["event"] == "job_died").expect("a death");
    assert_eq!((&died["job"], &died["status"]), (&"api".into(), &"exit 4".into()));
    // Times are those of the whole.
    let times: Vec<f64> = events.iter().filter_map(|event| event["ms"].as_f64()).collect();
    assert!(times.iter().all(|ms| *ms <= times[times.len() - 1] + 1.0), "{times:?}");
}

#[test]
fn secrets_of_a_script_are_masked_in_the_file_of_all() {
    let place =
        Place::with(&[("a.rhai", "secret(\"hunter2-hunter2\"); print(\"hunter2-hunter2\"); exit(1);")]);
    place.ends(&["test", "a.rhai", "--events", "out.jsonl", "--report", "junit=out.xml"], 1);
    for name in ["out.jsonl", "out.xml"] {
        let text = place.read(name);
        assert!(text.contains("***") && !text.contains("hunter2"), "{name}: {text}");
    }
}

/// SIGKILL of `bgjobs test`: what there was is there, the runs still record how they end, and reports can be made.
#[test]
fn a_test_that_is_killed_leaves_what_was_recorded() {
    let code = "start(\"api\", \"echo $$ > pid.new; mv pid.new pid; echo up; exec sleep 300\", #{ready: #{log: \"up\"}});\n\
                log(\"here\"); sleep(\"5m\");";
    let place = Place::with(&[("a.rhai", ""), ("b.rhai", code), ("c.rhai", "")]);
    let command = &mut place.command(&["test", "a.rhai", "b.rhai", "c.rhai", "--events", "out.jsonl"]);
    let mut child = command.stderr(Stdio::null()).spawn().expect("bgjobs starts");
    let until = |what: &str| {
        let until = Instant::now() + PATIENCE;
        while !place.read("out.jsonl").contains(what) {
            assert!(Instant::now() < until, "{}", place.read("out.jsonl"));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    until("\"text\":\"here\"}\n");
    assert!(lives(&place.read("pid")));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).expect("it lives");
    child.wait().expect("it ends");
    until("\"event\":\"run_ended\",\"ms\":");
    gone(&[place.read("pid")]);
    until("\"cause\":\"");
    let events = events(&place.path().join("out.jsonl"));
    are_as_described(&events);
    let ctrf: Value = serde_json::from_str(&place.prints(&["report", "ctrf", "out.jsonl"])).expect("JSON");
    let tests = ctrf["results"]["tests"].as_array().expect("an array");
    let how: Vec<&Value> = tests.iter().map(|test| &test["status"]).collect();
    assert_eq!(how, ["passed", "other", "pending"], "{ctrf:#}");
}

#[test]
fn each_form_of_report_ends_with_the_same_code() {
    let place = mixed();
    let reports: Vec<String> = KINDS.iter().map(|kind| format!("{kind}=out.{kind}")).collect();
    for report in &reports {
        place.ends(&args(&["test", "--report", report], &[]), 125);
        place.ends(&["test", "d.rhai", "--report", report], 0);
        place.ends(&["script", "--report", report, "b.rhai"], 3);
        place.ends(&["script", "--report", report, "e.rhai"], 125);
        place.ends(&["script", "--report", report, "d.rhai"], 0);
    }
    for kind in KINDS {
        assert!(!place.read(&format!("out.{kind}")).is_empty(), "{kind}");
    }
}

/// Also of a script alone: what a report says is in the events.
#[test]
fn a_report_made_later_is_the_same() {
    let place = mixed();
    let reports: Vec<String> = KINDS.iter().map(|kind| format!("--report={kind}=out.{kind}")).collect();
    let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
    let same = || {
        for kind in KINDS {
            let now = place.read(&format!("out.{kind}"));
            assert_eq!(place.prints(&["report", kind, "out.jsonl"]), now, "{kind}");
            assert_eq!(place.prints(&["report", kind, "out.jsonl", "-o", "later"]), "");
            assert_eq!(place.read("later"), now, "{kind}");
        }
    };
    let options = [&["--retries", "1", "--events", "out.jsonl"][..], &reports].concat();
    place.ends(&args(&["test"], &options), 125);
    same();
    place.ends(&[&["script", "--events", "out.jsonl"][..], &reports, &["a.rhai"]].concat(), 1);
    same();
    assert!(place.read("out.tap").starts_with("TAP version 14\n1..4\nok 1 - a.rhai › adds\n"));
    assert!(place.read("out.tap").contains("\nok 3 - a.rhai › skips # SKIP no engine\n"));
}

/// Whoever kills the host takes the end from what is recorded, and not the report.
#[test]
fn a_run_whose_host_is_killed_has_its_reports() {
    let place = Place::with(&[("a.rhai", "test(\"first\", || ()); log(\"here\"); sleep(\"5m\");")]);
    let args = ["script", "--events", "out.jsonl", "--report", "ctrf=out.json", "a.rhai"];
    let mut child = place.command(&args).stderr(Stdio::null()).spawn().expect("bgjobs starts");
    let until = Instant::now() + PATIENCE;
    while !place.read("out.jsonl").contains("\"text\":\"here\"}\n") {
        assert!(Instant::now() < until, "{}", place.read("out.jsonl"));
        std::thread::sleep(Duration::from_millis(2));
    }
    let host = events(&place.path().join("out.jsonl"))[0]["pid"].as_i64().expect("a pid");
    kill(Pid::from_raw(host.try_into().expect("a pid")), Signal::SIGKILL).expect("it lives");
    assert_eq!(child.wait().expect("it ends").code(), Some(125));
    let ctrf: Value = serde_json::from_str(&place.read("out.json")).expect("JSON");
    let tests = ctrf["results"]["tests"].as_array().expect("an array");
    let how: Vec<(&Value, &Value)> = tests.iter().map(|test| (&test["name"], &test["status"])).collect();
    assert_eq!(how, [(&json!("a.rhai › first"), &json!("passed")), (&json!("a.rhai"), &json!("failed"))]);
}

#[test]
fn a_trace_has_a_track_for_each_job() {
    let place = mixed();
    place.ends(&["test", "d.rhai", "--report", "trace=out.json"], 0);
    let trace: Value = serde_json::from_str(&place.read("out.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("an array");
    let named = |name: &str| -> Vec<&Value> { events.iter().filter(|event| event["name"] == name).collect() };
    let tracks: Vec<&Value> = named("thread_name").iter().map(|event| &event["args"]["name"]).collect();
    assert_eq!(tracks, ["script", "commands", "job api"], "{trace:#}");
    assert_eq!(named("process_name")[0]["args"]["name"], "d.rhai");
    let job = named("api")[0];
    assert!(job["ph"] == "X" && job["dur"].as_i64() > Some(0), "{job}");
    assert_eq!(named("exit 0")[0]["args"]["status"], "exit 0");
}

/// By itself, in GitHub Actions: a summary behind what is there, lines in the log, and nothing of runs in runs.
#[test]
fn on_github_the_step_has_its_summary_and_annotations() {
    let place = mixed();
    let summary = place.path().join("summary.md");
    fs::write(&summary, "before\n").expect("written");
    let github = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
        command.env("GITHUB_WORKSPACE", place.path()).env_remove("BGJOBS_RUN");
        command
    };
    let output = github(&["test", "a.rhai", "e.rhai"]).output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!((output.status.code(), lines.len()), (Some(125), 2), "{said}");
    let first = "::error file=a.rhai,line=2,col=18,title=a.rhai › fails::error: assertion failed: `actual` is 1, expected 2%0A";
    assert!(lines[0].starts_with(first), "{}", lines[0]);
    assert!(lines[1].starts_with("::error file=e.rhai,line=1,col=1,title=e.rhai::error: "), "{}", lines[1]);
    assert!(said.lines().last().is_some_and(|line| line.starts_with("bgjobs: failed (exit 125)")), "{said}");
    let text = place.read("summary.md");
    assert!(text.starts_with("before\n### ❌ bgjobs: 2 of 5 tests failed\n"), "{text}");
    let output = github(&["script", "b.rhai"]).output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("::error file=b.rhai,title=b.rhai::exit 3"), "{said}");
    // Behind it may stand what runs of others have left.
    let verdict = said.lines().rfind(|line| !line.starts_with("note: "));
    assert!(verdict.is_some_and(|line| line.starts_with("bgjobs: failed (exit 3)")), "{said}");
    let before = place.read("summary.md");
    let output = github(&["script", "b.rhai"]).env("BGJOBS_RUN", "x").output().expect("bgjobs starts");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("::error"));
    assert_eq!(place.read("summary.md"), before);
    // Where a file is asked for, it is that one.
    let output = github(&["test", "d.rhai", "--report", "github=own.md"]).output().expect("bgjobs starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(place.read("own.md").starts_with("### ✅ bgjobs: 1 test passed\n"), "{}", place.read("own.md"));
    assert_eq!(place.read("summary.md"), before);
}

#[test]
fn what_cannot_be_reported_is_told_what_to_do() {
    let place = Place::with(&[
        ("a.rhai", "write_file(\"ran\", \"\");"),
        ("foreign.jsonl", "{\"event\":\"suite\",\"version\":1}\n"),
        ("text.jsonl", "<testsuites/>\n"),
        ("empty.jsonl", ""),
        (
            "newer.jsonl",
            "{\"event\":\"run_started\",\"ms\":0,\"time\":\"2030-01-01T00:00:00Z\",\"version\":2,\"bgjobs\":\"9.0.0\"}\n",
        ),
    ]);
    fs::create_dir(place.path().join("dir")).expect("made");
    let writes = "try: bgjobs test --events OUT.jsonl   (writes one; so does `bgjobs script`)\n";
    let kinds = "kinds of reports are: junit, ctrf, tap, github, html, trace; merge puts shards together, schema explains the files";
    let cases: &[(&[&str], String)] = &[
        (&["report", "junit", "foreign.jsonl"], format!("error: `foreign.jsonl` is not a file of events\n{writes}")),
        (&["report", "tap", "text.jsonl"], format!("error: `text.jsonl` is not a file of events\n{writes}")),
        (
            &["report", "tap", "no.jsonl"],
            format!("error: `no.jsonl` cannot be read: No such file or directory\n{writes}"),
        ),
        (
            &["report", "junit", "empty.jsonl"],
            format!(
                "error: `empty.jsonl` is empty: it tells of no run\n  = a run that fails before it begins, by a usage \
                 error, records nothing\n{writes}"
            ),
        ),
        (
            &["report", "junit", "dir"],
            "error: `dir` is a directory\ntry: bgjobs report merge dir   (the shards in it)\n".to_owned(),
        ),
        (
            &["report", "ctrf", "newer.jsonl"],
            format!(
                "error: `newer.jsonl` is a file of events of version 2, by bgjobs 9.0.0; this is bgjobs {}, which knows \
                 version 1\ntry: read it with the bgjobs that has written it, or a newer one\n",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        (
            &["report", "xml", "out.jsonl"],
            format!("error: there is no report `xml`\n  = {kinds}\ntry: bgjobs report junit out.jsonl\n"),
        ),
        (
            &["report", "out.jsonl"],
            format!("error: there is no report `out.jsonl`\n  = {kinds}\ntry: bgjobs report junit out.jsonl\n"),
        ),
        (
            &["script", "--report", "junit=x", "--report", "tap=x", "a.rhai"],
            "error: --report tap and --report junit are both to be written to x\ntry: --report tap=ANOTHER-FILE\n".to_owned(),
        ),
        (
            &["test", "--report", "junit=x", "--events", "./x", "a.rhai"],
            "error: --report junit and --events are both to be written to x\ntry: --report junit=ANOTHER-FILE\n".to_owned(),
        ),
        (
            &["script", "--report", "junit=dir", "a.rhai"],
            "error: --report dir: it is a directory\n\
             try: --report junit=FILE   (in a directory that is there; an older one is replaced)\n"
                .to_owned(),
        ),
        (
            &["test", "--report", "github", "a.rhai"],
            "error: --report github: $GITHUB_STEP_SUMMARY does not name a file here\ntry: --report github=FILE\n".to_owned(),
        ),
        (
            &["test", "--events", "dir", "a.rhai"],
            "error: --events dir: it is a directory\n\
             try: --events OUT.jsonl   (a file in a directory that is there; an older one is replaced)\n"
                .to_owned(),
        ),
    ];
    for (args, said) in cases {
        let output = place.command(args).env_remove("GITHUB_STEP_SUMMARY").output().expect("bgjobs starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), *said, "{args:?}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
    }
    assert!(!place.path().join("ran").exists());
}

#[test]
fn only_what_failed_is_run_again() {
    let place = Place::with(&[
        ("a.rhai", "print(\"a\");"),
        ("b.rhai", "if !exists(\"mended\") { exit(4); }"),
        ("c.rhai", "if !exists(\"mended\") { throw \"no\"; }"),
        ("d.rhai", ""),
    ]);
    place.ends(&["test", ".", "--events", "out.jsonl"], 4);
    let said = place.ends(&["test", "--rerun-failed", "out.jsonl", "--list"], 0);
    assert_eq!(said, "");
    assert_eq!(place.prints(&["test", "--rerun-failed", "out.jsonl", "--list"]), "b.rhai\nc.rhai\n");
    // Of those that are named only these.
    assert_eq!(
        place.prints(&["test", "b.rhai", "a.rhai", "--rerun-failed", "out.jsonl", "--list"]),
        "b.rhai\n"
    );
    fs::write(place.path().join("mended"), "").expect("written");
    let said = place.ends(&["test", "--rerun-failed", "out.jsonl", "--events", "out.jsonl"], 0);
    assert!(said.starts_with("2 scripts have failed in out.jsonl\nok b.rhai ("), "{said}");
    let said = place.ends(&["test", "--rerun-failed", "out.jsonl"], 0);
    assert_eq!(said, "bgjobs: nothing has failed in out.jsonl: nothing to run\n");
    fs::remove_file(place.path().join("mended")).expect("removed");
    place.ends(&["test", ".", "--fail-fast", "--events", "out.jsonl"], 4);
    let said = place.ends(&["test", "--rerun-failed", "out.jsonl"], 4);
    assert!(
        said.starts_with("1 script has failed in out.jsonl; 2 did not run then and are left out\n"),
        "{said}"
    );
    fs::remove_file(place.path().join("b.rhai")).expect("removed");
    let said = place.ends(&["test", "--rerun-failed", "out.jsonl"], 2);
    assert_eq!(
        said,
        "error: there is no file `b.rhai`, which has failed in out.jsonl\n\
         \x20 = paths are those of the directory that it was run in\ntry: bgjobs test   (runs what there is)\n"
    );
}
