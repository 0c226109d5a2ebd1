//! Rounds, medians, scripts, and the table in which all figures end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What has been measured.
pub struct Table {
    /// As many rounds as it takes; otherwise as many as there is time for.
    pub long: bool,
    rows: Vec<[String; 5]>,
}

/// What is allowed of a figure.
pub enum Budget {
    AtMost(f64),
    AtLeast(f64),
    /// It is shown for information.
    None,
}

impl Table {
    pub fn new(long: bool) -> Self {
        Self { long, rows: Vec::new() }
    }

    /// The long form's number, or the short one's.
    pub fn pick<T>(&self, long: T, short: T) -> T {
        if self.long { long } else { short }
    }

    /// Adds a line: what, our figure, the peer's, their ratio with its unit, the budget.
    pub fn add(&mut self, what: &str, ours: &str, peer: &str, (figure, unit): (f64, &str), budget: Budget) {
        let (limit, met) = match budget {
            Budget::AtMost(most) => (format!("≤ {most}{unit}"), Some(figure <= most)),
            Budget::AtLeast(least) => (format!("≥ {least}{unit}"), Some(figure >= least)),
            Budget::None => (String::new(), None),
        };
        let mark = match met {
            Some(true) => " met",
            Some(false) => " **not met**",
            None => "",
        };
        eprintln!("  {what}: {ours} ({peer}) {figure:.2}{unit} {limit}{mark}");
        let figure = format!("{figure:.2}{unit}");
        self.rows.push([what.to_owned(), ours.to_owned(), peer.to_owned(), figure, format!("{limit}{mark}")]);
    }

    /// Adds a line for two times that were taken in turns.
    pub fn compare(&mut self, what: &str, peer: &str, pairs: &Pairs, budget: Budget) {
        let theirs = format!("{peer}: {:.2} ms", ms(median(pairs.peer.clone())));
        self.add(
            what,
            &format!("{:.2} ms", ms(median(pairs.ours.clone()))),
            &theirs,
            (pairs.ratio(), " x"),
            budget,
        );
    }

    /// A peer that is not there.
    pub fn missing(&mut self, what: &str, peer: &str) {
        eprintln!("  {what}: {peer} is not installed");
        let row = [what, "", &format!("{peer}: not installed"), "", ""];
        self.rows.push(row.map(str::to_owned));
    }

    pub fn print(&self) {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model =
            cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("?");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = read("/proc/sys/kernel/osrelease");
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split(' ').take(3).collect();
        let date = Command::new("date").arg("+%F").output().map(|out| out.stdout).unwrap_or_default();
        println!(
            "{}, {model}, {cores} cores, Linux {}, load {} at the end, `cargo bench{}`\n",
            String::from_utf8_lossy(&date).trim(),
            kernel.trim(),
            load.join(" "),
            if self.long { " -- --long" } else { "" },
        );
        println!("| what | bgjobs | peer | figure | budget |\n| --- | --- | --- | --- | --- |");
        for row in &self.rows {
            // A pipe in a cell would begin the next one.
            println!("| {} |", row.each_ref().map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
}

/// Times that were taken in turns.
#[derive(Default)]
pub struct Pairs {
    pub ours: Vec<Duration>,
    pub peer: Vec<Duration>,
}

impl Pairs {
    /// So many rounds of both, after one that does not count.
    pub fn of(rounds: usize, mut ours: impl FnMut() -> Duration, mut peer: impl FnMut() -> Duration) -> Self {
        let mut pairs = Self::default();
        for round in 0..=rounds {
            let (peer, ours) = (peer(), ours());
            if round > 0 {
                pairs.peer.push(peer);
                pairs.ours.push(ours);
            }
        }
        pairs
    }

    /// How many times as long ours takes.
    pub fn ratio(&self) -> f64 {
        let both = self.ours.iter().zip(&self.peer);
        middle(both.map(|(ours, peer)| ours.as_secs_f64() / peer.as_secs_f64().max(1e-9)).collect())
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The program as `cargo install` leaves it: a copy, written at a stretch. What a linker has written lies in the page cache page
/// by page, and each page fault takes the longer for it: an empty script 1.8 times what bash takes, instead of 1.1.
pub fn program() -> &'static str {
    static COPY: OnceLock<String> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bgjobs");
        // Not over one that may still be running.
        let _ = fs::remove_file(&copy);
        fs::copy(env!("CARGO_BIN_EXE_bgjobs"), &copy).expect("copied");
        copy.into_os_string().into_string().expect("UTF-8")
    })
}

/// A run of this script.
pub fn bgjobs(code: &str) -> Command {
    let mut command = Command::new(program());
    command.args(["script", "-q", "-e", code]).stdin(Stdio::null());
    command
}

pub fn shell(shell: &str, code: &str) -> Command {
    let mut command = Command::new(shell);
    command.args(["-c", code]).stdin(Stdio::null());
    command
}

/// How long a command takes; what it says is of no interest.
pub fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} fails");
    start.elapsed()
}

/// The numbers that a command prints, one a line.
pub fn numbers(command: &mut Command) -> Vec<f64> {
    let output = command.stderr(Stdio::inherit()).output().expect("it starts");
    assert!(output.status.success(), "{command:?} fails");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()).collect()
}

pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// A directory that goes with the benchmark.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// What /proc says of a process and its first child: the guard and the host.
pub fn guard_and_host(guard: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).unwrap_or_default();
    std::iter::once(guard).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
}

/// A number in /proc/PID/status, of kB, of all its threads where `each`.
pub fn status(pid: u32, key: &str, each: bool) -> u64 {
    let number = |path: PathBuf| -> u64 {
        let text = fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !each {
        return number(process);
    }
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    threads.map(|thread| number(thread.path())).sum()
}
