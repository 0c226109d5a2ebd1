//! What waiting costs: processor time, wake-ups, memory.

use crate::measure::{Budget, Table, bgjobs, guard_and_host, status};
use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub fn measure(table: &mut Table) {
    waiting(table);
    idle_jobs(table);
}

fn start(code: &str) -> Child {
    bgjobs(code).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bgjobs starts")
}

/// Ends a run that would go on.
fn end(mut child: Child) {
    let pid = Pid::from_raw(child.id().cast_signed());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    let _ = child.wait();
}

/// The processor time of guard and host, so far.
fn used(guard: u32) -> Duration {
    let nanos = |pid: u32| {
        let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?;
        Some(clock_gettime(clock).ok()?.num_nanoseconds())
    };
    Duration::from_nanos(guard_and_host(guard).into_iter().filter_map(nanos).sum::<i64>().cast_unsigned())
}

/// All of them beside each other: they wait.
fn waiting(table: &mut Table) {
    let long = Duration::from_secs(table.pick(30, 8));
    let waits = [
        ("wait_port", "wait_port(1, #{timeout: \"99s\"})"),
        ("wait_http", "wait_http(\"http://127.0.0.1:1/\", #{timeout: \"99s\"})"),
        ("wait_log", "spawn([\"sleep\", \"99\"]).wait_log(\"never\", #{timeout: \"99s\"})"),
        ("wait_file", "wait_file(\"/nowhere/at/all\", #{timeout: \"99s\"})"),
        ("wait_until", "wait_until(|| false, #{timeout: \"99s\"})"),
        ("run", "run([\"sleep\", \"99\"])"),
        ("sleep", "sleep(99)"),
    ];
    let all = waits.map(|(name, code)| (name, start(code)));
    std::thread::sleep(long);
    for (name, child) in all {
        let share = used(child.id()).as_secs_f64() / long.as_secs_f64() * 100.0;
        end(child);
        let what = format!("`{name}` for {} s, with the start", long.as_secs());
        // What a start costs weighs more in a short time.
        table.add(&what, "", "of a core", (share, " %"), table.pick(Budget::AtMost(0.3), Budget::None));
    }
}

fn idle_jobs(table: &mut Table) {
    let jobs = table.pick(1000, 200);
    let mut child = start(&format!(
        "for i in 0..{jobs} {{ spawn([\"sleep\", \"1000\"]); }} print(\"up\"); sleep(\"1000s\");"
    ));
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("a line");
    // What the last start has left to do.
    std::thread::sleep(Duration::from_secs(3));
    let processes = guard_and_host(child.id());
    let processes: Vec<u32> = processes.into_iter().take(2).collect();
    let woken = || processes.iter().map(|pid| status(*pid, "voluntary_ctxt_switches", true)).sum::<u64>();
    let (before, since) = (woken(), Instant::now());
    std::thread::sleep(Duration::from_secs(table.pick(20, 5)));
    let rate = (woken() - before) as f64 / since.elapsed().as_secs_f64();
    let memory: u64 = processes.iter().map(|pid| status(*pid, "VmRSS", false)).sum();
    table.add(
        &format!("{jobs} idle jobs: wake-ups a second"),
        "guard and host",
        "",
        (rate, ""),
        Budget::AtMost(1.0),
    );
    let memory = memory as f64 / 1024.0;
    table.add(
        &format!("{jobs} idle jobs: memory"),
        "guard and host",
        "",
        (memory, " MB"),
        Budget::AtMost(25.0),
    );
    end(child);
}
