//! Shards: `--shard` divides, `bgjobs report merge` puts together, and nothing is lost between them.

use crate::reports::Place;
use serde_json::Value;
use std::fs;

const SCRIPTS: [&str; 5] = ["a.rhai", "b.rhai", "c.rhai", "d.rhai", "e.rhai"];

/// Five scripts, of which d fails with 7.
fn place() -> Place {
    Place::with(
        &SCRIPTS.map(|name| (name, if name == "d.rhai" { "exit(7);" } else { "test(\"x\", || ());" })),
    )
}

#[test]
fn parts_are_run_apart_and_put_together() {
    let place = place();
    fs::create_dir(place.path().join("shards")).expect("made");
    let mut listed = String::new();
    for (index, code) in [(1, 7), (2, 0), (3, 0)] {
        let (shard, events) = (format!("{index}/3"), format!("shards/{index}.jsonl"));
        let output =
            place.command(&["test", ".", "--shard", &shard, "--list"]).output().expect("bgjobs starts");
        listed.push_str(&String::from_utf8_lossy(&output.stdout));
        let said = place.ends(&["test", ".", "--shard", &shard, "--events", &events], code);
        let count = if index == 3 { 1 } else { 2 };
        assert!(said.starts_with(&format!("shard {index} of 3: {count} of 5 scripts\n")), "{said}");
    }
    let mut all: Vec<&str> = listed.lines().collect();
    all.sort_unstable();
    assert_eq!(all, SCRIPTS);
    let merge = ["report", "merge", "shards", "--report", "ctrf=out.json", "-o", "shards/all.jsonl"];
    for _ in 0..2 {
        // What it has written is not read when it is done again.
        let said = place.ends(&merge, 7);
        assert!(said.starts_with("FAILED d.rhai (exit 7)\nbgjobs: failed (exit 7) in "), "{said}");
        assert!(said.ends_with(", 3 shards: 4 scripts passed, 1 failed\n"), "{said}");
    }
    let ctrf: Value = serde_json::from_str(&place.read("out.json")).expect("JSON");
    let tests = ctrf["results"]["tests"].as_array().expect("an array");
    let mut names: Vec<&str> = tests.iter().filter_map(|test| test["suite"][0].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, SCRIPTS);
    // Together they are a file as another.
    fs::rename(place.path().join("shards/all.jsonl"), place.path().join("all.jsonl")).expect("moved");
    place.ends(&["report", "merge", "all.jsonl"], 7);
    let said = place.ends(&["test", "--rerun-failed", "all.jsonl"], 7);
    assert!(said.starts_with("1 script has failed in all.jsonl\n"), "{said}");
    let part = |index: &str| {
        let args = ["test", ".", "--shard", index, "--shard-by", "all.jsonl", "--list"];
        let output = place.command(&args).output().expect("bgjobs starts");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut all = [part("1/2"), part("2/2")].concat();
    all.sort_unstable();
    assert_eq!(all, SCRIPTS);
    // Of another suite, which divides nothing.
    fs::write(place.path().join("other.jsonl"), place.read("all.jsonl").replace(".rhai", ".other"))
        .expect("written");
    let said = place.ends(&["test", "a.rhai", "--shard", "1/1", "--shard-by", "other.jsonl"], 0);
    assert!(said.contains("--shard-by: it tells of none of these scripts; "), "{said}");
    let said = place.ends(&["test", "a.rhai", "--shard", "1/1", "--shard-by", "all.jsonl"], 0);
    assert!(!said.contains("--shard-by"), "{said}");
}

#[test]
fn what_is_not_the_whole_is_not_merged() {
    let place = place();
    for (shard, events, code) in [("1/2", "one.jsonl", 0), ("2/2", "two.jsonl", 7), ("1/3", "other.jsonl", 7)]
    {
        place.ends(&["test", ".", "--shard", shard, "--events", events], code);
    }
    place.ends(&["test", "a.rhai", "--events", "whole.jsonl"], 0);
    place.ends(&["script", "--events", "script.jsonl", "a.rhai"], 0);
    place.ends(&["test", "a.rhai", "b.rhai", "--shard", "2/2", "--events", "less.jsonl"], 0);
    place.ends(&["report", "merge", "one.jsonl", "two.jsonl"], 7);
    fs::create_dir(place.path().join("empty")).expect("made");
    for (files, first) in [
        (&["one.jsonl"][..], "error: shard 2 of 2 is missing\n  = shard 1 is `one.jsonl`\n"),
        (
            &["one.jsonl", "two.jsonl", "two.jsonl"],
            "error: shard 2 of 2 is there twice: `two.jsonl` and `two.jsonl`\n",
        ),
        (&["one.jsonl", "other.jsonl"], "error: `other.jsonl` is one of 3 shards, and not of 2\n"),
        (&["one.jsonl", "less.jsonl"], "error: `less.jsonl` is a shard of another list of scripts\n"),
        (&["whole.jsonl"], "error: `whole.jsonl` is not of a shard\n"),
        (&["one.jsonl", "script.jsonl"], "error: `script.jsonl` is not of a shard\n"),
        (&["empty"], "error: no file of events is in `empty`\n"),
        (&["a.rhai"], "error: `a.rhai` is not a file of events\n"),
    ] {
        let args = [&["report", "merge"], files, &["--report", "junit=out.xml"]].concat();
        let said = place.ends(&args, 2);
        assert!(said.starts_with(first), "{said}");
        assert!(!place.path().join("out.xml").exists(), "{args:?}");
    }
    // One that was killed has no end.
    let text = place.read("one.jsonl");
    let without_end = text.trim_end().rsplit_once('\n').map_or("", |(before, _)| before);
    fs::write(place.path().join("killed.jsonl"), format!("{without_end}\n{{\"event\":\"tes"))
        .expect("written");
    let said = place.ends(&["report", "merge", "killed.jsonl", "two.jsonl"], 125);
    assert!(said.starts_with("error: `killed.jsonl` has no end: it was killed\n"), "{said}");
}

#[test]
fn the_surroundings_tell_which_part_it_is() {
    let place = place();
    let auto = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = place.command(&[&["test", "."], args].concat());
        for name in
            ["CI_NODE_INDEX", "CIRCLE_NODE_INDEX", "BUILDKITE_PARALLEL_JOB", "BITBUCKET_PARALLEL_STEP"]
        {
            command.env_remove(name);
        }
        for name in [
            "SEMAPHORE_JOB_INDEX",
            "AWS_BATCH_JOB_ARRAY_INDEX",
            "SLURM_ARRAY_TASK_ID",
            "JOB_COMPLETION_INDEX",
        ] {
            command.env_remove(name);
        }
        let output = command.envs(env.iter().copied()).output().expect("bgjobs starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = auto(&["--shard", "auto"], &[("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "4")]);
    let line = "shard 2 of 4, from CI_NODE_INDEX=2 and CI_NODE_TOTAL=4 (GitLab): 1 of 5 scripts\n";
    assert!(code == Some(0) && said.starts_with(line), "{said}");
    let (code, said) = auto(&["--shard", "auto/5"], &[("JOB_COMPLETION_INDEX", "3")]);
    let line = "shard 4 of 5, from JOB_COMPLETION_INDEX=3 (Kubernetes): 1 of 5 scripts\n";
    assert!(code == Some(7) && said.starts_with(line), "{said}");
    let (code, said) = auto(&["--shard", "auto"], &[]);
    let line = "error: --shard auto: nothing here tells which part this is\n";
    assert!(code == Some(2) && said.starts_with(line), "{said}");
    // A part with nothing in it is no failure, but it is said, also when little is.
    let (code, said) = auto(&["-q", "--shard", "6/6", "--events", "six.jsonl"], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("shard 6 of 6: none of 5 scripts\nbgjobs: passed in "), "{said}");
    assert!(place.read("six.jsonl").contains("\"shard\":{\"index\":6,\"total\":6}"));
}

#[test]
fn what_is_not_a_part_is_an_error() {
    let place = place();
    for (value, why) in [
        ("3", "expected I/N, such as 2/5 for the second of five parts, or auto"),
        ("0/3", "the parts are 1/3 to 3/3"),
        ("4/3", "the parts are 1/3 to 3/3"),
        ("1/0", "there is at least one part"),
    ] {
        let said = place.ends(&["test", ".", "--shard", value], 2);
        assert!(
            said.starts_with(&format!("error: invalid value '{value}' for '--shard <I/N>': {why}\n")),
            "{said}"
        );
    }
}
