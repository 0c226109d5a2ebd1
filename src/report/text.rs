//! The longer texts: the failure report, the verdict, what the guard has to say.

use super::out::{Loss, UNREAD};
use super::terminal::{Style, shorten};
use crate::event::{Failure, Killed, Outcome, Place, Tested};
use crate::exit;
use crate::isolate::{self, Cause, Isolation, Obstacle, Step};
use crate::jobs::{self, Left, Survivor};
use crate::secret;
use crate::sys::fd::{self, Written};
use crate::sys::tree::Stays;
use crate::words::width_of;
use nix::errno::Errno;
use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many lines of all logs together a failure shows.
const TAIL_LINES: usize = 20;

/// How many lines of a message a failure shows; of a note twice as many, which may show a difference.
const FEW: usize = 8;

/// `302 ms`, `1.2 s`, `2 min 5 s`.
pub fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 if time.as_micros() > 0 => format!("{} µs", time.as_micros()),
        0..1000 => format!("{ms} ms"),
        1000..60_000 if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// `100 MB`.
pub fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string().replace(".0 ", " ")
}

/// A colour of ours in a text that is to be written: its code stands between these two, which are no characters.
pub const COLOR: char = '\u{fdd0}';
pub const COLOR_END: char = '\u{fdd1}';

/// A text of ours as it is written: without secrets, and without anything that would order the reader's terminal about.
/// All that bgjobs says passes here, so that nobody has to think of it who words a message. Colours of others are left
/// out; other control characters, and what turns the direction of writing round, are U+FFFD.
pub fn said(text: &str) -> String {
    sanitize(&secret::mask(text))
}

pub fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == COLOR
            && let Some((code, after)) = color(after, COLOR_END)
        {
            shown.extend(["\x1b[", code, "m"]);
            rest = after;
        } else if c == '\x1b'
            && let Some((_, after)) = after.strip_prefix('[').and_then(|code| color(code, 'm'))
        {
            rest = after;
        } else {
            shown.push(if is_order(c) { '\u{fffd}' } else { c });
            rest = after;
        }
    }
    shown
}

/// The code of a colour, which ends with `end`, and what follows it.
fn color(text: &str, end: char) -> Option<(&str, &str)> {
    let length = text.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    Some((&text[..length], text[length..].strip_prefix(end)?))
}

/// Whether a terminal would do something else than show it: control characters, line and paragraph separators, and
/// the characters with Unicode's property `Bidi_Control`.
fn is_order(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t')
        || turns
        || matches!(c, '\u{2028}' | '\u{2029}' | COLOR | COLOR_END)
}

/// The report of a failure: cause, place, path to it, why, the logs that matter, the next edit.
pub fn failure(failure: &Failure, style: Style) -> String {
    told(&style.bad("error:"), failure, style)
}

/// The same with another word at its beginning.
fn told(word: &str, failure: &Failure, style: Style) -> String {
    let mut text = String::new();
    let message = few_lines(&failure.message, FEW, "\n  ");
    let _ = writeln!(text, "{word} {message}");
    if let Some(place) = &failure.place {
        excerpt(&mut text, place, style);
    }
    for line in &failure.trail {
        let _ = writeln!(text, "  {line}");
    }
    for note in &failure.notes {
        let _ = writeln!(text, "  {} {}", style.dim("="), few_lines(note, 2 * FEW, "\n    "));
    }
    let lengths: Vec<usize> = failure.tails.iter().map(|tail| tail.lines.len()).collect();
    for (tail, share) in failure.tails.iter().zip(shares(&lengths)) {
        let path = tail.path.as_ref().map_or_else(String::new, |path| format!(" ({path})"));
        if tail.lines.is_empty() {
            let _ = writeln!(text, "{}: empty{path}", tail.title);
            continue;
        }
        let shown = &tail.lines[tail.lines.len() - share..];
        let _ = writeln!(text, "{}{path}:", tail.title);
        for line in shown {
            let _ = writeln!(text, "  {} {}", style.dim("|"), clip(line));
        }
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{} {}", style.good("try:"), few_lines(hint, FEW, "\n     "));
    }
    text
}

/// How many lines each tail shows. What a short one does not need goes to the others; three lines each has.
fn shares(lengths: &[usize]) -> Vec<usize> {
    const LEAST: usize = 3;
    let mut shares = vec![0; lengths.len()];
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| lengths[*index]);
    let mut left = TAIL_LINES;
    for (done, index) in order.into_iter().enumerate() {
        shares[index] = lengths[index].min((left / (lengths.len() - done)).max(LEAST));
        left = left.saturating_sub(shares[index]);
    }
    shares
}

