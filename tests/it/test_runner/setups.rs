//! `_setup.rhai`: what the scripts of a directory share, when it starts and ends, what it hands on, and what fails with it.

use super::{Place, waits};
use crate::support::{Script, gone, lives};
use nix::sys::signal::{Signal, kill, killpg};

const OUTER: &str = "set_env(\"TOKEN\", \"t\");\nrun(\"echo up >> log\");\non_exit(|| run(\"echo down >> log\"));\n\
                     const server = mock(#{\"/\": \"hello\"});\nexport server as api;\nexport const token = [#{a: 1}, \"x\"];\n\
                     fn twice(n) { 2 * n }";
const INNER: &str =
    "run(\"echo deep $TOKEN >> log\");\nset_env(\"DEEP\", 1);\non_exit(|| run(\"echo undeep >> log\"));";
const A: &str = "import \"_setup\" as setup;\nassert_eq(setup::token, [#{a: 1}, \"x\"]);\n\
                 assert_eq(http_get(setup::api.url).body, \"hello\");\nassert_eq(setup::twice(2), 4);\n\
                 test(\"a\", || ());\nrun(\"echo a $TOKEN >> log\");";
const B: &str = "import \"../_setup\" as setup;\nassert_eq(setup::token[1], \"x\");\nassert_eq(env(\"DEEP\"), \"1\");\n\
                 run(\"echo b $TOKEN $DEEP >> log\");";

fn shared() -> Place {
    Place::with(&[
        ("e2e/_setup.rhai", OUTER),
        ("e2e/a.rhai", A),
        ("e2e/deep/_setup.rhai", INNER),
        ("e2e/deep/b.rhai", B),
        ("other/c.rhai", ""),
    ])
}

#[test]
fn it_starts_once_before_the_first_script_hands_on_and_ends_after_the_last() {
    let place = shared();
    let said = "setup e2e/_setup.rhai (up after T)\nok e2e/a.rhai (T)\nsetup e2e/deep/_setup.rhai (up after T)\n\
                ok e2e/deep/b.rhai (T)\nok other/c.rhai (T)\nbgjobs: passed in T: 3 scripts passed\n";
    let _ =
        place.test(&["e2e", "other", "--events", "all.jsonl", "--report", "tap=a.tap"]).code(0).stderr(said);
    assert_eq!(place.read("log"), "up\na t\ndeep t\nb t 1\nundeep\ndown\n");
    let tap = place.read("a.tap");
    assert!(tap.contains("1..3\n") && !tap.contains("_setup"), "{tap}");
    // It is not a test in what was recorded either.
    let _ = place.test(&["--rerun-failed", "all.jsonl"]).code(0);
    // For all rounds and tries together.
    std::fs::remove_file(place.path().join("log")).expect("removed");
    let _ = place.test(&["e2e/a.rhai", "--repeat", "3", "--jobs", "3"]).code(0);
    assert_eq!(place.read("log"), "up\na t\na t\na t\ndown\n");
}

/// Longer than any wait takes that nobody has given a time.
#[test]
fn it_lasts_as_long_as_the_scripts_take() {
    let place = Place::with(&[
        ("e2e/_setup.rhai", "let db = spawn(\"db\", \"exec sleep 300\");\nset_env(\"DB\", db.pid);"),
        ("e2e/a.rhai", "sleep(\"31s\");\nrun(\"kill -0 $DB\");"),
    ]);
    let said =
        "setup e2e/_setup.rhai (up after T)\nok e2e/a.rhai (T)\nbgjobs: passed in T: 1 script passed\n";
    let _ = place.test(&["e2e"]).code(0).stderr(said);
}

#[test]
fn a_script_alone_imports_it_as_any_module() {
    let place = shared();
    let _ =
        Script::file("e2e/a.rhai").cwd(place.path()).run().code(0).stderr_has("1 test passed; 1 job stopped");
    assert_eq!(place.read("log"), "up\na t\ndown\n");
}

#[test]
fn it_is_not_a_test_and_starts_only_for_a_script_that_is_selected() {
    let place = shared();
    let list = "e2e/a.rhai\ne2e/deep/b.rhai\nother/c.rhai\n";
    let _ = place.test(&["e2e", "other", "--list"]).code(0).stdout(list);
    let _ = place.test(&["e2e", "other", "--filter", "other"]).code(0);
    let _ = place.test(&["e2e", "other", "--shard", "3/3"]).code(0);
    assert_eq!(place.read("log"), "");
    let _ = place.test(&["e2e/_setup.rhai"]).code(2).stderr(
        "error: `e2e/_setup.rhai` is not a test: it is what tests share\n  \
         = it runs before the first script beside or below it, and hands on to them what it has started\n\
         try: bgjobs test e2e\n",
    );
    let _ = place.test(&["e2e/_*.rhai"]).code(2).says("error: no script matches `e2e/_*.rhai`\n");
    let _ = place.test(&["e2e", "--isolate", "net"]).code(2).stderr(
        "error: --isolate net: scripts would not reach what e2e/_setup.rhai starts\n  \
         = each run has a network of its own\ntry: --isolate pid,ipc   (or services in each script)\n",
    );
}

