//! Random option maps in a real run: what reads them at run time must not panic, hang or leave anything behind.
//! Each statement is tried by itself; only jobs that do no harm are started, and every wait is short.
//!
//! `BGJOBS_FUZZ_SECONDS` and `BGJOBS_SEED` as in src/fuzz.rs.

use crate::support::{Random, Script, bgjobs};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Calls that take an option map, which is `m`.
const CALLS: &[&str] = &[
    "spawn(\"true\", m)",
    "spawn(\"sleep 600\", m)",
    "spawn(\"job\", [\"sleep\", \"600\"], m)",
    "start(\"echo up; sleep 600\", m)",
    "start([m, #{cmd: \"sleep 600\", name: \"a\"}])",
    "run(\"true\", m)",
    "try_run(\"echo x; exit 3\", m)",
    "output([\"echo\", \"x\"], m)",
    "wait_port(9, m)",
    "wait_http(\"http://127.0.0.1:9/\", m)",
    "http_get(\"http://127.0.0.1:9/\", m)",
    "http_post(\"http://127.0.0.1:9/\", m, m)",
    "wait_file(\"nothing\", m)",
    "wait_socket(\"nothing\", m)",
    "wait_cmd(\"false\", m)",
    "wait_until(|| false, m)",
    "wait_exit(spawn(\"true\"), m)",
    "wait_ready(spawn(\"sleep 600\"), m)",
    "wait_log(spawn(\"echo x; sleep 600\"), \"y\", m)",
    "spawn(\"sleep 600\").wait_listening(m)",
    "mock(m)",
    "mock_smtp(m)",
    "mock_oidc(m)",
    "temp_dir(m)",
    "free_ports(m.value)",
    "sleep(m.timeout)",
    "kill_all(m.grace)",
    "retry(2, m.timeout, || fail(\"no\"))",
    "assert_eq(m, m.value)",
    "print(to_json(m))",
];

/// Every option that there is, as the program itself describes them, and some that there are not.
fn keys() -> &'static [String] {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let api = Command::new(bgjobs()).args(["api", "--json"]).output().expect("bgjobs starts");
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&api.stdout).expect("it is JSON");
        let options = entries.iter().filter_map(|entry| entry["options"].as_array()).flatten();
        let options = options.filter_map(|name| name.as_str().map(str::to_owned));
        let others = ["value", "GET /x", "timeuot", "", "é"].map(str::to_owned);
        let keys: BTreeSet<String> = options.chain(others).collect();
        keys.into_iter().collect()
    })
}

#[test]
fn the_keys_that_are_tried_are_those_of_the_program() {
    let keys = keys();
    assert!(keys.len() > 60, "{keys:?}");
    for key in ["fail_on", "needs", "settled", "jsn", "redirects", "user", "at_once"] {
        assert_eq!(keys.iter().any(|known| known == key), key != "jsn", "{key}");
    }
}

/// Values for any key. None of them is a long time, or a command or a file that could do harm.
const VALUES: &[&str] = &[
    "()",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "8080",
    "65536",
    "9223372036854775807",
    "0.5",
    "-1.5",
    "\"\"",
    "\"x\"",
    "\"true\"",
    "\"1ms\"",
    "\"-5s\"",
    "\"1e99s\"",
    "\"8080\"",
    "\"free\"",
    "\"TERM\"",
    "\"RTMIN+1\"",
    "\"2xx\"",
    "\"(\"",
    "\"[a-\"",
    "\"null\"",
    "\"pipe\"",
    "\"on_fail\"",
    "\"64KB\"",
    "\"10MB\"",
    "\"http://127.0.0.1:9/\"",
    "\"http://[\"",
    "\"/nonexistent/x\"",
    "\".\"",
    "\"é\\u0000\"",
    "'x'",
    "[]",
    "[200, 204]",
    "[\"a\", 1, ()]",
    "#{}",
    "#{text: \"x\"}",
    "#{log: \"up\"}",
    "#{port: 9}",
    "#{cmd: \"false\"}",
    "#{file: \"x\"}",
    "#{settled: \"1ms\"}",
    "#{settled: ()}",
    "#{listening: true}",
    "#{http: 5}",
    "#{A: 1, B: ()}",
    "#{a: #{b: #{c: []}}}",
    "|| false",
    "|x| x",
    "|| fail(\"no\")",
];

/// Short ones, and such as must be refused.
const TIMES: &[&str] =
    &["\"1ms\"", "0.002", "\"0s\"", "0", "-1", "301", "5000", "\"x\"", "\"1e99s\"", "()", "[]"];

fn script(seed: u64, statements: usize) -> String {
    let mut random = Random::new(seed);
    let mut code = String::new();
    for _ in 0..statements {
        // Key by key: the check before the run would refuse a literal with a mistake in it.
        code.push_str("let m = #{};");
        for _ in 0..random.below(5) {
            let _ = write!(code, " m[{:?}] = {};", random.pick(keys()), random.pick(VALUES));
        }
        for key in ["timeout", "interval", "grace"] {
            let _ = write!(code, " m[\"{key}\"] = {};", random.pick(TIMES));
        }
        // Nothing may be read from the map that is not there, which would be a mistake of the script.
        let _ =
            writeln!(code, " m[\"value\"] = m[\"value\"] ?? 2; try {{ {}; }} catch {{}}", random.pick(CALLS));
    }
    code + "kill_all(\"1ms\");"
}

#[test]
fn no_option_map_makes_a_run_panic_hang_or_leak() {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let time = number("BGJOBS_FUZZ_SECONDS").map(Duration::from_secs);
    let mut seed = number("BGJOBS_SEED").unwrap_or(1);
    let (started, mut runs) = (Instant::now(), 0);
    loop {
        let dir = tempfile::Builder::new().prefix("bf").tempdir_in("/tmp").expect("a directory");
        let temp = dir.path().to_string_lossy().into_owned();
        let script = Script::code(&script(seed, 60))
            .option("--timeout")
            .option("60s")
            .option("--grace")
            .option("10ms");
        let ran = script.cwd(dir.path()).env("TMPDIR", &temp).run();
        let what = format!("BGJOBS_SEED={seed}\n{}", ran.stderr);
        // 125: a job that died without anybody having asked.
        assert!(matches!(ran.code, Some(0 | 125)), "exit {:?}, signal {:?}; {what}", ran.code, ran.signal);
        assert!(!ran.stderr.contains("bug in bgjobs") && !ran.stderr.contains("panicked"), "{what}");
        assert!(ran.stderr.contains(" 0 leaked"), "{what}");
        (runs, seed) = (runs + 1, seed + 1);
        if time.is_none_or(|time| started.elapsed() >= time) {
            println!("fuzz option maps: {runs} runs of 60 calls");
            return;
        }
    }
}
