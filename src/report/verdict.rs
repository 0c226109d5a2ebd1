//! The verdict: the last line of a run, preceded by what failed and what is left; from the host, or from the guard in its place.

use super::out::{Loss, UNREAD};
use super::print::{erase_status, print_error_unless};
use super::said::sanitize;
use super::style::Style;
use super::words::{bytes_of, clip, count, duration, ignored, seconds, shorten, size, unwritable};
use crate::event::{Killed, Outcome, Tested};
use crate::exit;
use crate::jobs::{self, ExitStatus, Left, Survivor};
use crate::sys::names;
use crate::sys::tree::Stays;
use nix::errno::Errno;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is lost of the output, and why.
pub fn loss(loss: &Loss, style: Style) -> String {
    let mut text = String::new();
    for (name, refused) in ["stdout", "stderr"].into_iter().zip(loss.refused) {
        if let Some((errno, bytes)) = refused {
            let (error, why) = (style.bad("error:"), unwritable(name, errno));
            let _ = writeln!(text, "{error} {why} ({} lost)", bytes_of(bytes));
        }
    }
    if let Some(errno) = loss.unrecorded {
        let _ = writeln!(text, "{} {}", style.bad("error:"), unwritable("the file of --events", errno));
    }
    if loss.unread > 0 {
        let (bytes, time) = (bytes_of(loss.unread), duration(UNREAD));
        let line = format!("warning: {bytes} of output were dropped: nobody has read any for {time}");
        let _ = writeln!(text, "{}", style.note(&line));
    }
    text
}

/// What the last line says.
pub struct Verdict<'a> {
    pub code: i32,
    /// In words, when it was not the script that ended the run: `interrupted by SIGINT`.
    pub cause: Option<String>,
    pub elapsed: Duration,
    pub tests: &'a [Tested],
    /// The jobs whose starts took long, one after the other.
    pub slow_start: &'a [(String, Duration)],
    /// One of them has the option `only`.
    pub only: bool,
    pub stopped: usize,
    /// How jobs have ended at their stop, where that is worth a word.
    pub stop_ends: &'a [(String, ExitStatus)],
    /// The jobs that were started again by their `restart`, and how often.
    pub restarted: &'a [(String, usize)],
    pub left: &'a Left,
    /// Those are known by their numbers in the run's own PID namespace.
    pub inside: bool,
    /// What is kept: the directory of the logs, or of the run and what belongs to it.
    pub kept: &'a [PathBuf],
    /// What could not be removed.
    pub stays: &'a [Stays],
    /// Whoever has called us has gone on: only the last line is said.
    pub one_line: bool,
}

/// The verdict: one line, preceded by what is left.
pub fn verdict(verdict: &Verdict, style: Style) -> String {
    let mut text = String::new();
    slow_start(&mut text, verdict.slow_start);
    failed_tests(&mut text, verdict.tests, style);
    leaks(&mut text, verdict.left, verdict.inside);
    not_removed(&mut text, verdict.stays);
    let ok = verdict.code == exit::OK;
    let word = match &verdict.cause {
        Some(cause) => format!("{cause} (exit {})", verdict.code),
        None if ok => style.good("passed"),
        None => format!("{} (exit {})", style.bad("failed"), verdict.code),
    };
    let behind = if verdict.one_line {
        verdict.kept.first().map_or_else(String::new, |path| format!("; {}", kept_at(path)))
    } else {
        kept(&mut text, verdict.kept);
        String::new()
    };
    let tests = tally(verdict.tests, verdict.only);
    let (elapsed, jobs) = (seconds(verdict.elapsed), count(verdict.stopped));
    let _ = writeln!(
        text,
        "bgjobs: {word} in {elapsed}: {tests}{jobs} stopped, {}{}{}{behind}",
        leaked(verdict.left),
        ends(verdict.stop_ends),
        restarted(verdict.restarted)
    );
    text
}

