//! `--watch`: what a change and a key run again, that a round under way is ended, and how it is left. At a terminal of bgjobs.

use super::{Place, waits};
use crate::support::{Script, bgjobs, gone};

/// How it is left when nothing else is said.
const QUIT: &str = r#"w.send("q"); assert_eq(w.wait("100s").code, 0);"#;

/// Runs this code in a place, with the watching job `w`, and then what ends that.
fn at_a_terminal(place: &Place, code: &str, end: &str) {
    let start = "const LONG = #{timeout: \"100s\"};\n\
                 let w = spawn(\"w\", [env(\"BIN\"), \"test\", \"--watch\", \"e2e\"], #{pty: true});\n";
    let script = Script::code(&format!("{start}{code}{end}")).cwd(place.path());
    let ran = script.env("BIN", &bgjobs().display().to_string()).run();
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn what_changes_and_what_keys_ask_for_runs_again() {
    let place = Place::with(&[
        ("e2e/_lib.rhai", "fn n() { 1 }"),
        ("e2e/a.rhai", "import \"_lib\" as lib;\nassert_eq(lib::n(), 1);"),
        ("e2e/b.rhai", ""),
    ]);
    at_a_terminal(
        &place,
        r#"
        w.wait_log("^watching 2 scripts: a all, Enter again, q quit", LONG);
        write_file("e2e/_lib.rhai", "fn n() { 2 }");
        w.wait_log("^changed: e2e/_lib.rhai: running 1 script", LONG);
        w.wait_log("^watching 2 scripts: a all, f failed \\(1\\), Enter again, q quit", LONG);
        w.send("f");
        w.wait_log("^watching 2 scripts: a all, f failed", LONG + #{times: 2});
        w.send("\n");
        w.wait_log("^watching 2 scripts: a all, f failed", LONG + #{times: 3});
        assert_eq(w.lines().filter(|line| line.contains("e2e/b.rhai (")).len(), 1);
        assert(w.lines().filter(|line| line.contains("e2e/a.rhai (exit 1, ")).len() >= 3);
        write_file("e2e/_lib.rhai", "fn n() { 1 }");
        w.wait_log("^watching 2 scripts: a all, Enter", LONG + #{times: 2});
        w.send("f");
        w.wait_log("^no script has failed", LONG);
        write_file("e2e/c.rhai", "");
        w.wait_log("^changed: e2e/c.rhai: running 1 script", LONG);
        w.wait_log("^watching 3 scripts", LONG);
        w.send("a");
        w.wait_log("^ok e2e/b.rhai", LONG + #{times: 2});
        w.wait_log("^watching 3 scripts", LONG + #{times: 2});
        "#,
        QUIT,
    );
}

/// The defaults are read again; of a file with a mistake that is told, and the old ones stay.
#[test]
fn changed_defaults_count_from_then_on() {
    let place = Place::with(&[
        ("bgjobs.toml", "[test]\ntag = \"quick\"\n"),
        ("e2e/a.rhai", "test(\"quick\", #{tags: \"quick\"}, || ());\ntest(\"fails\", || fail(\"no\"));"),
    ]);
    at_a_terminal(
        &place,
        r#"
        w.wait_log("^ok e2e/a.rhai", LONG);
        w.wait_log("^watching 1 script:", LONG);
        write_file("bgjobs.toml", "[test]\nretry = 1\n");
        w.wait_log("^error: there is no key `retry` in \\[test\\]", LONG);
        w.wait_log("^bgjobs.toml: what it said before goes on to hold", LONG);
        w.send("a");
        w.wait_log("^ok e2e/a.rhai", LONG + #{times: 2});
        w.wait_log("^watching 1 script:", LONG + #{times: 2});
        write_file("bgjobs.toml", "[test]\njobs = 2\n");
        w.wait_log("^changed: bgjobs.toml: running 1 script", LONG);
        w.wait_log("^watching 1 script: a all, f failed \\(1\\)", LONG);
        remove("bgjobs.toml");
        w.wait_log("^changed: bgjobs.toml: running 1 script", LONG + #{times: 2});
        w.wait_log("^watching 1 script: a all, f failed", LONG + #{times: 2});
        "#,
        QUIT,
    );
}

#[test]
fn a_round_under_way_is_ended_and_begun_anew() {
    let place = Place::with(&[("e2e/a.rhai", &waits("job"))]);
    at_a_terminal(
        &place,
        r#"
        wait_file("job.pid", LONG);
        write_file("e2e/a.rhai", "");
        w.wait_log("^changed: e2e/a.rhai: running 1 script", LONG);
        w.wait_log("^ok e2e/a.rhai", LONG);
        w.wait_log("^watching 1 script:", LONG);
        "#,
        QUIT,
    );
    gone(&[place.read("job.pid")]);
}

#[test]
fn it_ends_with_all_that_runs_by_the_keys_of_the_terminal() {
    for end in [r#"w.send("\x03"); w.wait("100s"); assert_eq(w.signal, "INT");"#, QUIT] {
        let place = Place::with(&[("e2e/a.rhai", &waits("job"))]);
        at_a_terminal(&place, "wait_file(\"job.pid\", LONG);", end);
        gone(&[place.read("job.pid")]);
    }
}

#[test]
fn elsewhere_it_is_an_error() {
    let place = Place::with(&[("tests/a.rhai", "")]);
    let _ = place.test(&["--watch"]).code(2).stdout("").stderr(
        "error: --watch needs a terminal: keys say what runs again\ntry: bgjobs test   (once, as in CI)\n",
    );
}
