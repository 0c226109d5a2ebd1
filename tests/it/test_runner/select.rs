//! Which tests of scripts run: `--select`, `--tag`, `only`; and the snapshots of many scripts.

use super::Place;
use std::fs;

const CART: &str = "group(\"cart\", || {\n    test(\"adds\", || (), #{tags: [\"quick\"]});\n    \
                    test(\"pays\", || fail(\"no till\"), #{tags: \"slow\"});\n});";

#[test]
fn tests_are_chosen_by_name_and_by_tag() {
    let place = Place::with(&[("cart.rhai", CART), ("login.rhai", "test(\"logs in\", || ());")]);
    let passed = "ok cart.rhai (T)\nbgjobs: passed in T: 1 script passed, 1 without a selected test\n";
    for args in
        [&[".", "-E", "cart › adds"][..], &[".", "--select", "^cart.*adds$"], &[".", "--tag", "quick"]]
    {
        let _ = place.test(args).code(0).stdout("").stderr(passed);
    }
    let _ = place.test(&[".", "-E", "adds", "-v"]).code(0).stderr(
        "ok cart.rhai (T)\n+T ok cart › adds (T)\n+T skipped cart › pays: not selected\n\
         bgjobs: passed in T: 1 test passed, 1 skipped; 0 jobs stopped, 0 leaked\n\
         skipped login.rhai (no test selected, T)\n\
         bgjobs: passed in T: 1 script passed, 1 without a selected test\n",
    );
    let ended = place.test(&[".", "--tag", "slow", "--tag", "other", "-E", "cart"]).code(1);
    let _ =
        ended.verdict("bgjobs: failed (exit 1) in T: 0 scripts passed, 1 failed, 1 without a selected test");
    // As it stands, in a script alone, too.
    let ran = super::Script::file("cart.rhai").option("-E").option("adds").cwd(place.path()).run().code(0);
    let _ = ran.stderr_has("1 test passed, 1 skipped; 0 jobs stopped, 0 leaked");
}

#[test]
fn where_no_test_is_chosen_the_nearest_names_are_told() {
    let place = Place::with(&[("cart.rhai", CART), ("login.rhai", "test(\"logs in\", || ());")]);
    let _ = place.test(&[".", "-E", "adss"]).code(2).stderr(
        "error: no test matches --select `adss`\n  \
         = 3 tests are there: cart.rhai › cart › adds, cart.rhai › cart › pays, login.rhai › logs in\n\
         try: --select adds\nbgjobs: failed (exit 2) in T: 0 scripts passed, 2 without a selected test\n",
    );
    let said = "error: no test has --tag `quik`\n  = 2 tests are there: cart.rhai › cart › adds, cart.rhai › cart › pays\n  \
                = tags are: quick, slow\ntry: --tag quick\n";
    let _ = place.test(&["cart.rhai", "--tag", "quik"]).code(2).says(said);
    let script = super::Script::file("cart.rhai").option("--tag").option("quik").cwd(place.path());
    let _ = script.run().code(2).stderr_has(said);
    let _ = place.test(&[".", "--list", "-E", "adds"]).code(2).stdout("").stderr(
        "error: --list lists scripts: which tests they have is known only when they run\n\
         try: bgjobs test --list --filter REGEX   (scripts whose path matches)\n",
    );
}

#[test]
fn that_only_is_set_is_said() {
    let only = "test(\"a\", || fail(\"no\"));\ntest(\"b\", #{only: true}, || ());";
    let place = Place::with(&[("a.rhai", only), ("b.rhai", "")]);
    let _ = place.test(&["."]).code(0).stderr(
        "ok a.rhai (T)\nok b.rhai (T)\nnote: a.rhai: `only` is set in it: its other tests were skipped\n\
         bgjobs: passed in T: 2 scripts passed (`only` is set in 1 script)\n",
    );
}