/// `slow start: db 1.2 s → migrate 0.4 s → api 0.3 s`; of a long chain those that took longest.
fn slow_start(text: &mut String, chain: &[(String, Duration)]) {
    const MOST: usize = 6;
    let all: Duration = chain.iter().map(|(_, took)| *took).sum();
    let mut longest: Vec<Duration> = chain.iter().map(|(_, took)| *took).collect();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    let least = longest.get(MOST - 1).copied().unwrap_or_default().max(all / 50);
    let shown: Vec<String> = chain
        .iter()
        .filter(|(_, took)| *took >= least)
        .take(MOST)
        .map(|(job, took)| format!("{job} {:.1} s", took.as_secs_f64()))
        .collect();
    let more = match chain.len() - shown.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    if !shown.is_empty() {
        let _ = writeln!(text, "slow start: {}{more}", shown.join(" → "));
    }
}

/// The failed tests by name, with the first line of what was wrong.
fn failed_tests(text: &mut String, tests: &[Tested], style: Style) {
    const MOST: usize = 20;
    let mut failed = Vec::new();
    for tested in tests {
        if let Outcome::Failed(failure) = &tested.outcome {
            failed.push((shorten(&tested.name), failure));
        }
    }
    for (name, failure) in failed.iter().take(MOST) {
        let why = failure.message.lines().next().unwrap_or_default();
        let place = failure.place.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
        let _ = writeln!(text, "{} {name}: {}{place}", style.bad("FAILED"), clip(why));
    }
    if failed.len() > MOST {
        let _ = writeln!(text, "and {} more failed tests", failed.len() - MOST);
    }
}

/// `; api ended with 3 when stopped`.
fn ends(ends: &[(String, ExitStatus)]) -> String {
    const MOST: usize = 3;
    let mut text = String::new();
    for (job, status) in ends.iter().take(MOST) {
        let how = jobs::describe(*status);
        let how = how
            .strip_prefix("exit ")
            .map_or_else(|| format!("was {how}"), |code| format!("ended with {code}"));
        let _ = write!(text, "; {job} {how} when stopped");
    }
    if ends.len() > MOST {
        let _ = write!(text, "; and {} more", ends.len() - MOST);
    }
    text
}

/// `; api was started again 2 times`; nothing where none was.
fn restarted(jobs: &[(String, usize)]) -> String {
    const MOST: usize = 3;
    if jobs.is_empty() {
        return String::new();
    }
    let times = |times: usize| if times == 1 { "once".to_owned() } else { format!("{times} times") };
    let shown = jobs.iter().take(MOST).map(|(name, number)| format!("{name} {}", times(*number)));
    let mut shown: Vec<String> = shown.collect();
    shown.extend((jobs.len() > MOST).then(|| format!("and {} more", jobs.len() - MOST)));
    format!("; started again: {}", shown.join(", "))
}

/// `3 tests passed, 1 failed, 1 skipped; `; nothing where there are none.
fn tally(tests: &[Tested], only: bool) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for tested in tests {
        match tested.outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Skipped(_) | Outcome::Deselected(_) => skipped += 1,
        }
    }
    let mut text = format!("{passed} {} passed", if passed == 1 { "test" } else { "tests" });
    let flaky = tests.iter().filter(|tested| tested.is_flaky()).count();
    if flaky > 0 {
        let _ = write!(text, " ({flaky} flaky)");
    }
    for (number, what) in [(failed, "failed"), (skipped, "skipped")] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    if only {
        text.push_str(" (`only` is set)");
    }
    text + "; "
}

/// `inside`: their numbers mean nothing outside of the run's own PID namespace.
fn leaks(text: &mut String, left: &Left, inside: bool) {
    if let Some(first) = left.missed.first() {
        let others = match left.missed.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let _ = writeln!(
            text,
            "warning: whether pid {first}{others} carries the mark of this run could not be seen: it does not answer"
        );
    }
    let named = |one: &Survivor| format!("{}{}", if inside { "inside " } else { "" }, survivor(one));
    for one in left.descendants.iter().chain(&left.marked) {
        let _ = writeln!(text, "leaked: {}", named(one));
    }
    for open in &left.ports {
        let holder = open.holder.as_ref().map_or_else(|| "a process that cannot be seen".to_owned(), named);
        let _ = writeln!(
            text,
            "leaked: port {}, which a job opened, is still listened on by {holder}",
            open.port
        );
    }
    for one in &left.shared {
        let whose = format!("{}, user {}", size(one.size), names::user_name(one.owner));
        let (what, remove) = match &one.name {
            Ok(path) => (sanitize(path), format!("rm {}", sanitize(path))),
            Err(id) => (format!("System V segment {id}"), format!("ipcrm -m {id}")),
        };
        let _ = if one.ours {
            writeln!(text, "not removed: shared memory {what} ({whose}): somebody else uses it")
        } else {
            writeln!(text, "left, perhaps by this run: shared memory {what} ({whose}); {remove} removes it")
        };
    }
}

