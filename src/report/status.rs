//! What a run waits for, for whoever looks on: on a terminal one line that is drawn over and over, elsewhere a line of its own
//! now and then. What is to be seen is decided here; only the thread of [`super::out`] writes.
//!
//! The line is our own, and not that of a progress crate. Those draw by blocking writes, from whichever thread has news or
//! from one that ticks; here nobody but the report writes, no write may hold it up, and a run that draws nothing must not
//! pay for it. Held to that, of such a crate nothing would be left but a carriage return and `ESC [ K`.
//!
//! The cursor is left in the first column, so that whatever else writes to the terminal, a shell or the guard, writes over
//! the line and not behind it; [`ERASE`] takes away what is left of it then.

use super::said::said;
use super::style::Style;
use super::words::{duration, shorten};
use crate::cli::Verbosity;
use crate::pending::{Board, Doing, Item};
use crate::sys::{clock, proc, tty};
use crate::words::{cut_to_width, width_of};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// Erases from the cursor to the end of the line.
pub const ERASE: &[u8] = b"\x1b[K";
/// Erases the line.
const ERASE_LINE: &[u8] = b"\r\x1b[K";
/// A wait that is over by then is not worth a line on a terminal; and so long nothing was printed before it is drawn.
const A_MOMENT: Duration = Duration::from_millis(300);
/// How often it is drawn at most.
const FRAME: Duration = Duration::from_millis(200);
/// The same for a line of its own elsewhere.
const LONG: Duration = Duration::from_secs(10);
/// What is due so soon is told with what is due now.
const SOON: Duration = Duration::from_secs(2);
/// Where the size of a terminal is not known.
const USUAL_WIDTH: usize = 80;

