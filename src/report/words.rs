//! Small words: times, sizes, counts, and what is cut.

use crate::event::Killed;
use crate::jobs;
use std::time::Duration;

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
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string().replace(".0 ", " ")
}

pub(super) fn clip(line: &str) -> String {
    cut(line, 300)
}

pub(super) fn cut(line: &str, most: usize) -> String {
    if line.chars().count() <= most {
        line.to_owned()
    } else {
        line.chars().take(most).collect::<String>() + "…"
    }
}

/// `stdout cannot be written: No space left on device`.
pub(super) fn unwritable(name: &str, errno: i32) -> String {
    format!("{name} cannot be written: {}", jobs::why(std::io::Error::from_raw_os_error(errno)))
}

/// `1 byte`, `2 bytes`.
pub(super) fn bytes_of(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.2}s", time.as_secs_f64())
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

/// `api ignored TERM, killed after 5 s`.
pub(super) fn ignored(job: &str, killed: &Killed) -> String {
    format!("{job} ignored {}, killed after {}", killed.ignored, duration(killed.grace))
}

/// `1 job`, `2 jobs`.
pub(super) fn count(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

/// One line of a command is enough.
pub(super) fn shorten(text: &str) -> String {
    const MOST: usize = 100;
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if line.chars().count() <= MOST {
        return line;
    }
    format!("{}…", line.chars().take(MOST - 1).collect::<String>())
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
}
