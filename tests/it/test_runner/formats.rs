//! `--json`, and that no format changes the exit code.

use super::{FAILS, Place};
use serde_json::{Value, json};

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn mixed() -> Place {
    Place::with(&[
        ("a.rhai", "test(\"is\", || ());"),
        ("b.rhai", FAILS),
        ("c.rhai", "if !exists(\"again\") { write_file(\"again\", \"\"); exit(4); }"),
        ("d.rhai", "run(\"exit 3\");"),
    ])
}

#[test]
fn the_verdict_is_one_object_on_stdout() {
    let ended = mixed().test(&[".", "--json", "--retries", "1"]).code(3);
    let told = object(&ended.stdout);
    let verdict = "bgjobs: failed (exit 3) in T: 2 scripts passed (1 flaky), 2 failed";
    assert_eq!(ended.stderr.lines().last(), Some(verdict));
    assert_eq!(told["verdict"], verdict);
    let counts = ["code", "passed", "flaky", "failed", "stopped", "not_run", "not_selected", "setups_failed"];
    assert_eq!(counts.map(|key| told[key].as_i64()), [3, 2, 1, 2, 0, 0, 0, 0].map(Some));
    let outcomes: Vec<_> =
        told["scripts"].as_array().expect("a list").iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["passed", "failed", "flaky", "failed"]);
    let failures = told["failures"].as_array().expect("a list");
    let names: Vec<_> = failures.iter().map(|it| (&it["name"], &it["file"], &it["line"])).collect();
    assert_eq!(names.len(), 2, "{told:#}");
    assert!(names.contains(&(&json!("b.rhai › adds"), &json!("b.rhai"), &json!(1))), "{told:#}");
    assert!(names.contains(&(&json!("d.rhai"), &json!("d.rhai"), &json!(1))), "{told:#}");
}

#[test]
fn what_was_not_run_is_an_object_too() {
    let place = mixed();
    let ended = place.test(&["no.rhai", "--json"]).code(2);
    assert_eq!(object(&ended.stdout)["error"]["message"], "there is no file or directory `no.rhai`");
    let _ = ended.says("error: there is no file or directory `no.rhai`\n");
    assert_eq!(object(&place.test(&[".", "--list", "--json"]).code(0).stdout)["scripts"][1], "b.rhai");
    let _ = place.test(&["a.rhai", "--events", "all.jsonl"]).code(0);
    let told = object(&place.test(&["--rerun-failed", "all.jsonl", "--json"]).code(0).stdout);
    assert_eq!(told["verdict"], "bgjobs: nothing has failed in all.jsonl: nothing to run");
    std::fs::write(place.path().join("bgjobs.toml"), "[test]\nx = 1\n").expect("written");
    let told = object(&place.test(&["--json"]).code(2).stdout);
    assert_eq!(told["error"]["place"], json!({"file": "bgjobs.toml", "line": 2, "column": 1}));
}

#[test]
fn the_exit_code_is_the_same_in_each_format() {
    const FORMATS: &[&[&str]] = &[
        &[],
        &["-q"],
        &["-v"],
        &["--color", "always"],
        &["--json"],
        &["-q", "--json"],
        &["--events", "out"],
        &["--report", "junit=out"],
        &["--report", "ctrf=out"],
        &["--report", "tap=out"],
        &["--report", "github=out"],
        &["--report", "html=out"],
        &["--report", "trace=out"],
    ];
    let place = mixed();
    for format in FORMATS {
        for (scripts, code) in
            [(&["a.rhai"][..], 0), (&["a.rhai", "b.rhai"], 1), (&["b.rhai", "d.rhai"], 3), (&["x.rhai"], 2)]
        {
            let ended = place.test(&[scripts, *format].concat());
            assert_eq!(ended.code, Some(code), "{scripts:?} {format:?}\n{}", ended.stderr);
        }
    }
}

#[test]
fn reports_know_tags_and_that_a_test_was_run_again_by_its_own_option() {
    let wobbly = "let n = 0;\ntest(\"wobbles\", #{retries: 2, tags: [\"quick\", \"db\"]}, || { n += 1; assert_eq(n, 2); });";
    let place = Place::with(&[("a.rhai", wobbly)]);
    let reports = ["--report", "junit=a.xml", "--report", "ctrf=a.json", "--report", "tap=a.tap"];
    let _ = place.test(&[&["a.rhai"][..], &reports].concat()).code(0);
    let junit = place.read("a.xml");
    for text in [" group=\"quick,db\">", "<flakyFailure ", " is 1, expected 2"] {
        assert!(junit.contains(text), "{text}: {junit}");
    }
    let test = &object(&place.read("a.json"))["results"]["tests"][0];
    assert_eq!(
        (&test["flaky"], &test["tags"], &test["retries"]),
        (&json!(true), &json!(["quick", "db"]), &json!(1))
    );
    assert!(
        place.read("a.tap").contains("  tags: [\"quick\",\"db\"]\n  flaky: true\n"),
        "{}",
        place.read("a.tap")
    );
}

#[test]
fn parts_by_time_need_a_part() {
    let _ = mixed().test(&[".", "--shard-by", "all.jsonl"]).code(2).stderr(
        "error: --shard-by all.jsonl: no part is asked for that it could make as long as the others\n  \
         = it divides scripts by how long they took; --shard says which part runs here\n\
         try: bgjobs test --shard 1/2 --shard-by all.jsonl   (or --shard auto, in a CI)\n",
    );
}