/// What is to be written now.
#[derive(Debug, PartialEq, Eq)]
pub enum Show {
    Nothing,
    /// To the terminal, as it is; lost when it takes nothing now.
    Draw(Vec<u8>),
    /// As lines about the run.
    Say(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Not,
    /// One line, drawn over and over.
    Drawn,
    /// A line of its own now and then.
    InLines,
}

pub struct Status {
    board: Arc<Board>,
    how: How,
    style: Style,
    started: Duration,
    /// That of the whole run (`--timeout`).
    timeout: Option<Duration>,
    /// When half of that is gone, if it is worth a line and was not told yet.
    half: Option<Duration>,
    /// What goes to stdout is seen on a terminal, too.
    shows_stdout: bool,
    /// What stands on the screen.
    drawn: Option<String>,
    /// When something was printed last.
    printed: Duration,
    /// When to look again; not before somebody calls when there is nothing to see.
    next: Option<Duration>,
    /// When the next line is due of each wait that has had one or will.
    due: HashMap<u64, Duration>,
}

/// Whether a terminal understands what is drawn.
pub fn is_capable(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

impl Status {
    pub fn new(
        board: Arc<Board>,
        started: Duration,
        timeout: Option<Duration>,
        verbosity: Verbosity,
        style: Style,
    ) -> Self {
        let how = match verbosity {
            Verbosity::Quiet => How::Not,
            _ if is_capable(style.is_terminal()) => How::Drawn,
            _ => How::InLines,
        };
        Self::shown(board, how, started, timeout, style)
    }

    fn shown(
        board: Arc<Board>,
        how: How,
        started: Duration,
        timeout: Option<Duration>,
        style: Style,
    ) -> Self {
        match how {
            How::Not => {}
            How::Drawn => board.show_after(A_MOMENT),
            How::InLines => board.show_after(LONG),
        }
        let half = timeout.map(|time| time / 2).filter(|half| how == How::InLines && *half >= LONG);
        let half = half.map(|half| started.saturating_add(half));
        Self {
            board,
            how,
            style,
            started,
            timeout,
            half,
            shows_stdout: how == How::Drawn && std::io::stdout().is_terminal(),
            drawn: None,
            printed: Duration::ZERO,
            next: half,
            due: HashMap::new(),
        }
    }

    /// How long there is nothing to do here, at most `most`.
    pub fn patience(&self, most: Duration) -> Duration {
        self.next.map_or(most, |next| next.saturating_sub(clock::now()).min(most))
    }

    /// Something is about to be printed, on stdout or stderr: what is to be written to the terminal before it.
    pub fn give_way(&mut self, on_stdout: bool) -> Option<&'static [u8]> {
        match self.how {
            How::Not => None,
            How::Drawn if on_stdout && !self.shows_stdout => None,
            How::Drawn | How::InLines => {
                self.printed = clock::now();
                self.drawn.take().map(|_| ERASE_LINE)
            }
        }
    }

    /// Whoever looked on has gone: what stands on the screen is not ours any more.
    pub fn forget(&mut self) {
        (self.drawn, self.next) = (None, None);
    }

    /// Somebody has called: there may be something to see.
    pub fn wake(&mut self) {
        if self.how != How::Not {
            self.next = Some(Duration::ZERO);
        }
    }

    /// What is to be seen now. `free`: the cursor is where a line begins, and the terminal is ours.
    pub fn look(&mut self, free: bool) -> Show {
        // A run that prints a lot passes here often.
        let Some(now) = self.next.and_then(|next| Some(clock::now()).filter(|now| *now >= next)) else {
            return Show::Nothing;
        };
        match self.how {
            How::Not => Show::Nothing,
            How::Drawn => {
                let columns = || tty::columns(std::io::stderr().as_fd()).unwrap_or(USUAL_WIDTH);
                // The host is in a session of its own: what is in the foreground is known of the guard.
                let seen = || {
                    let guard = nix::unistd::getppid().as_raw();
                    free && !proc::in_background(guard, std::io::stderr().as_fd())
                };
                self.drawn_at(now, &seen, &columns)
            }
            How::InLines => self.said_at(now),
        }
    }

    fn drawn_at(&mut self, now: Duration, free: &dyn Fn() -> bool, columns: &dyn Fn() -> usize) -> Show {
        let worth = |item: &&Item| now >= item.since + A_MOMENT;
        let (one, coming) = self.board.read(|items| {
            let coming = items.iter().map(|item| item.since + A_MOMENT).filter(|at| now < *at).min();
            let stops = |item: &&Item| item.doing == Doing::Stopping;
            // Nothing else is worth a word meanwhile.
            let stopping = items.iter().filter(worth).any(|item| stops(&item));
            let mut shown = items.iter().filter(worth).filter(|item| !stopping || stops(item));
            let first = shown.next().cloned();
            (first.map(|first| (first, shown.count())), coming)
        });
        let Some((item, more)) = one else {
            self.next = coming;
            return self.drawn.take().map_or(Show::Nothing, |_| Show::Draw(ERASE_LINE.to_vec()));
        };
        self.next = Some(now + FRAME);
        let calm = now >= self.printed + A_MOMENT;
        let text = self.text(&item, more, now, columns());
        if self.drawn.as_ref() == Some(&text) || !calm || !free() {
            return Show::Nothing;
        }
        let line = self.style.escaped("2", &text);
        self.drawn = Some(text);
        Show::Draw([b"\r", line.as_bytes(), ERASE, b"\r"].concat())
    }

    /// `waiting for http://localhost:8080/  3.2 s of 30 s  connection refused  +2 more`.
    fn text(&self, item: &Item, more: usize, now: Duration, columns: usize) -> String {
        let time = passed(item, now, self.timeout.map(|time| (self.started, time)));
        let more = if more == 0 { String::new() } else { format!("+{more} more") };
        fitted(&described(item), &time, &said(&shorten(&item.seen)), &more, columns)
    }

    fn said_at(&mut self, now: Duration) -> Show {
        let printed = self.printed;
        let (due, next) = (&mut self.due, &mut self.next);
        let (told, oldest) = self.board.read(|items| {
            let worth = |item: &&Item| matches!(item.doing, Doing::Waiting | Doing::Running);
            due.retain(|id, _| items.iter().any(|item| item.id == *id));
            for item in items.iter().filter(worth) {
                due.entry(item.id).or_insert(item.since + LONG);
            }
            let any = due.values().any(|at| now >= *at);
            let mut told = Vec::new();
            for item in items.iter().filter(worth) {
                let Some(at) = due.get_mut(&item.id).filter(|at| any && now + SOON >= **at) else { continue };
                *at = item.since + after(*at - item.since).max(after(now.saturating_sub(item.since)));
                // A command that prints shows by itself that it goes on.
                if item.doing != Doing::Running || now >= printed + LONG {
                    told.push(item.clone());
                }
            }
            *next = due.values().min().copied();
            (told, items.iter().find(worth).cloned())
        });
        let mut lines: Vec<String> =
            told.first().map(|first| still(first, told.len() - 1, now)).into_iter().collect();
        if let (Some(half), Some(timeout)) = (self.half, self.timeout) {
            if now >= half {
                self.half = None;
                let (gone, all) = (duration(timeout / 2), duration(timeout));
                let here =
                    oldest.filter(|_| lines.is_empty()).map(|item| format!("; {}", still(&item, 0, now)));
                let here = here.unwrap_or_default();
                lines.insert(0, format!("half of --timeout is gone: {gone} of {all}{here}"));
            } else {
                self.next = [self.next, self.half].into_iter().flatten().min();
            }
        }
        if lines.is_empty() { Show::Nothing } else { Show::Say(lines) }
    }
}

/// After how much of a wait the next line is due: 10 s, 30 s, and each minute.
fn after(passed: Duration) -> Duration {
    match passed.as_secs() {
        0..10 => LONG,
        10..30 => Duration::from_secs(30),
        seconds => Duration::from_secs((seconds / 60 + 1) * 60),
    }
}

/// `waiting for http://localhost:8080/`, `running npm test`.
fn described(item: &Item) -> String {
    let what = said(&shorten(&item.what));
    match item.doing {
        Doing::Waiting => format!("waiting for {what}"),
        Doing::Running => format!("running {what}"),
        Doing::Stopping => format!("stopping {what}"),
        Doing::Sleeping => format!("in {what}"),
    }
}

/// `still waiting for http://localhost:8080/ (10 s of 30 s; last: connection refused)`.
fn still(item: &Item, more: usize, now: Duration) -> String {
    let waited = now.saturating_sub(item.since);
    let waited = duration(Duration::from_secs(waited.as_secs().max(1)));
    let limit = limit(item).map(|limit| format!(" of {}", duration(limit)));
    let seen = shorten(&item.seen);
    let seen = if seen.is_empty() { seen } else { format!("; last: {seen}") };
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    format!("still {} ({waited}{}{seen}){more}", described(item), limit.unwrap_or_default())
}

/// `3.2 s of 30 s`; of what has no deadline of its own the run's is told: `42 s, 1 min 3 s of --timeout 10 min 0 s`.
fn passed(item: &Item, now: Duration, run: Option<(Duration, Duration)>) -> String {
    let short = |time: Duration| match time.as_secs() {
        0..10 => format!("{:.1} s", (time.as_millis() / 100) as f64 / 10.0),
        seconds => duration(Duration::from_secs(seconds)),
    };
    let waited = short(now.saturating_sub(item.since));
    match (limit(item), run) {
        (Some(limit), _) => format!("{waited} of {}", duration(limit)),
        (None, Some((started, timeout))) => {
            format!("{waited}, {} of --timeout {}", short(now.saturating_sub(started)), duration(timeout))
        }
        (None, None) => waited,
    }
}

/// How long it may take, if there is a bound: who is killed has none.
fn limit(item: &Item) -> Option<Duration> {
    item.until.map(|until| until.saturating_sub(item.since)).filter(|limit| !limit.is_zero())
}

/// In one line of a terminal, whose last column stays free. What was seen is cut first, then what is waited for; how long it
/// has taken stays as long as there is room at all.
fn fitted(what: &str, time: &str, seen: &str, more: &str, columns: usize) -> String {
    const LEAST: usize = 8;
    let room = columns.saturating_sub(1);
    let wide = |text: &str| if text.is_empty() { 0 } else { width_of(text) + 2 };
    let left = room.saturating_sub(wide(time) + wide(more));
    if left < LEAST {
        return cut_to_width(&format!("{what}  {time}"), room);
    }
    let for_seen = left.saturating_sub(width_of(what)).max(left / 3).saturating_sub(2);
    let seen =
        if for_seen < LEAST.min(width_of(seen)) { String::new() } else { cut_to_width(seen, for_seen) };
    let what = cut_to_width(what, left - wide(&seen));
    let parts = [what.as_str(), time, &seen, more];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: f64) -> Duration {
        Duration::from_secs_f64(time)
    }