/// What was thrown may be a whole log: the first lines of it, each on a line of its own after `indent`.
fn few_lines(text: &str, most: usize, indent: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // Nobody is told that one line is missing.
    let shown = if lines.len() > most + 1 { most } else { lines.len() };
    let rest = (lines.len() > shown).then(|| format!("… {} more lines", lines.len() - shown));
    let shown: Vec<String> = lines[..shown].iter().map(|line| cut(line, 500)).chain(rest).collect();
    shown.join(indent)
}

fn clip(line: &str) -> String {
    cut(line, 300)
}

fn cut(line: &str, most: usize) -> String {
    if line.chars().count() <= most {
        line.to_owned()
    } else {
        line.chars().take(most).collect::<String>() + "…"
    }
}

fn excerpt(text: &mut String, place: &Place, style: Style) {
    let _ = writeln!(text, "  --> {place}");
    if place.text.is_empty() {
        return;
    }
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    // The same tabs before the caret as before the text, so that both align however wide a tab is.
    let before: String = place.text.chars().take(place.column.saturating_sub(1)).collect();
    // What is masked is shorter.
    let before = secret::mask(&before);
    let space = |part: &str| " ".repeat(width_of(part));
    let before = before.split('\t').map(space).collect::<Vec<_>>().join("\t");
    let _ = writeln!(text, "{} {} {}", style.dim(&number), style.dim("|"), &place.text);
    let marked: String = place.text.chars().skip(place.column.saturating_sub(1)).take(place.width).collect();
    let caret = style.bad(&"^".repeat(width_of(&marked).max(place.width).max(1)));
    let _ = writeln!(text, "{margin} {} {before}{caret}", style.dim("|"));
}

/// What is lost of the output, and why.
pub fn loss(loss: &Loss, style: Style) -> String {
    let mut text = String::new();
    for (name, refused) in ["stdout", "stderr"].into_iter().zip(loss.refused) {
        if let Some((errno, bytes)) = refused {
            let (error, why) = (style.bad("error:"), unwritable(name, errno));
            let _ = writeln!(text, "{error} {why} ({} lost)", bytes_of(bytes));
        }
    }
    if loss.unread > 0 {
        let (bytes, time) = (bytes_of(loss.unread), duration(UNREAD));
        let line = format!("warning: {bytes} of output were dropped: nobody has read any for {time}");
        let _ = writeln!(text, "{}", style.note(&line));
    }
    text
}

/// `stdout cannot be written: No space left on device`.
fn unwritable(name: &str, errno: i32) -> String {
    format!("{name} cannot be written: {}", jobs::why(std::io::Error::from_raw_os_error(errno)))
}

