//! Random input for whatever reads what others have written: no panic, no hang. Only for the tests, in which any file
//! may use it.
//!
//! ```text
//! BGJOBS_FUZZ_SECONDS=600   how long each target is tried (half a second)
//! BGJOBS_SEED=n             the seed of the first case; a failure prints the one to repeat it with
//! ```

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How long one case may take, in time of the processor: on a busy machine the other means nothing.
const HANG: Duration = Duration::from_secs(10);
/// As the main thread has it, on which `bgjobs check` works.
const STACK: usize = 8 << 20;

/// Chance that can be repeated.
pub struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    /// Bytes, most of them printable.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        let mut byte = || match self.below(8) {
            0 => self.0.u8(..),
            1 => b"() \n\t\0:[]%"[self.below(10)],
            2 | 3 => self.0.u8(b'0'..=b'9'),
            _ => self.0.u8(b' '..=b'~'),
        };
        (0..length).map(|_| byte()).collect()
    }

    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(&self.bytes(most)).into_owned()
    }

    /// Changes a few places: bytes, pieces left out, doubled, moved.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                2 => bytes.truncate(at),
                3 => {
                    let new = self.bytes(4);
                    bytes.splice(at..at, new);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.0.u8(..);
                    }
                }
            }
        }
    }
}

/// The time that this thread has had the processor.
pub fn worked() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Says which case it was when a case panics.
struct RepeatHint<'a>(&'a str, u64);

impl Drop for RepeatHint<'_> {
    #[expect(clippy::print_stderr, reason = "for whoever reads the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fuzz {}: repeat it with BGJOBS_SEED={}", self.0, self.1);
        }
    }
}

/// Tries one case after the other.
#[expect(clippy::print_stdout, reason = "the figures of a long run")]
pub fn for_a_while(name: &str, mut case: impl FnMut(&mut Random) + Send) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let time = number("BGJOBS_FUZZ_SECONDS").map_or(Duration::from_millis(500), Duration::from_secs);
    let mut seed = number("BGJOBS_SEED").unwrap_or_else(|| match number("BGJOBS_FUZZ_SECONDS") {
        Some(_) => fastrand::u64(..),
        None => 1,
    });
    let work = move || {
        let (start, mut cases, mut slowest) = (crate::fuzz::now(), 0u64, (Duration::ZERO, 0));
        let open = open_descriptors();
        while crate::fuzz::now().saturating_sub(start) < time {
            let hint = RepeatHint(name, seed);
            let before = worked();
            case(&mut Random::new(seed));
            let took = worked().saturating_sub(before);
            assert!(took < HANG, "it took {took:?}");
            slowest = slowest.max((took, seed));
            drop(hint);
            cases += 1;
            seed = seed.wrapping_add(1);
        }
        assert!(open_descriptors() <= open + 20, "descriptors leak: {open}, then {}", open_descriptors());
        println!("fuzz {name}: {cases} cases, the slowest {} ms (seed {})", slowest.0.as_millis(), slowest.1);
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread");
        assert!(thread.join().is_ok(), "see above");
    });
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Other tests of this process open some, too.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Every script of this repository.
fn scripts() -> Vec<String> {
    let mut found = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut queue: Vec<_> =
        ["tests/script", "tests/error", "stdlib", "scripts"].map(|dir| root.join(dir)).into();
    while let Some(dir) = queue.pop() {
        for path in std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|end| end == "rhai") {
                found.extend(std::fs::read_to_string(&path));
            }
        }
    }
    found.sort();
    found
}

/// The words and signs of these texts, each once.
fn tokens(texts: &[String]) -> Vec<String> {
    let token = regex::Regex::new(r#"[A-Za-z_]\w*|\d+(\.\d+)?|"[^"\n]*"|[^\w\s]{1,2}"#).expect("a pattern");
    let all: std::collections::BTreeSet<&str> =
        texts.iter().flat_map(|text| token.find_iter(text).map(|found| found.as_str())).collect();
    all.into_iter().map(str::to_owned).collect()
}

#[test]
fn no_text_makes_the_check_of_a_script_panic_or_hang() {
    let scripts = scripts();
    assert!(scripts.len() > 50, "{}", scripts.len());
    let tokens = tokens(&scripts);
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let whole: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let open = [
        "(",
        "[",
        "{",
        "#{",
        "`${",
        "|x| ",
        "fn f() {",
        "if true {",
        "-",
        "!",
        "f(",
        "x = ",
        "a.",
        "[[",
        "/*",
    ];
    for_a_while("script", |random| {
        let mut text = Vec::new();
        match random.below(4) {
            // Words without a sense.
            0 => {
                for _ in 0..random.below(80) {
                    text.extend(random.pick(&tokens).as_bytes());
                    text.extend(random.pick(&["", " ", " ", "\n", ";"]).as_bytes());
                }
            }
            // One inside the other.
            1 => {
                let (again, word) = (random.below(700), random.pick(&open));
                text = word.repeat(again).into_bytes();
                text.extend(random.pick(&tokens).as_bytes());
                let close = random.pick(&[")", "]", "}", "}`", ""]);
                text.extend(close.repeat(again).as_bytes());
            }
            // Almost a script, or almost two.
            kind => {
                text.extend(random.pick(&whole).as_bytes());
                if kind == 3 {
                    let other = random.pick(&whole).as_bytes();
                    let from = random.below(other.len());
                    text.truncate(random.below(text.len()));
                    text.extend(&other[from..]);
                }
                for _ in 0..random.below(3) {
                    let at = random.below(text.len() + 1);
                    text.splice(at..at, random.pick(&tokens).bytes());
                }
                random.mutate(&mut text);
            }
        }
        let code = String::from_utf8_lossy(&text).into_owned();
        if let Err(failure) = crate::host::check(&crate::cli::Source::Code(code), &[]) {
            let style = crate::report::ReportStyle::choose(crate::cli::Color::Never);
            let report = crate::report::failure(&failure, style);
            assert!(failure.code == crate::exit::USAGE && report.starts_with("error: "), "{report}");
        }
    });
}