/// `0 leaked`: only where everybody was looked at.
fn leaked(left: &Left) -> String {
    match (left.missed.is_empty(), left.count()) {
        (true, count) => format!("{count} leaked"),
        (false, 0) => "leaks not ruled out".to_owned(),
        (false, count) => format!("at least {count} leaked"),
    }
}

/// Files that we have no right to remove, and what is mounted: a later run tries again.
pub(super) fn not_removed(text: &mut String, stays: &[Stays]) {
    const MOST: usize = 5;
    for one in stays.iter().take(MOST) {
        let owner = one.owner.map_or_else(String::new, |uid| format!(" (user {})", names::user_name(uid)));
        let why = match one.errno {
            Errno::EBUSY => "something is mounted there",
            Errno::EPERM if nix::unistd::geteuid().is_root() => {
                "Operation not permitted (is it immutable? lsattr tells)"
            }
            errno => errno.desc(),
        };
        let _ = writeln!(text, "not removed: {}{owner}: {why}", one.path.display());
    }
    if stays.len() > MOST {
        let _ = writeln!(text, "not removed: {} more", stays.len() - MOST);
    }
}

fn kept(text: &mut String, paths: &[PathBuf]) {
    for path in paths {
        let _ = writeln!(text, "{}", kept_at(path));
    }
}

/// `logs: /tmp/bgjobs-…/logs`.
fn kept_at(path: &Path) -> String {
    format!("{}: {}", if path.ends_with("logs") { "logs" } else { "kept" }, path.display())
}

/// `pid 812 (user root, state S): sleep 60`.
fn survivor(one: &Survivor) -> String {
    format!("pid {} (user {}, state {}): {}", one.pid, one.user, one.state, shorten(&one.command))
}

pub const HOST_LINGERS: &str =
    "the host process was killed or has crashed, and something in its PID namespace does not end";

pub const HOST_HUNG: &str = "the host process did not stop in time and was killed";

/// Why the host ended without a report.
pub fn host_died(status: String) -> String {
    let guess =
        if status.contains("SIGKILL") || status.contains("SIGABRT") { ", out of memory?" } else { "" };
    format!("host {status}{guess}")
}

/// What the guard says in the host's place.
pub struct GuardVerdict<'a> {
    pub cause: String,
    pub kept: &'a [PathBuf],
    pub stays: &'a [Stays],
    pub code: i32,
    pub elapsed: Duration,
    /// The jobs that it had to stop.
    pub running: &'a [String],
    /// Or rather the kernel, which has killed them with the host: they were in its PID namespace.
    pub by_kernel: bool,
    /// Those of them that ignored their signal.
    pub killed: &'a [(String, Killed)],
    pub left: &'a Left,
}

/// `hurry`: whether somebody wants the guard to end.
pub fn guard_verdict(verdict: &GuardVerdict, hurry: &dyn Fn() -> bool) {
    let GuardVerdict { code, running, left, .. } = *verdict;
    erase_status();
    let mut text = format!("error: {}\n", verdict.cause);
    if !running.is_empty() {
        let how = if verdict.by_kernel { "killed with it by the kernel" } else { "stopped by the guard" };
        let _ = writeln!(text, "  = {how}: {}", running.join(", "));
    }
    for (job, how) in verdict.killed {
        let _ = writeln!(text, "  = {}", ignored(job, how));
    }
    leaks(&mut text, left, false);
    not_removed(&mut text, verdict.stays);
    kept(&mut text, verdict.kept);
    let (elapsed, jobs) = (seconds(verdict.elapsed), count(running.len()));
    let _ = writeln!(text, "bgjobs: failed (exit {code}) in {elapsed}: {jobs} stopped, {}", leaked(left));
    print_error_unless(&text, hurry);
}

