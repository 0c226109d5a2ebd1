//! What a run costs that does nothing, and what one more command costs: counts, which do not depend on the machine's mood.
//! Times are measured by `benches/startup.rs` and `benches/jobs.rs`.

use crate::support::{Script, bgjobs, lacks};
use std::collections::HashSet;
use std::fs;
use std::process::Command;

/// The system calls of a run, a line each: the process, the call, its arguments. Without a cgroup, for others may lie
/// beside it, which are looked at; in a directory of its own for the same reason.
pub fn trace(code: &str) -> Vec<String> {
    let base = crate::remains::base();
    let file = base.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-s", "200", "-o"]).arg(&file).arg(bgjobs()).args(["script", "-e", code]);
    strace.env("TMPDIR", base.path()).env("BGJOBS_TEST_OFF", "cgroup");
    // Cargo names directories in which the loader looks in vain.
    strace.env_remove("LD_LIBRARY_PATH");
    let out = strace.output().expect("strace starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = fs::read_to_string(file).expect("a trace");
    let call = |line: &&str| line.contains('(') && !line.contains(" resumed>") && !line.contains("+++ ");
    text.lines().filter(call).map(str::to_owned).collect()
}

/// A script that starts nothing, but calls what only a run can answer.
const NEEDS_A_RUN: &str = "elapsed_ms();";

/// The threads that were started, by name; but for the one that reads what may not answer, for the proof at the end.
fn threads(trace: &[String]) -> Vec<&str> {
    let named = trace.iter().filter_map(|line| line.split("PR_SET_NAME, \"").nth(1)?.split('"').next());
    let mut names: Vec<&str> = named.filter(|name| *name != "memory").collect();
    names.sort_unstable();
    names
}

#[test]
fn closures_that_wait_for_nothing_get_few_threads() {
    /// Two or three; one more for each slice that a busy machine makes of it.
    const MOST: usize = 25;
    if lacks(&["strace"]) {
        return;
    }
    let trace = trace("let all = parallel(0..100, |i| i, #{at_once: 100}); assert_eq(all[99], 99);");
    let few = threads(&trace).into_iter().filter(|name| *name == "parallel").count();
    assert!((1..=MOST).contains(&few), "{few} threads for 100 closures");
}

#[test]
fn a_script_that_starts_nothing_has_no_threads_that_keep_processes() {
    if lacks(&["strace"]) {
        return;
    }
    let idle = ["control", "report", "script"];
    assert_eq!(threads(&trace(NEEDS_A_RUN)), idle);
    // A command is the business of the thread that runs the script.
    assert_eq!(
        threads(&trace("run(`true`); run(`echo 1`); print(output(`echo 2`))")),
        ["control", "reaper", "report", "script"]
    );
    let busy = trace("spawn(`sleep 60`); parallel([|| run(`true`), || run(`true`)])");
    let mut expected = idle.to_vec();
    expected.extend(["logs", "parallel", "parallel", "reaper", "spawner"]);
    expected.sort_unstable();
    // Nobody has asked for anything, and nobody records what is used.
    assert_eq!(threads(&busy), expected);
}

#[test]
fn what_a_command_prints_to_whom_it_leaves_behind_is_read_by_a_thread() {
    if lacks(&["strace"]) {
        return;
    }
    let trace = trace("run(`sleep 60 & echo 1`); run(`true`)");
    assert_eq!(threads(&trace), ["control", "output", "reaper", "report", "script"]);
}

#[test]
fn what_a_script_prints_wakes_no_other_thread() {
    if lacks(&["strace"]) {
        return;
    }
    let trace = trace("elapsed_ms(); for i in 0..300 { print(i); }");
    let count = |call: &str| trace.iter().filter(|line| line.contains(call)).count();
    assert_eq!(count(" pwritev2(1, "), 300);
    // Before Linux 6.4 a pipe does not say what it takes at once, and only the thread that writes knows what to do.
    let takes_at_once = trace.iter().any(|line| line.contains(" pwritev2(1, ") && line.ends_with("= 2"));
    let woken = count(" futex(");
    assert!(!takes_at_once || woken < 150, "{woken} calls to sleep and to wake for 300 lines");
}

#[test]
fn a_script_that_starts_nothing_makes_few_system_calls() {
    /// 298 in a debug build, which asks of each descriptor that it closes whether it is open; 25 more when the host does not
    /// end within 50 ms, since the guard looks at its threads then; and some air. Whoever needs more has a reason to tell.
    const MOST: usize = 368;
    if lacks(&["strace"]) {
        return;
    }
    let trace = trace(NEEDS_A_RUN);
    // The loader's are those of the machine; the first of ours asks whether 0 to 2 are open. And how often threads wait for
    // each other depends on who gets the processor.
    let ours = trace.iter().skip_while(|line| !line.contains(" poll([{fd=0,"));
    let counted: Vec<&String> = ours.filter(|line| !line.contains(" futex(")).collect();
    println!("{} system calls", counted.len());
    assert!(counted.len() > 100 && counted.len() <= MOST, "{} system calls:\n{trace:#?}", counted.len());
    // What was never made is not torn down.
    for needless in ["/children\"", "setpriority(", "/proc/self/autogroup", " bind("] {
        assert!(!counted.iter().any(|line| line.contains(needless)), "{needless}: {trace:#?}");
    }
}

/// How many system calls of ours are in this trace: not those of programs that were executed, and not how often threads wait
/// for each other.
fn ours(trace: &[String]) -> usize {
    let mut others = HashSet::new();
    let mut count = 0;
    for line in trace {
        let pid = line.split(' ').next().unwrap_or_default();
        if others.contains(pid) {
            continue;
        }
        count += usize::from(!line.contains(" futex("));
        if line.contains(" execve(") {
            others.insert(pid);
        }
    }
    count
}

/// Those of the threads of these names, and of children before their exec: how much guard and host look around at the end
/// depends on how long that takes.
fn made_by(names: &[&str], trace: &[String]) -> Vec<String> {
    let pid = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let is_named =
        |line: &&String| names.iter().any(|name| line.contains(&format!("PR_SET_NAME, \"{name}\"")));
    // The first is bgjobs itself.
    let children = trace.iter().skip(1).filter(|line| line.contains(" execve("));
    let made_by: HashSet<String> = trace.iter().filter(is_named).chain(children).map(pid).collect();
    trace.iter().filter(|line| made_by.contains(&pid(line))).cloned().collect()
}

/// What one more of these statements costs these threads, beside what comes before.
fn one_more(before: &str, statement: &str, threads: &[&str]) -> usize {
    let of = |number: usize| {
        ours(&made_by(threads, &trace(&format!("{before} for i in 0..{number} {{ {statement} }}"))))
    };
    let (few, many) = (of(10), of(40));
    let each = many.saturating_sub(few) / 30;
    println!("{before} {statement}: {each} system calls");
    each
}

/// ext4 writes a file to the disk when whoever has written it closes it, if it was truncated, however empty it was: a job
/// that prints much would wait for that.
#[test]
fn a_log_that_is_new_is_not_truncated() {
    if lacks(&["strace"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let code = format!("spawn([\"true\"]).wait(); spawn([\"echo\", \"new\"], #{{log: {log:?}}}).wait();");
    let truncated = |trace: &[String]| trace.iter().filter(|line| line.contains(" ftruncate(")).count();
    assert_eq!(truncated(&trace(&code)), 0);
    // One that lies there already has what is new alone.
    fs::write(&log, "old\n").expect("written");
    assert_eq!(truncated(&trace(&code)), 1);
    assert_eq!(fs::read_to_string(&log).expect("there"), "new\n");
}

#[test]
fn one_more_command_makes_few_system_calls() {
    /// Counted in a debug build, which asks of each descriptor that it closes whether it is open, with air for the looks
    /// that a busy machine brings. Whoever needs more has a reason to tell.
    const MOST: usize = 110;
    if lacks(&["strace"]) {
        return;
    }
    for command in ["\"/bin/true\"", "[\"/bin/true\"]"] {
        let each = one_more("", &format!("run({command});"), &["script", "reaper", "output"]);
        assert!(each > 20 && each <= MOST, "{each} system calls for a run({command})");
    }
}

#[test]
fn a_command_costs_little_more_beside_live_jobs() {
    /// For each of the jobs: its log is asked for its length.
    const MOST: usize = 4;
    const JOBS: usize = 40;
    if lacks(&["strace"]) {
        return;
    }
    let alone = one_more("", "run([\"/bin/true\"]);", &["script"]);
    let before = format!("for i in 0..{JOBS} {{ spawn([\"sleep\", \"600\"]); }}");
    let beside = one_more(&before, "run([\"/bin/true\"]);", &["script"]);
    assert!(beside <= alone + MOST * JOBS, "{beside} system calls beside {JOBS} jobs, {alone} alone");
}

/// The kernel tells how large a table of descriptors it has made for a process.
#[test]
fn a_command_is_not_given_a_copy_of_what_is_open_for_live_jobs() {
    const JOBS: usize = 300;
    if lacks(&["grep"]) {
        return;
    }
    let code = format!(
        "for i in 0..{JOBS} {{ spawn([\"sleep\", \"600\"], #{{stdin: \"pipe\"}}); }}
         print(output([\"grep\", \"FDSize\", \"/proc/self/status\"]));"
    );
    let size = |off: &str| -> usize {
        let out = Script::code(&code).env("BGJOBS_TEST_OFF", off).run().code(0).stdout;
        out.trim().trim_start_matches("FDSize:").trim().parse().expect("a number")
    };
    // By a kernel without close_range(2) all are copied.
    let (usual, all) = (size("cgroup"), size("cgroup,close_range"));
    assert!(all >= JOBS, "{all}");
    assert_eq!(usual, 64);
    // Where nothing of that is allowed either.
    assert!(size("cgroup,close_range,unshare") >= JOBS);
}

#[test]
fn what_is_open_for_a_job_stays_open_whatever_is_started_beside_it() {
    let code = r#"
        let jobs = [];
        for i in 0..50 { jobs.push(spawn(["cat"], #{stdin: "pipe"})); }
        for i in 0..5 { run(["true"]); assert_eq(output("echo a | cat"), "a"); }
        for job in jobs { job.send("line\n"); job.close_stdin(); }
        for job in jobs { assert_eq(job.wait().stdout, "line\n"); }
        for i in 0..50 { assert_eq(output(["echo", "b"]), "b"); }
    "#;
    for off in ["", "close_range", "close_range,unshare", "vfork"] {
        Script::code(code).env("BGJOBS_TEST_OFF", off).run().code(0);
    }
}

#[test]
fn however_a_program_is_started_it_is_told_alike_why_it_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let busy = dir.path().join("busy");
    fs::copy("/bin/sleep", &busy).expect("copied");
    let writer = fs::File::options().append(true).open(&busy).expect("opened");
    let code = format!(
        "let s = \"x\"; s.pad(140000, 'x');
         for cmd in [[{busy:?}, \"0\"], [\"/bin/echo\", s]] {{
             let result = try_run(cmd);
             print(`${{result.code}} ${{result.output}}`);
         }}
         print(output([\"/bin/echo\", \"ran\"]));"
    );
    for off in ["cgroup", "cgroup,close_range", "cgroup,close_range,unshare", "cgroup,vfork", "cgroup,clone3"]
    {
        let out = Script::code(&code).command().env("BGJOBS_TEST_OFF", off).output().expect("it starts");
        let expected = format!(
            "126 {}: cannot be executed: Text file busy\n126 /bin/echo: cannot be executed: arguments and environment are \
             too large (one may have 128 KiB, all together a quarter of `ulimit -s`)\nran\n",
            busy.display()
        );
        assert_eq!(String::from_utf8_lossy(&out.stdout), expected, "without {off}");
    }
    drop(writer);
}

/// Of most of many the kernel keeps who has ended, a few are asked.
#[test]
fn each_end_among_many_is_noticed_and_nobody_else_is_taken_for_ended() {
    let code = r#"
        let jobs = [];
        for i in 0..40 { jobs.push(spawn(["sleep", "600"])); }
        for i in [0, 7, 8, 9, 20, 39] {
            jobs[i].signal("KILL");
            assert_eq(jobs[i].wait().signal, "KILL");
            // An orphan ends beside it, and a daemon stays.
            run("(true &) ; (sleep 600 >/dev/null 2>&1 &)");
        }
        assert_eq(jobs.filter(|job| job.running).len(), 34);
        let again = jobs[8];
        again.restart();
        assert(again.running, "it runs again");
        again.kill();
        assert_eq(jobs.filter(|job| job.running).len(), 34);
        parallel(0..40, |i| run(["true"]), #{at_once: 20});
        // The orphans have been reaped, and the commands but for those whose daemons live.
        let zombies = output("grep -l '^State:.Z' $(sed 's|[0-9][0-9]*|/proc/&/status|g' /proc/$PPID/task/*/children) | wc -l");
        assert_eq(zombies, "6");
    "#;
    for off in ["", "cgroup"] {
        Script::code(code).env("BGJOBS_TEST_OFF", off).run().code(0);
    }
}