    fn text(show: Show) -> String {
        match show {
            Show::Nothing => String::new(),
            Show::Draw(bytes) => String::from_utf8(bytes).expect("text"),
            Show::Say(lines) => lines.join("\n"),
        }
    }

    #[test]
    fn the_line_fits_and_says_how_long_it_has_taken() {
        let (what, time) = ("waiting for api: http://localhost:8080/health", "3.2 s of 30 s");
        let cases = [
            (
                90,
                "connection refused",
                "+2 more",
                "waiting for api: http://localhost:8080/health  3.2 s of 30 s  connection refused  +2 more",
            ),
            (
                80,
                "connection refused",
                "",
                "waiting for api: http://localhost:8080/heal…  3.2 s of 30 s  connection refused",
            ),
            (50, "503", "", "waiting for api: http://loca…  3.2 s of 30 s  503"),
            (50, "connection refused", "+2 more", "waiting for api: http://…  3.2 s of 30 s  +2 more"),
            (20, "503", "+2 more", "waiting for api: h…"),
            (1, "503", "", ""),
        ];
        for (columns, seen, more, line) in cases {
            let fitted = fitted(what, time, seen, more, columns);
            assert!(width_of(&fitted) < columns, "{fitted}");
            assert_eq!(fitted, line, "{columns}");
        }
        // Each of these takes two columns.
        let wide = fitted("waiting for ログの行を待っています", "1.0 s", "", "", 30);
        assert_eq!(wide, "waiting for ログの行…  1.0 s");
    }