/// What the guard found after the host had reported.
pub fn late_survivors(left: &[Survivor], hurry: &dyn Fn() -> bool) {
    if !left.is_empty() {
        let mut text = String::new();
        leaks(&mut text, &Left { descendants: left.to_vec(), ..Left::default() }, false);
        let _ = writeln!(text, "bgjobs: {} leaked", left.len());
        print_error_unless(&text, hurry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_ends_are_told_of_many() {
        let all = |count: usize| vec![("a".to_owned(), ExitStatus::Code(3)); count];
        assert_eq!(ends(&all(0)), "");
        assert_eq!(
            ends(&[("b".to_owned(), ExitStatus::Signal(11))]),
            "; b was killed by SIGSEGV when stopped"
        );
        assert_eq!(ends(&all(2)), "; a ended with 3 when stopped; a ended with 3 when stopped");
        assert!(ends(&all(5)).ends_with("; a ended with 3 when stopped; and 2 more"));
    }

    #[test]
    fn of_a_long_chain_the_slow_ones_are_told() {
        let line = |chain: &[(&str, u64)]| {
            let chain: Vec<(String, Duration)> =
                chain.iter().map(|(job, ms)| ((*job).to_owned(), Duration::from_millis(*ms))).collect();
            let mut text = String::new();
            slow_start(&mut text, &chain);
            text
        };
        assert_eq!(line(&[]), "");
        let three = [("db", 1240), ("migrate", 400), ("api", 900)];
        assert_eq!(line(&three), "slow start: db 1.2 s → migrate 0.4 s → api 0.9 s\n");
        assert_eq!(line(&[("db", 5000), ("a", 10)]), "slow start: db 5.0 s (and 1 more)\n");
        let many = [("a", 1000), ("b", 900), ("c", 100), ("d", 800), ("e", 700), ("f", 600), ("g", 500)];
        let told = "slow start: a 1.0 s → b 0.9 s → d 0.8 s → e 0.7 s → f 0.6 s → g 0.5 s (and 1 more)\n";
        assert_eq!(line(&many), told);
        assert_eq!(line(&[("a", 300); 9]).matches("a 0.3 s").count(), 6);
    }

    #[test]
    fn tests_are_counted_by_how_they_ended() {
        let tested = |outcome| Tested {
            name: "a".to_owned(),
            outcome,
            after: Duration::ZERO,
            tries: 1,
            tags: Vec::new(),
            span: None,
        };
        let flaky = || Tested { tries: 2, ..tested(Outcome::Passed) };
        let skipped = || tested(Outcome::Skipped(String::new()));
        assert_eq!(tally(&[], false), "");
        assert_eq!(tally(&[tested(Outcome::Passed)], false), "1 test passed; ");
        assert_eq!(tally(&[flaky()], true), "1 test passed (1 flaky) (`only` is set); ");
        assert_eq!(
            tally(&[tested(Outcome::Passed), tested(Outcome::Passed), skipped()], false),
            "2 tests passed, 1 skipped; "
        );
        assert_eq!(tally(&[tested(Outcome::Failed(Box::default()))], false), "0 tests passed, 1 failed; ");
    }

    #[test]
    fn only_a_whole_look_says_that_nothing_leaked() {
        let one = || Survivor {
            pid: 1,
            user: "u".to_owned(),
            state: 'S',
            command: "c".to_owned(),
            beyond_reach: false,
        };
        let left = |marked, missed: &[i32]| Left { marked, missed: missed.into(), ..Left::default() };
        assert_eq!(leaked(&left(Vec::new(), &[])), "0 leaked");
        assert_eq!(leaked(&left(vec![one()], &[])), "1 leaked");
        assert_eq!(leaked(&left(Vec::new(), &[7])), "leaks not ruled out");
        assert_eq!(leaked(&left(vec![one()], &[7])), "at least 1 leaked");
    }
}
