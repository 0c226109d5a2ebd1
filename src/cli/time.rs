//! Times as they are typed.

use std::time::Duration;

/// Longer than any run; what is added to a time stays far from an overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match humantime::parse_duration(text).ok().or_else(seconds) {
        Some(time) if time <= LONGEST => Ok(time),
        Some(_) => Err("at most ten years".to_owned()),
        None => {
            Err("expected a time with a unit, such as 500ms, 90s or 1m30s, or a number of seconds".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_no_unit_but_take_one() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2500)));
        for bad in ["", "x", "-1", "5 parsecs", "nan", "1e99", "18446744073709551615s", "11y", "999999999999"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_times_panic() {
        crate::fuzz::for_a_while("time", |random| {
            let text = match random.below(2) {
                0 => random.text(12),
                _ => format!(
                    "{}{}{}",
                    random.below(1 << 40),
                    random.pick(&["", "s", "ms", "y", "e99", ".5"]),
                    random.text(3)
                ),
            };
            assert!(
                duration(&text).is_ok_and(|time| time <= LONGEST) || duration(&text).is_err(),
                "{text:?}"
            );
        });
    }
}