    #[test]
    fn a_line_is_drawn_after_a_moment_and_erased_when_its_wait_is_over() {
        let board = Arc::new(Board::default());
        let mut status = Status::shown(Arc::clone(&board), How::Drawn, Duration::ZERO, None, Style::never());
        let at = |status: &mut Status, now, free: bool| text(status.drawn_at(now, &|| free, &|| 80));
        assert_eq!(at(&mut status, clock::now(), true), "");
        let wait = board.begin(Doing::Waiting, "a\nfile".to_owned(), Some(seconds(3600.0)));
        let since = board.read(|items| items[0].since);
        assert_eq!(at(&mut status, since + seconds(0.29), true), "");
        assert_eq!(status.next, Some(since + A_MOMENT));
        assert_eq!(at(&mut status, since + seconds(0.4), false), "", "something else stands there");
        let line = at(&mut status, since + seconds(0.41), true);
        assert!(
            line.starts_with("\rwaiting for a; file  0.4 s of ") && line.ends_with("\x1b[K\r"),
            "{line:?}"
        );
        assert_eq!(at(&mut status, since + seconds(0.42), true), "", "nothing has changed");
        let stop = board.begin(Doing::Stopping, "api".to_owned(), None);
        let shown = at(&mut status, since + seconds(5.0), true);
        assert!(shown.starts_with("\rstopping api  "), "{shown:?}");
        drop((wait, stop));
        assert_eq!(at(&mut status, since + seconds(6.0), true), "\r\x1b[K");
        assert_eq!((status.next, status.give_way(false)), (None, None));
    }

    #[test]
    fn elsewhere_a_line_comes_after_10_and_30_seconds_and_each_minute() {
        let board = Arc::new(Board::default());
        let (start, timeout) = (clock::now(), Some(seconds(400.0)));
        let mut status = Status::shown(Arc::clone(&board), How::InLines, start, timeout, Style::never());
        let mut at = |time: f64| (text(status.said_at(start + seconds(time))), status.next);
        assert_eq!(at(1.0), (String::new(), Some(start + seconds(200.0))));
        let wait = board.begin(Doing::Waiting, "port 1".to_owned(), Some(seconds(300.4)));
        let _sleep = board.begin(Doing::Sleeping, "`sleep`".to_owned(), None);
        let _second = board.begin(Doing::Running, "make".to_owned(), None);
        wait.saw("connection refused");
        assert_eq!(at(9.0).0, "");
        let told = at(11.0);
        let (line, rest) = told.0.split_once(" of ").expect("a limit");
        assert!(
            ["still waiting for port 1 (10 s", "still waiting for port 1 (11 s"].contains(&line),
            "{line}"
        );
        assert!(rest.ends_with("; last: connection refused), and 1 more"), "{rest}");
        assert_eq!(at(12.0).0, "");
        assert!(at(31.0).0.starts_with("still waiting for port 1 (3"), "30 s");
        assert!(at(61.0).0.starts_with("still waiting for port 1 (1 min "), "a minute");
        assert_eq!(at(62.0).0, "");
        drop(wait);
        let half = at(200.5).0;
        assert!(
            half.starts_with("half of --timeout is gone: 3 min 20 s of 6 min 40 s\nstill running make ("),
            "{half}"
        );
        assert_eq!(at(201.0).0, "", "it is told once");
    }
}