#[test]
fn its_failure_fails_the_scripts_below_it_and_is_told_once() {
    let files = [
        ("e2e/_setup.rhai", "start(\"db\", \"echo no disk; exit 7\", #{ready: #{log: \"up\"}});"),
        ("e2e/a.rhai", ""),
        ("e2e/deep/_setup.rhai", ""),
        ("e2e/deep/b.rhai", ""),
        ("other/c.rhai", ""),
    ];
    let place = Place::with(&files);
    let reports = ["--events", "all.jsonl", "--report", "tap=a.tap", "--retries", "2", "--shard", "1/1"];
    let ended = place.test(&[&["e2e", "other"][..], &reports].concat()).code(125);
    let below =
        "FAILED e2e/a.rhai (e2e/_setup.rhai failed)\nFAILED e2e/deep/b.rhai (e2e/_setup.rhai failed)\n";
    let ended = ended.says(&format!(
        "FAILED e2e/_setup.rhai (exit 125, T)\n{below}ok other/c.rhai (T)\n--- e2e/_setup.rhai (exit 125) ---\n"
    ));
    let ended = ended.says(&format!(
        "FAILED e2e/_setup.rhai (exit 125)\n{below}bgjobs: failed (exit 125) in T: 1 script passed, 2 failed, 1 setup failed\n"
    ));
    assert_eq!(ended.stderr.matches("--- e2e/_setup.rhai").count(), 1, "{}", ended.stderr);
    let tap = place.read("a.tap");
    assert!(tap.contains("not ok 4 - e2e/_setup.rhai") && tap.contains("e2e/_setup.rhai failed"), "{tap}");
    let merged = std::process::Command::new(crate::support::bgjobs())
        .args(["report", "merge", "all.jsonl"])
        .current_dir(place.path())
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&merged.stderr).into_owned();
    assert_eq!(merged.status.code(), Some(125), "{said}");
    assert!(said.ends_with("1 script passed, 2 failed, 1 setup failed\n"), "{said}");
    let ended = place.test(&["--rerun-failed", "all.jsonl", "--list"]).code(0);
    let _ = ended.stdout("e2e/a.rhai\ne2e/deep/b.rhai\n");
}

#[test]
fn what_it_hands_on_must_be_data_and_it_must_be_up_in_time() {
    let place = Place::with(&[("e2e/_setup.rhai", "export const f = || 1;"), ("e2e/a.rhai", "")]);
    let _ = place.test(&["e2e"]).code(2).says("`f` cannot be handed on to the scripts below: ");
    let write = |text: &str| std::fs::write(place.path().join("e2e/_setup.rhai"), text).expect("written");
    write("test(\"it works\", || fail(\"no\"));");
    let _ = place.test(&["e2e"]).code(1).says("FAILED e2e/a.rhai (e2e/_setup.rhai failed)\n");
    write("exit(0);");
    let _ = place.test(&["e2e"]).code(125).says("FAILED e2e/_setup.rhai (it has ended by itself, T)\n");
    write(&waits("db"));
    let _ = place
        .test(&["e2e", "--timeout", "1s"])
        .code(124)
        .says("FAILED e2e/_setup.rhai (not up after T, T)\n");
    gone(&[place.read("db.pid")]);
}

#[test]
fn a_service_of_it_that_dies_fails_it() {
    let setup = "start(\"db\", \"echo $$ > db.pid; echo up; exec sleep 300\", #{ready: #{log: \"up\"}});";
    let place = Place::with(&[("e2e/_setup.rhai", setup), ("e2e/a.rhai", "run(\"kill -9 $(cat db.pid)\");")]);
    let _ = place.test(&["e2e"]).code(125).says("FAILED e2e/_setup.rhai (exit 125, T)\n").says("SIGKILL");
}

/// One whose service ignores nobody, and a script that waits; both write when they are stopped.
fn waiting() -> Place {
    let setup = "start(\"db\", \"echo $$ > db.new; mv db.new db.pid; echo up; exec sleep 300\", #{ready: #{log: \"up\"}});\n\
                 on_exit(|| run(\"echo setup >> log\"));";
    let script = format!("on_exit(|| run(\"echo script >> log\"));\n{}", waits("job"));
    Place::with(&[("e2e/_setup.rhai", setup), ("e2e/a.rhai", &script)])
}

#[test]
fn it_is_torn_down_last_also_when_all_is_interrupted() {
    for terminal in [true, false] {
        let place = waiting();
        let mut live = place.start(&["e2e"]);
        live.until("the job runs", |place| !place.read("job.pid").is_empty());
        let pids = [place.read("db.pid"), place.read("job.pid")];
        match terminal {
            true => killpg(live.pid(), Signal::SIGINT).expect("it lives"),
            false => kill(live.pid(), Signal::SIGTERM).expect("it lives"),
        }
        let ended = live.ended();
        let signal = if terminal { Signal::SIGINT } else { Signal::SIGTERM };
        assert_eq!(ended.signal, Some(signal), "{}", ended.stderr);
        assert_eq!(place.read("log"), "script\nsetup\n", "{}", ended.stderr);
        gone(&pids);
    }
    // However far all had come by then.
    let place = waiting();
    let ended = place.test(&["e2e", "--timeout-all", "5s"]).code(124);
    assert!(["script\nsetup\n", "setup\n", ""].contains(&place.read("log").as_str()), "{}", ended.stderr);
    gone(&[place.read("db.pid"), place.read("job.pid")]);
}

#[test]
fn nothing_of_it_is_left_when_all_are_killed_with_it() {
    let place = waiting();
    let mut live = place.start(&["e2e"]);
    live.until("the job runs", |place| !place.read("job.pid").is_empty());
    let pids = [place.read("db.pid"), place.read("job.pid")];
    assert!(pids.iter().all(|pid| lives(pid)));
    kill(live.pid(), Signal::SIGKILL).expect("it lives");
    let ended = live.ended();
    assert_eq!(ended.signal, Some(Signal::SIGKILL));
    gone(&pids);
}
