//! `bgjobs script --events FILE`: what is recorded, that it is what the schema says, and what a run leaves that is killed.

use crate::support::{Script, bgjobs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(100);

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The lines of a file of events, but for what jobs use, which is told at any time.
#[track_caller]
pub fn events(path: &Path) -> Vec<Value> {
    let mut events = all_events(path);
    events.retain(|event| event["event"] != "usage");
    events
}

#[track_caller]
fn all_events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    assert!(text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

pub fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

fn schema() -> Value {
    let output = Command::new(bgjobs()).args(["report", "schema"]).output().expect("bgjobs starts");
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Whether a value is what the schema says; as much of JSON schema as it uses. No key is unknown to it.
fn fits(value: &Value, is: &Value, schema: &Value) -> bool {
    if let Some(place) = is["$ref"].as_str() {
        let name = place.strip_prefix("#/$defs/").expect("one of our own");
        return fits(value, &schema["$defs"][name], schema);
    }
    if let Some(choices) = is["anyOf"].as_array() {
        return choices.iter().any(|choice| fits(value, choice, schema));
    }
    if let Some(one) = is.get("const") {
        return value == one;
    }
    if let Some(some) = is["enum"].as_array() {
        return some.contains(value);
    }
    match is["type"].as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => {
            value.as_array().is_some_and(|list| list.iter().all(|one| fits(one, &is["items"], schema)))
        }
        "object" => value.as_object().is_some_and(|map| {
            let required = is["required"].as_array().expect("a list");
            let all = required.iter().all(|key| map.contains_key(key.as_str().expect("a key")));
            all && map.iter().all(|(key, value)| {
                is["properties"].get(key).is_some_and(|property| fits(value, property, schema))
            })
        }),
        other => panic!("unknown type {other}"),
    }
}

#[track_caller]
pub fn are_as_described(events: &[Value]) {
    let schema = schema();
    for event in events {
        let name = event["event"].as_str().expect("a name");
        assert!(fits(event, &schema["$defs"][name], &schema), "{event}");
    }
    let times: Vec<f64> = events.iter().map(|event| event["ms"].as_f64().expect("a number")).collect();
    assert!(times.iter().all(|time| *time >= 0.0), "{times:?}");
}

const SCRIPT: &str = r#"
let job = start("api", "echo up; exec sleep 300", #{ready: #{log: "up"}});
run("exit 0");
write_file("there", "");
wait_file("there");
test("adds", || assert_eq(1 + 1, 2));
test("fails", || assert(false, "no"));
test("skips", || skip("no engine"));
log("a note");
"#;

#[test]
fn what_happens_is_recorded_in_its_order() {
    let dir = dir();
    std::fs::write(dir.path().join("s.rhai"), SCRIPT).expect("written");
    let ran = Script::file("s.rhai").option("--events").option("out.jsonl").cwd(dir.path()).run().code(1);
    let events = events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    let expected = [
        "run_started",
        "job_started",
        "job_ready",
        "command_started",
        "command_ended",
        "wait",
        "assertion",
        "test",
        "assertion",
        "test",
        "test",
        "log",
        "job_stopped",
        "run_ended",
    ];
    assert_eq!(names(&events), expected, "{}", ran.stderr);
    assert_eq!((&events[0]["version"], &events[0]["script"]), (&1.into(), &"s.rhai".into()));
    assert_eq!(events[2]["what"], "\"up\" in its log");
    assert_eq!((&events[4]["status"], &events[4]["ok"]), (&"exit 0".into(), &true.into()));
    assert!(events[5]["what"].as_str().is_some_and(|what| what.contains("there")), "{}", events[5]);
    let place = serde_json::json!({"file": "s.rhai", "line": 6, "column": 17});
    assert_eq!(
        (&events[6]["function"], &events[6]["ok"], &events[6]["place"]),
        (&"assert_eq".into(), &true.into(), &place)
    );
    let failure = &events[9]["failure"];
    assert_eq!(
        (&events[9]["outcome"], &failure["message"]),
        (&"failed".into(), &"assertion failed: no".into())
    );
    assert!(failure["text"].as_str().is_some_and(|text| text.contains("7 | test(\"fails\", ")), "{failure}");
    assert_eq!((&events[10]["outcome"], &events[10]["reason"]), (&"skipped".into(), &"no engine".into()));
    assert_eq!((&events[13]["code"], &events[13]["jobs_stopped"]), (&1.into(), &1.into()));
}

#[test]
fn a_death_and_its_cause_are_recorded() {
    let dir = dir();
    let code = r#"start("api", "echo up; exit 3", #{ready: #{log: "up"}}); sleep("100s");"#;
    let script = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path());
    let _ = script.run().code(125);
    let events = events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    let died = events.iter().find(|event| event["event"] == "job_died").expect("a death");
    assert_eq!((&died["job"], &died["status"]), (&"api".into(), &"exit 3".into()));
    let last = events.last().expect("a last line");
    assert_eq!((&last["event"], &last["code"]), (&"run_ended".into(), &125.into()));
    assert!(last["failure"]["message"].as_str().is_some_and(|text| text.contains("`api`")), "{last}");
}

#[test]
fn requests_and_the_ends_of_logs_are_recorded() {
    let dir = dir();
    let code = r#"let web = mock(#{"/": "hello"});
        http_post(`${web.url}/no`, "x");
        start("api", "echo one; echo two; exit 3", #{ready: #{log: "three"}});"#;
    let script = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path());
    let _ = script.run().code(125);
    let events = events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    let of = |name: &str| events.iter().find(|event| event["event"] == name).expect("recorded");
    let request = of("request");
    assert_eq!((&request["method"], &request["status"]), (&"POST".into(), &404.into()));
    assert!(request["url"].as_str().is_some_and(|url| url.ends_with("/no")), "{request}");
    let tail = of("log_tail");
    assert_eq!((&tail["lines"], &tail["test"]), (&serde_json::json!(["one", "two"]), &Value::Null));
    assert!(tail["title"].as_str().is_some_and(|title| title.contains("api")), "{tail}");
}

#[test]
fn secrets_are_masked_in_what_is_recorded() {
    let dir = dir();
    let code = r#"secret("hunter2\"hunter2"); log("it is hunter2\"hunter2"); run("echo 'hunter2\"hunter2'", #{echo: false});
        test("with hunter2\"hunter2", || fail("hunter2\"hunter2"));"#;
    let script = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path());
    let _ = script.run().code(1);
    let text = std::fs::read_to_string(dir.path().join("out.jsonl")).expect("a file");
    assert!(!text.contains("hunter2") && text.contains("it is ***") && text.contains("with ***"), "{text}");
    are_as_described(&events(&dir.path().join("out.jsonl")));
}

/// SIGKILL of the guard: the host still records how it ends. Of the host: all lines up to then are there.
#[test]
fn a_run_that_is_killed_leaves_what_was_recorded() {
    for of_host in [false, true] {
        let dir = dir();
        let path = dir.path().join("out.jsonl");
        let code =
            r#"start("api", "echo up; exec sleep 300", #{ready: #{log: "up"}}); log("here"); sleep("5m");"#;
        let script = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path());
        let mut child = script.command().stderr(std::process::Stdio::null()).spawn().expect("bgjobs starts");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        let until = |what: &str| {
            let until = Instant::now() + PATIENCE;
            while !read().contains(what) {
                assert!(Instant::now() < until, "{}", read());
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        until("\"here\"}\n");
        let host = events(&path)[0]["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid");
        if of_host {
            kill(Pid::from_raw(host), Signal::SIGKILL).expect("it lives");
            assert_eq!(child.wait().expect("it ends").code(), Some(125));
            assert_eq!(names(&events(&path)).last(), Some(&"log"));
        } else {
            child.kill().expect("it lives");
            child.wait().expect("it ends");
            until("\"run_ended\"");
            let events = events(&path);
            let last = events.last().expect("a last line");
            assert_eq!((&last["code"], &last["cause"]), (&125.into(), &"the guard was killed".into()));
        }
        are_as_described(&events(&path));
    }
}

#[test]
fn where_nothing_can_be_recorded_nothing_is_started() {
    let dir = dir();
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    for (path, why) in [
        (".", "it is a directory"),
        ("pipe", "it is not a regular file"),
        ("no/such/out.jsonl", "No such file or directory"),
    ] {
        let script =
            Script::code("write_file(\"ran\", \"\");").option("--events").option(path).cwd(dir.path());
        let ran = script.run().code(2).stdout("");
        let said = format!(
            "error: --events {path}: {why}\ntry: --events OUT.jsonl   (a file in a directory that is there; an older one is replaced)\n"
        );
        assert_eq!(ran.stderr, said);
    }
    assert!(!dir.path().join("ran").exists());
}

#[test]
fn an_older_file_is_replaced() {
    let dir = dir();
    for code in ["log(\"one\"); log(\"two\");", "log(\"three\");"] {
        let script = Script::code(code).option("--events").option("out.jsonl").cwd(dir.path());
        let _ = script.run().code(0);
    }
    assert_eq!(names(&events(&dir.path().join("out.jsonl"))), ["run_started", "log", "run_ended"]);
}

#[test]
fn what_is_asked_for_from_outside_of_the_script_is_recorded() {
    let dir = dir();
    let code = r#"
        start("api", "echo up; exec sleep 300", #{ready: #{log: "up"}});
        run("\"$BGJOBS\" ctl restart api");"#;
    let script = Script::code(code).option("--events=out.jsonl").cwd(dir.path());
    let ran = script.env("BGJOBS", &bgjobs().display().to_string()).run().code(0);
    let events = events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    let names = names(&events);
    let at = names.iter().position(|name| *name == "asked").unwrap_or_else(|| panic!("{}", ran.stderr));
    assert_eq!(names[at..at + 4], ["asked", "job_stopped", "job_started", "job_ready"], "{names:?}");
    assert_eq!((&events[at]["job"], &events[at]["what"]), (&"api".into(), &"restart".into()));
}

#[test]
fn what_jobs_use_is_recorded_while_they_run() {
    let dir = dir();
    let code = r#"
        spawn("busy", ["sh", "-c", "while :; do :; done"]);
        spawn("idle", ["sleep", "300"]);
        let looks = || read_file("out.jsonl").split("\"event\":\"usage\"").len() - 1;
        wait_until(|| looks.call() > 3, "5m");"#;
    let _ = Script::code(code).option("--events=out.jsonl").cwd(dir.path()).run().code(0);
    let events = all_events(&dir.path().join("out.jsonl"));
    are_as_described(&events);
    assert_eq!(names(&events).last(), Some(&"run_ended"));
    let looks = events.iter().filter(|event| event["event"] == "usage");
    let looks: Vec<&Vec<Value>> = looks.map(|look| look["jobs"].as_array().expect("a list")).collect();
    let of = |name: &str, key: &str| -> Vec<f64> {
        let used = looks.iter().flat_map(|jobs| jobs.iter()).filter(|job| job["job"] == name);
        used.map(|job| job[key].as_f64().expect("a number")).collect()
    };
    for name in ["busy", "idle"] {
        assert!(of(name, "rss").iter().any(|rss| *rss > 10_000.0), "{looks:?}");
        assert!(of(name, "cpu_ms").is_sorted(), "{looks:?}");
    }
    assert!(of("busy", "cpu_ms").last() > of("idle", "cpu_ms").last(), "{looks:?}");

    let report =
        Command::new(bgjobs()).args(["report", "trace", "out.jsonl"]).current_dir(dir.path()).output();
    let report: Value = serde_json::from_slice(&report.expect("bgjobs starts").stdout).expect("JSON");
    let all = report["traceEvents"].as_array().expect("a list");
    let counters: Vec<&Value> = all.iter().filter(|it| it["ph"] == "C").collect();
    let memory: Vec<&Value> = counters.iter().filter(|it| it["name"] == "memory of idle").copied().collect();
    assert_eq!(memory.len(), of("idle", "rss").len() + 1, "{counters:?}");
    assert!(memory[0]["args"]["MiB"].as_f64() > Some(0.0), "{counters:?}");
    // It ends with its job.
    assert_eq!(memory.last().expect("the last")["args"]["MiB"], 0, "{counters:?}");
}

/// The thread that looks at what jobs use is there where somebody records, and nowhere else.
#[test]
fn who_records_nothing_pays_nothing_for_what_jobs_use() {
    let threads =
        r#"spawn("a", "sleep 300"); let threads = || output("cat /proc/$PPID/task/*/comm; :").split("\n");"#;
    let _ = Script::code(&format!("{threads} assert(!threads.call().contains(\"usage\"));")).run().code(0);
    let looks = format!(r#"{threads} eventually(|| assert(threads.call().contains("usage")), "100s");"#);
    let dir = dir();
    let _ = Script::code(&looks).cwd(dir.path()).option("--events").option("out.jsonl").run().code(0);
}