/// `1 byte`, `2 bytes`.
fn bytes_of(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// What the last line says.
pub struct Verdict<'a> {
    pub code: i32,
    /// In words, when it was not the script that ended the run: `interrupted by SIGINT`.
    pub cause: Option<String>,
    pub elapsed: Duration,
    pub tests: &'a [Tested],
    pub stopped: usize,
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
    let tests = tally(verdict.tests);
    let (elapsed, jobs) = (seconds(verdict.elapsed), count(verdict.stopped));
    let _ = writeln!(
        text,
        "bgjobs: {word} in {elapsed}: {tests}{jobs} stopped, {}{behind}",
        leaked(verdict.left)
    );
    text
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

/// `3 tests passed, 1 failed, 1 skipped; `; nothing where there are none.
fn tally(tests: &[Tested]) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for tested in tests {
        match tested.outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
    }
    let mut text = format!("{passed} {} passed", if passed == 1 { "test" } else { "tests" });
    for (number, what) in [(failed, "failed"), (skipped, "skipped")] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text + "; "
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.2}s", time.as_secs_f64())
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
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
        let whose = format!("{}, user {}", size(one.size), jobs::user_name(one.owner));
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
pub fn not_removed(text: &mut String, stays: &[Stays]) {
    const MOST: usize = 5;
    for one in stays.iter().take(MOST) {
        let owner = one.owner.map_or_else(String::new, |uid| format!(" (user {})", jobs::user_name(uid)));
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

/// `api ignored TERM, killed after 5 s`.
pub fn ignored(job: &str, killed: &Killed) -> String {
    format!("{job} ignored {}, killed after {}", killed.ignored, duration(killed.grace))
}

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

/// `1 job`, `2 jobs`.
fn count(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
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

/// Why the run cannot have what `--isolate` asks for: the step, its errno, what that most likely comes from, and
/// the way out.
pub fn obstacle(wanted: Isolation, obstacle: Obstacle) -> String {
    let walls = [(wanted.pid, "pid"), (wanted.net, "net"), (wanted.ipc, "ipc")];
    let what: Vec<&str> = walls.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    let what = what.join(",");
    let Obstacle { step, errno } = obstacle;
    let mut text = format!(
        "--isolate {what} is not possible here: cannot {}: {} ({errno:?})",
        step_in_words(step),
        errno.desc()
    );
    if let Some((why, way_out)) = cause_in_words(isolate::cause(obstacle)) {
        let _ = write!(text, "\n  = {why}\ntry: {way_out}");
    }
    text
}

/// As in "cannot …".
fn step_in_words(step: Step) -> &'static str {
    match step {
        Step::Fork => "start a process (fork)",
        Step::User => "make a user namespace (unshare)",
        Step::Setgroups => "give up setgroups (/proc/self/setgroups)",
        Step::UidMap => "map the user id to itself (/proc/self/uid_map)",
        Step::GidMap => "map the group id to itself (/proc/self/gid_map)",
        Step::Namespaces => "make the namespaces (unshare)",
        Step::Private => "make mounts private (mount)",
        Step::Shm => "mount a /dev/shm of its own (mount)",
        Step::Loopback => "bring up the loopback interface (ioctl)",
        Step::Proc => "mount a /proc of its own (mount)",
    }
}

/// What it most likely comes from, and the way out.
fn cause_in_words(cause: Cause) -> Option<(&'static str, &'static str)> {
    Some(match cause {
        Cause::AppArmor => (
            "AppArmor takes the rights in a user namespace from programs without a profile \
             (kernel.apparmor_restrict_unprivileged_userns)",
            "an AppArmor profile for bgjobs that has `userns,`, or run it as root",
        ),
        Cause::Seccomp => (
            "a seccomp filter forbids new namespaces, as container engines and sandboxes have it",
            "in Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined, or --privileged",
        ),
        Cause::MaskedProc => (
            "parts of /proc are masked here, as in a container, and a new one would show them",
            "in Docker: --security-opt systempaths=unconfined; in Podman: --security-opt unmask=ALL",
        ),
        Cause::Limit => (
            "the limit on namespaces is reached, or is 0 (user.max_user_namespaces and its kin)",
            "raise the limit: sysctl user.max_user_namespaces=10000, or run bgjobs as root",
        ),
        Cause::Kernel => ("this kernel was built without such namespaces", "leave --isolate away"),
        Cause::Chroot => (
            "the root directory is not a mount point, as in a chroot",
            "mount --bind DIR DIR before the chroot, or leave --isolate pid away",
        ),
        Cause::NoProc => ("there is no /proc here", "mount it: mount -t proc proc /proc"),
        Cause::Forbidden => (
            "user namespaces are for root only here (kernel.unprivileged_userns_clone), or this is a chroot",
            "sysctl kernel.unprivileged_userns_clone=1, or run bgjobs as root",
        ),
        Cause::Policy => (
            "the policy of a security module forbids it (AppArmor or SELinux, as for a container)",
            "in Docker: --security-opt apparmor=unconfined, or label=disable for SELinux",
        ),
        Cause::Unknown => return None,
    })
}

/// An error of bgjobs itself, before there is a run.
pub fn plain_error(error: &anyhow::Error) {
    let mut parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let cause = error.root_cause();
    let of_system = cause.downcast_ref::<nix::errno::Errno>().map(|errno| *errno as i32);
    let of_library = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    if let (Some(last), Some(number)) = (parts.last_mut(), of_system.or(of_library)) {
        *last = jobs::why(std::io::Error::from_raw_os_error(number));
    }
    print_error(&format!("error: {}\n", parts.join(": ")));
}

/// A failure outside of a run.
pub fn print_failure(what: &Failure, style: Style) {
    print_error(&failure(what, style));
}

/// What is not wrong, but is better done otherwise.
pub fn print_warning(what: &Failure, style: Style) {
    print_error(&told(&style.warning("warning:"), what, style));
}

/// Findings of a check for programs, on stdout.
#[must_use]
pub fn findings(all: &[Failure]) -> i32 {
    let object = |it: &Failure| {
        let place = it.place.as_ref();
        serde_json::json!({
            "path": place.map(|place| &place.file), "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "severity": if it.code == exit::OK { "warning" } else { "error" },
            "message": it.message, "notes": it.notes, "hint": it.hint,
        })
    };
    print_json(&all.iter().map(object).collect())
}

/// What a command was asked for, on stdout, as long as somebody reads it. The exit code: as if SIGPIPE had ended us when
/// nobody does.
#[must_use]
pub fn print(text: &str) -> i32 {
    print_as_it_is(&said(text))
}

/// The same for a text of ours alone, with its own colours.
#[must_use]
pub fn print_as_it_is(text: &str) -> i32 {
    match write_to(std::io::stdout().as_fd(), text, &|| false) {
        Ok(()) | Err(Written::Stalled | Written::Bytes(_)) => exit::OK,
        Err(Written::Gone) => exit::BROKEN_PIPE,
        Err(Written::Failed(errno)) => {
            print_error(&format!("error: {}\n", unwritable("stdout", errno as i32)));
            exit::SURROUNDINGS
        }
    }
}

/// As [`print()`], for machines: what would order a terminal about is written as JSON can write it.
#[must_use]
pub fn print_json(value: &serde_json::Value) -> i32 {
    let escaped = |c: char| if is_order(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    print(&format!("{value:#}\n").chars().map(escaped).collect::<String>())
}

/// Whole lines on stderr.
pub fn print_error(text: &str) {
    print_error_unless(text, &|| false);
}

/// The same for a process that signals do not end: given up once somebody wants that.
fn print_error_unless(text: &str, hurry: &dyn Fn() -> bool) {
    // Who has no stderr cannot be told so.
    let _ = write_to(std::io::stderr().as_fd(), &said(text), hurry);
}

/// Lines on stderr that nobody needs to wait for: lost when the reader does not take them now.
pub fn hint(text: &str) {
    fd::write_some(std::io::stderr().as_fd(), said(text).as_bytes(), Duration::ZERO);
}

/// Writes as long as somebody reads; in a `hurry` gives up on a reader that takes nothing for [`UNREAD`].
fn write_to(target: BorrowedFd, text: &str, hurry: &dyn Fn() -> bool) -> Result<(), Written> {
    const LOOK: Duration = Duration::from_millis(50);
    let mut bytes = text.as_bytes();
    let mut unread = Duration::ZERO;
    while !bytes.is_empty() {
        match fd::write_some(target, bytes, LOOK) {
            Written::Bytes(n) => (bytes, unread) = (&bytes[n..], Duration::ZERO),
            Written::Stalled if unread >= UNREAD => return Err(Written::Stalled),
            Written::Stalled => unread += if hurry() { LOOK } else { Duration::ZERO },
            lost @ (Written::Gone | Written::Failed(_)) => return Err(lost),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let cases = [(302, "302 ms"), (1000, "1 s"), (1249, "1.2 s"), (125_000, "2 min 5 s"), (0, "0 ms")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn tests_are_counted_by_how_they_ended() {
        let tested = |outcome| Tested { name: "a".to_owned(), outcome, after: Duration::ZERO };
        let skipped = || tested(Outcome::Skipped(String::new()));
        assert_eq!(tally(&[]), "");
        assert_eq!(tally(&[tested(Outcome::Passed)]), "1 test passed; ");
        assert_eq!(
            tally(&[tested(Outcome::Passed), tested(Outcome::Passed), skipped()]),
            "2 tests passed, 1 skipped; "
        );
        assert_eq!(tally(&[tested(Outcome::Failed(Box::default()))]), "0 tests passed, 1 failed; ");
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

    #[test]
    fn nothing_orders_a_terminal_about_but_our_own_colours() {
        let ours = format!("{COLOR}1;31{COLOR_END}error:{COLOR}0{COLOR_END}");
        let cases = [
            ("a\x1b[2Jb\tc\n", "a\u{fffd}[2Jb\tc\n"),
            ("\x1b[1;31mred\x1b[0m\x1b[m", "red"),
            ("\x1b[31", "\u{fffd}[31"),
            ("\u{202e}txt\u{2066}\u{9b}31m\u{7f}\r", "\u{fffd}txt\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}"),
            ("für 😀 👨\u{200d}👩 שלום", "für 😀 👨\u{200d}👩 שלום"),
            (&ours, "\x1b[1;31merror:\x1b[0m"),
            ("\u{fdd0}2J\u{fdd1}", "\u{fffd}2J\u{fffd}"),
        ];
        for (text, shown) in cases {
            assert_eq!(sanitize(text), shown, "{text:?}");
        }
    }

    #[test]
    fn tails_share_the_room_that_there_is() {
        assert_eq!(shares(&[]), [0; 0]);
        assert_eq!(shares(&[30]), [20]);
        assert_eq!(shares(&[5, 5, 30]), [5, 5, 10]);
        assert_eq!(shares(&[30, 2, 30]), [9, 2, 9]);
        assert_eq!(shares(&[30; 10]), [3; 10]);
    }

    #[test]
    fn a_long_text_shows_its_first_lines() {
        let text = |lines: usize| (1..=lines).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(few_lines("", 8, "|"), "");
        assert_eq!(few_lines(&text(9), 8, "|"), text(9).replace('\n', "|"));
        assert_eq!(few_lines(&text(100), 2, "|"), "1|2|… 98 more lines");
        assert_eq!(few_lines(&"x".repeat(1000), 8, "|").chars().count(), 501);
    }
}
