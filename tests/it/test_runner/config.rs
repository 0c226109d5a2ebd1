//! `bgjobs.toml`: what is taken from it, what the command line says instead, and where a mistake in it is.

use super::{FAILS, Place};
use std::fs;

const ALL_KEYS: &str = "[test]\npaths = \"e2e\"\njobs = 2\nretries = 1\ntimeout = \"5m\"\ntimeout-all = 600\n\
                        grace = 2.5\nfail-fast = false\ntag = [\"quick\"]\nreport = [\"tap=out/a.tap\", \"ctrf=out/a.json\"]\n\
                        events = \"out/a.jsonl\"\nshard-by = [\"no.jsonl\"]\nkeep-logs = true\ninclude = [\"lib\"]\nisolate = []\n";

/// What `-v` says first.
fn first_line(ended: &super::Ended) -> &str {
    ended.stderr.lines().next().unwrap_or_default()
}

#[test]
fn defaults_come_from_the_file_and_the_command_line_wins() {
    let quick = "import \"helper\" as helper;\ntest(\"a\", #{tags: [\"quick\"]}, || helper::fine());\ntest(\"b\", || fail(\"no\"));";
    let files = [
        ("bgjobs.toml", ALL_KEYS),
        ("e2e/a.rhai", quick),
        ("lib/helper.rhai", "fn fine() {}"),
        ("out/.keep", ""),
        ("other/b.rhai", FAILS),
    ];
    let place = Place::with(&files);
    let ended = place.test(&["-v"]).code(0);
    assert_eq!(
        first_line(&ended),
        "from bgjobs.toml: paths = \"e2e\", jobs = 2, retries = 1, timeout = \"5m\", timeout-all = 600, grace = 2.5, \
         tag = [\"quick\"], report = [\"tap=out/a.tap\", \"ctrf=out/a.json\"], events = \"out/a.jsonl\", keep-logs = true, \
         include = [\"lib\"]"
    );
    let _ = ended.says("ok e2e/a.rhai (T)\n").says("+T skipped b: not selected\n");
    assert!(place.read("out/a.tap").contains("ok 1 - e2e/a.rhai › a"), "{}", place.read("out/a.tap"));
    assert!(place.read("out/a.json").contains("\"CTRF\"") && !place.read("out/a.jsonl").is_empty());
    // A list that the command line has is not made longer by the file's, and paths are not either.
    fs::remove_file(place.path().join("out/a.json")).expect("removed");
    let ended = place.test(&["-v", "other", "--retries=0", "--tag", "slow", "--report", "tap=b.tap"]).code(2);
    assert_eq!(
        first_line(&ended),
        "from bgjobs.toml: jobs = 2, timeout = \"5m\", timeout-all = 600, grace = 2.5, events = \"out/a.jsonl\", \
         keep-logs = true, include = [\"lib\"]"
    );
    let _ = ended.says("no test has --tag `slow`");
    assert!(!place.path().join("out/a.json").exists() && place.path().join("b.tap").exists());
    let ended = place.test(&["other", "--no-config"]).code(1);
    let _ = ended.verdict("bgjobs: failed (exit 1) in T: 0 scripts passed, 1 failed");
}

#[test]
fn the_file_is_found_from_below_and_its_paths_are_its_own() {
    let files = [
        ("bgjobs.toml", "[test]\npaths = [\"e2e/*.rhai\"]\nevents = \"all.jsonl\"\n"),
        ("e2e/a.rhai", ""),
        ("e2e/deep/b.rhai", FAILS),
        ("own/.git/HEAD", ""),
        ("own/tests/c.rhai", ""),
        ("other.toml", "[test]\npaths = [\"own/tests\"]\n"),
    ];
    let place = Place::with(&files);
    let run = |dir: &str, args: &[&str]| {
        let output = place.command(args).current_dir(place.path().join(dir)).output().expect("starts");
        (super::redacted(&String::from_utf8_lossy(&output.stderr)), output.status.code())
    };
    let passed = |path: &str| (format!("ok {path} (T)\nbgjobs: passed in T: 1 script passed\n"), Some(0));
    assert_eq!(run("e2e/deep", &[]), passed("../../e2e/a.rhai"));
    assert!(place.read("all.jsonl").contains("\"tests_ended\""));
    // Another repository is another project.
    assert_eq!(run("own", &[]), passed("tests/c.rhai"));
    assert_eq!(run("e2e", &["--config", "../other.toml"]), passed("../own/tests/c.rhai"));
    // What has failed is run wherever it is, and not of these paths only.
    let (_, code) = run("", &["e2e/deep/b.rhai", "--events", "failed.jsonl"]);
    assert_eq!(code, Some(1));
    let (said, code) = run("", &["--rerun-failed", "failed.jsonl"]);
    assert!(code == Some(1) && said.contains("FAILED e2e/deep/b.rhai (exit 1, T)\n"), "{said}");
}