#[test]
fn snapshots_are_written_compared_and_updated() {
    let script = |value: &str| {
        format!(
            "test(\"page\", || assert_snapshot(\"body\", {value}, #{{mask: #{{\"\\\\d+ ms\": \"[time]\"}}}}));"
        )
    };
    let place = Place::with(&[("e2e/a.rhai", &script("\"<h1>\\nin 12 ms\\n</h1>\\n\""))]);
    let run = |env: &[(&str, &str)], args: &[&str]| {
        let output = place.command(args).env_remove("CI").envs(env.iter().copied()).output().expect("starts");
        (output.status.code(), super::redacted(&String::from_utf8_lossy(&output.stderr)))
    };
    let (code, said) = run(&[("CI", "true")], &["e2e"]);
    assert_eq!(code, Some(1), "{said}");
    let text = "assertion failed: there is no snapshot `page › body` (e2e/__snapshots__/a.snap), and in CI none is written\n";
    assert!(said.contains(text), "{said}");
    assert!(!place.path().join("e2e/__snapshots__").exists());
    let (code, said) = run(&[], &["e2e", "-v"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("snapshot written: page › body (e2e/__snapshots__/a.snap)\n"), "{said}");
    let kept = "# Written by assert_snapshot; --update (of bgjobs script, bgjobs test) writes it anew.\n\n\
                [page › body]\n    <h1>\n    in [time]\n    </h1>\n";
    assert_eq!(place.read("e2e/__snapshots__/a.snap"), kept);
    // Another time, and the same text.
    fs::write(place.path().join("e2e/a.rhai"), script("\"<h1>\\r\\nin 7 ms\\r\\n</h1>\"")).expect("written");
    assert_eq!(run(&[("CI", "true")], &["e2e"]).0, Some(0));
    fs::write(place.path().join("e2e/a.rhai"), script("#{b: [1], a: \"x\"}")).expect("written");
    let (code, said) = run(&[], &["e2e"]);
    assert_eq!(code, Some(1), "{said}");
    for text in [
        "error: assertion failed: the snapshot `page › body` differs (e2e/__snapshots__/a.snap)\n",
        "  = - kept, + now:\n",
        "    -in [time]\n",
        "    +  \"a\": \"x\",\n",
        "try: bgjobs script --update e2e/a.rhai   (if it is right now)\n",
    ] {
        assert!(said.contains(text), "{text:?}: {said}");
    }
    assert_eq!(place.read("e2e/__snapshots__/a.snap"), kept);
    assert_eq!(run(&[], &["e2e", "--update"]).0, Some(0));
    let json = kept.split("    <h1>").next().expect("a part").to_owned()
        + "    {\n      \"a\": \"x\",\n      \"b\": [\n        1\n      ]\n    }\n";
    assert_eq!(place.read("e2e/__snapshots__/a.snap"), json);
    // Nothing asks for it any more.
    fs::write(place.path().join("e2e/a.rhai"), "").expect("written");
    let (code, said) = run(&[], &["e2e", "--update", "-v"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("snapshots removed: page › body (e2e/__snapshots__/a.snap)\n"), "{said}");
    assert!(!place.path().join("e2e/__snapshots__/a.snap").exists());
}

#[test]
fn a_snapshot_needs_a_file_and_a_name_and_its_file_is_read_with_care() {
    let place =
        Place::with(&[("a.rhai", "assert_snapshot(\"a\", 1);"), ("__snapshots__/a.snap", "nonsense\n")]);
    let said = "error: assert_snapshot: ";
    let ended = place.test(&["a.rhai"]).code(1).says(said).says("__snapshots__/a.snap:1: neither `[name]`");
    assert_eq!(place.read("__snapshots__/a.snap"), "nonsense\n", "{}", ended.stderr);
    let code = |code: &str| super::Script::code(code).cwd(place.path()).run().code(2);
    let _ = code("assert_snapshot(\"a\", 1);")
        .stderr_has("snapshots stand beside the file of a script, and this one has none");
    let _ = code("assert_snapshot(\" \", 1);")
        .stderr_has("assert_snapshot: its name must be a line that is not empty");
}