#[test]
fn a_mistake_has_its_place() {
    let place = Place::with(&[("a.rhai", "")]);
    let keys = "paths, jobs, retries, timeout, timeout-all, grace, fail-fast, tag, report, events, shard-by, keep-logs, \
                include, isolate";
    for (text, said) in [
        (
            "[test]\njobs = 2\nretry = 1\n",
            format!(
                "error: there is no key `retry` in [test]\n  --> bgjobs.toml:3:1\n3 | retry = 1\n  | ^^^^^\n  = keys are: {keys}\n\
                 try: retries = 1\n"
            ),
        ),
        (
            "[test]\nfilter = 'a'\n",
            format!(
                "error: there is no key `filter` in [test]\n  --> bgjobs.toml:2:1\n2 | filter = 'a'\n  | ^^^^^^\n  = keys are: {keys}\n\
                 try: bgjobs test --filter   (only on the command line)\n"
            ),
        ),
        (
            "[test]\n  jobs = \"four\"\n",
            "error: `jobs` is a number, not a text\n  --> bgjobs.toml:2:10\n2 |   jobs = \"four\"\n  |          ^^^^^^\n\
             try: jobs = 4\n"
                .to_owned(),
        ),
        (
            "[test]\njobs = 0\n",
            "error: `jobs`: expected a number from 1 to 100000\n  --> bgjobs.toml:2:8\n2 | jobs = 0\n  |        ^\n\
             try: jobs = 4\n"
                .to_owned(),
        ),
        (
            "[test]\ntimeout = \"5 parsecs\"\n",
            "error: `timeout`: expected a time with a unit, such as Tms, T or Ts, or a number of seconds\n"
                .replace("Tms, T or Ts", "T, T or 1m30s"),
        ),
        (
            "[test]\nreport = [\"html=a.html\",\n  \"junitt=x.xml\"]\n",
            "error: report = junitt=x.xml: there is no kind of report `junitt`\n  --> bgjobs.toml:3:3\n\
             3 |   \"junitt=x.xml\"]\n  |   ^^^^^^^^^^^^^^\n  = kinds of reports are: junit, ctrf, tap, github, html, trace\n\
             try: report = [\"junit=x.xml\"]\n"
                .to_owned(),
        ),
        (
            "[test]\nisolate = [\"nets\"]\n",
            "error: `isolate`: expected one of pid, net, ipc\n  --> bgjobs.toml:2:12\n".to_owned(),
        ),
        (
            "jobs = 4\n",
            "error: `jobs` belongs into the table [test]\n  --> bgjobs.toml:1:1\n1 | jobs = 4\n  | ^^^^\n\
             try: [test]   (a line above it)\n"
                .to_owned(),
        ),
        (
            "[tests]\njobs = 4\n",
            "error: there is no table `tests` here\n  --> bgjobs.toml:1:2\n1 | [tests]\n  |  ^^^^^\n  \
             = the one table is [test]: defaults of `bgjobs test`\ntry: [test]\n"
                .to_owned(),
        ),
        ("[test]\njobs 4\n", "error: this is not TOML: ".to_owned()),
        (
            "[test]\npaths = [\"e2e\"]\n",
            "error: there is no file or directory `e2e`\n  --> bgjobs.toml:2:1\n2 | paths = [\"e2e\"]\n  | ^^^^^\n\
             try: bgjobs test --list   (the scripts of tests/, which run without a PATH)\n"
                .to_owned(),
        ),
    ] {
        fs::write(place.path().join("bgjobs.toml"), text).expect("written");
        let ended = place.test(&[]).code(2).stdout("");
        assert!(ended.stderr.starts_with(&said), "{text}\n{}\nexpected:\n{said}", ended.stderr);
    }
    let ended = place.test(&["--config", "no.toml"]).code(2);
    let _ = ended.stderr(
        "error: `no.toml` cannot be read: No such file or directory (os error 2)\n\
         try: bgjobs test --no-config   (without the defaults of a file)\n",
    );
}

#[test]
fn what_everybody_may_write_above_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with(&[("bgjobs.toml", "[test]\nnonsense = 1\n"), ("mine/tests/a.rhai", "")]);
    let open = |mode: u32| fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).expect("set");
    let code =
        || place.command(&[]).current_dir(place.path().join("mine")).output().expect("starts").status.code();
    assert_eq!(code(), Some(2));
    open(0o1777);
    assert_eq!(code(), Some(0));
}
