//! Arguments as scripts write them: durations, sizes, ports, commands, option maps. Every wrong one is an error that
//! names the function, the option, and what would be right.

use super::error::{Fallible, ScriptError};
use super::unknown::unknown_described;
use crate::api::Options;
use crate::jobs::spec::Command;
use rhai::{Array, Dynamic, Map};
use std::time::Duration;

/// Longer than any run; what is added to a time stays far from an overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A bare number above this is taken for milliseconds written where seconds are meant.
const MOST_BARE_SECONDS: f64 = 300.0;

/// `"500ms"`, `"2s"`, `"1m30s"`, or a number of seconds.
pub fn duration(value: &Dynamic, what: &str) -> Fallible<Duration> {
    let capped = |time: Duration| {
        if time <= LONGEST {
            return Ok(time);
        }
        Err(ScriptError::usage(format!("{what}: {} is too long: at most ten years", show(value))).into())
    };
    let wrong = |shown: &str| {
        ScriptError::usage(format!("{what}: {shown} is not a duration")).note(
            "a duration is a string such as \"500ms\", \"2s\" or \"1m30s\", or a number of seconds up to 300",
        )
    };
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        let text = text.trim();
        return match humantime::parse_duration(text) {
            Ok(time) => capped(time),
            Err(_) => Err(wrong(&format!("{text:?}")).into()),
        };
    }
    let seconds = match (value.as_int(), value.as_float()) {
        (Ok(whole), _) => whole as f64,
        (_, Ok(float)) => float,
        _ => return Err(wrong(&show(value)).into()),
    };
    if seconds > MOST_BARE_SECONDS {
        let meant = if seconds >= 1000.0 && seconds % 1000.0 == 0.0 {
            format!("{}s", seconds / 1000.0)
        } else {
            format!("{seconds}ms")
        };
        return Err(ScriptError::usage(format!(
            "{what}: {seconds} seconds? write \"{meant}\" if milliseconds are meant, else \"{seconds}s\""
        ))
        .into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong(&show(value)).into())
}

/// A time as an error message shows it, no finer than tenths of a second where it has seconds.
pub fn show_duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 if ms % 1000 < 100 => format!("{} s", ms / 1000),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
    }
}

/// A bare number below this is taken for megabytes written where bytes are meant.
const LEAST_BARE_BYTES: u64 = 1 << 16;

/// `"100MB"`, `"64MiB"`, `"1.5GB"`, or a number of bytes; in bytes.
pub fn size(value: &Dynamic, what: &str) -> Fallible<u64> {
    let wrong = || {
        ScriptError::usage(format!("{what}: {} is not a size", show(value)))
            .note("a size is a string such as \"64KB\", \"100MB\" or \"2GiB\", or a number of bytes")
    };
    let text = value.read_lock::<rhai::ImmutableString>().map(|text| text.trim().to_owned());
    let bare = match &text {
        Some(text) => text.bytes().all(|c| c.is_ascii_digit()),
        None => true,
    };
    let bytes = match &text {
        // Only what begins with a digit: the parser also takes `inf`.
        Some(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => None,
        Some(text) => text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()),
        None => value.as_int().ok().and_then(|bytes| u64::try_from(bytes).ok()),
    };
    match bytes {
        Some(bytes) if bare && (1..LEAST_BARE_BYTES).contains(&bytes) => Err(ScriptError::usage(format!(
            "{what}: {bytes} bytes? write \"{bytes}MB\" if megabytes are meant, else \"{bytes}B\""
        ))
        .into()),
        Some(bytes) => Ok(bytes),
        None => Err(wrong().into()),
    }
}

/// A value as an error message shows it: with its type, cut short.
pub fn show(value: &Dynamic) -> String {
    const MOST: usize = 60;
    if value.is_fnptr() {
        return "a closure".to_owned();
    }
    let text = if value.is_unit() { "()".to_owned() } else { format!("{value:?}") };
    if text.contains("::") && text == value.type_name() {
        return format!("a {}", type_name(value));
    }
    let text =
        if text.chars().count() > MOST { text.chars().take(MOST).collect::<String>() + "…" } else { text };
    if value.is_string() || value.is_unit() { text } else { format!("{text} ({})", type_name(value)) }
}

/// The type as scripts know it.
pub fn type_name(value: &Dynamic) -> &str {
    match value.type_name() {
        "i64" => "integer",
        "f64" => "float",
        "()" => "()",
        "Fn" => "closure",
        other => match other.rsplit("::").next().unwrap_or(other) {
            "Outcome" => "Result",
            "ScriptError" => "Error",
            last => last,
        },
    }
}

/// A TCP port: 1 to 65535, as a number or a numeric string.
pub fn port(value: &Dynamic, what: &str) -> Fallible<u16> {
    let number = value.as_int().ok().or_else(|| {
        let text = value.read_lock::<rhai::ImmutableString>()?;
        text.trim().parse::<i64>().ok()
    });
    match number.and_then(|n| u16::try_from(n).ok()).filter(|port| *port != 0) {
        Some(port) => Ok(port),
        None => {
            let wrong = ScriptError::usage(format!("{what}: {} is not a port (1 to 65535)", show(value)));
            let any = number == Some(0)
                || value.read_lock::<rhai::ImmutableString>().is_some_and(|text| is_any_port(&text));
            Err(match any {
                // What a module starts finds it where the module says.
                true if what.ends_with("option `port`") && what.contains("::") => {
                    wrong.hint("port: \"free\"   (takes one that is free: `.port` of what is returned)")
                }
                true if what.ends_with("option `port`") => {
                    wrong.hint("port: \"free\"   (takes one that is free; the job finds the number in PORT)")
                }
                true => wrong.hint("free_port()   (the number of one that is free)"),
                false => wrong,
            }
            .into())
        }
    }
}

/// Words for a port that is free, here and elsewhere.
pub fn is_any_port(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "auto" | "random" | "any" | "dynamic" | "free")
}

/// A command: a string for the shell, or an array to be executed as it is.
pub fn command(value: &Dynamic, function: &str) -> Fallible<Command> {
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        if text.trim().is_empty() {
            return Err(ScriptError::usage(format!("{function}: the command is empty")).into());
        }
        if has_unit(&text) {
            return Err(unit_inside(function, &text).into());
        }
        return Ok(Command::Shell(text.to_string()));
    }
    if let Some(words) = value.read_lock::<Array>() {
        if words.is_empty() {
            return Err(ScriptError::usage(format!("{function}: the command is an empty array")).into());
        }
        let words: Fallible<Vec<String>> = words.iter().map(|word| self::word(word, function)).collect();
        return words.map(Command::Argv);
    }
    if matches!(type_name(value), "Job" | "Result") && function == "output" {
        return Err(ScriptError::usage(format!(
            "`output` is a property of {}, not a method",
            type_name(value)
        ))
        .hint("`.output`   (without parentheses)")
        .into());
    }
    Err(ScriptError::usage(format!("{function}: {} is not a command", show(value)))
        .note("a command is a string, run by /bin/sh, or an array of words, executed directly")
        .into())
}

/// `()` in a command is a value that was missing, not text: `f()` in a shell would follow a word.
fn has_unit(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("()") {
        let before = rest[..at].chars().next_back();
        let behind = &rest[at + 2..];
        // A call of a function, or one of JavaScript.
        let is_code =
            before.is_some_and(|c| c.is_alphanumeric() || c == '_') || behind.trim_start().starts_with("=>");
        if !is_code {
            return true;
        }
        rest = behind;
    }
    false
}

/// A text that was built from a value that is not there.
pub fn unit_inside(function: &str, text: &str) -> ScriptError {
    ScriptError::usage(format!("{function}: {text:?} contains `()`: a variable in it has no value"))
}

/// One word of a command, or a value of `env`: text, number or boolean.
pub fn word(value: &Dynamic, what: &str) -> Fallible<String> {
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        return Ok(text.to_string());
    }
    if value.is_int() || value.is_float() || value.is_bool() || value.is_char() {
        return Ok(value.to_string());
    }
    Err(ScriptError::usage(format!("{what}: {} is not a string, number or boolean", show(value))).into())
}

/// Functions whose first argument is a whole command.
pub const TAKES_COMMAND: &[&str] = &["run", "try_run", "output", "spawn", "start", "wait_cmd"];

/// How a command is written whose words were given one by one: `run(["curl", "-sf"])`.
pub fn array_form(function: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("{function}([{}])", words.join(", "))
}

/// A word in the place of the options: `run("curl", url)`.
fn words_apart(function: &str, value: &Dynamic, error: Box<rhai::EvalAltResult>) -> Box<rhai::EvalAltResult> {
    match value.read_lock::<rhai::ImmutableString>() {
        Some(word)
            if TAKES_COMMAND.contains(&function) && !word.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            ScriptError::usage(format!("{function}: {} is not an option map", show(value)))
                .note("a command with arguments is one string, or an array of words")
                .hint(array_form(function, &["program".to_owned(), word.to_string()]))
                .into()
        }
        _ => error,
    }
}

/// An option map, read key by key. What is unknown is an error before anything is done.
pub struct Opts {
    function: String,
    map: Map,
}

impl Opts {
    /// Where they have a bare form, it may stand in place of the map.
    pub fn described(function: &str, value: &Dynamic, options: &'static Options) -> Fallible<Self> {
        let known = options.names();
        let function = function.to_owned();
        let Some(map) = value.read_lock::<Map>() else {
            if value.is_unit() {
                return Ok(Self { function, map: Map::new() });
            }
            if let Some(key) = options.bare
                && (value.is_string() || value.is_int() || value.is_float())
            {
                duration(value, &function).map_err(|error| words_apart(&function, value, error))?;
                let map = Map::from([(key.into(), value.clone())]);
                return Ok(Self { function, map });
            }
            let wrong = ScriptError::usage(format!("{function}: {} is not an option map", show(value)))
                .note(format!("options: #{{{}: …}}", known.join(", ")));
            return Err(if TAKES_COMMAND.contains(&function.as_str()) && value.is_array() {
                wrong.hint(array_form(&function, &["program".to_owned(), "argument".to_owned()])).into()
            } else {
                wrong.into()
            });
        };
        for key in map.keys() {
            if !known.contains(&key.as_str()) {
                return Err(unknown_described(&function, key, options).into());
            }
        }
        Ok(Self { function, map: map.clone() })
    }

    pub fn none(function: &str) -> Self {
        Self { function: function.to_owned(), map: Map::new() }
    }

    pub fn what(&self, key: &str) -> String {
        format!("{}: option `{key}`", self.function)
    }

    fn wrong(&self, key: &str, value: &Dynamic, wanted: &str) -> Box<rhai::EvalAltResult> {
        ScriptError::usage(format!("{}: {} is not {wanted}", self.what(key), show(value))).into()
    }

    /// The raw value; none also for `()`.
    pub fn get(&self, key: &str) -> Option<&Dynamic> {
        self.map.get(key).filter(|value| !value.is_unit())
    }

    pub fn string(&self, key: &str) -> Fallible<Option<String>> {
        let read = |value: &Dynamic| {
            let text = value.read_lock::<rhai::ImmutableString>();
            text.map(|text| text.to_string()).ok_or_else(|| self.wrong(key, value, "a string"))
        };
        self.get(key).map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::spec::show_size;
    use crate::words::nearest;

    #[test]
    fn durations_in_every_form() {
        let ms = |value: Dynamic| duration(&value, "x").map(|time| time.as_millis()).ok();
        assert_eq!(ms("500ms".into()), Some(500));
        assert_eq!(ms("1m30s".into()), Some(90_000));
        assert_eq!(ms(" 2s ".into()), Some(2000));
        assert_eq!(ms(2.into()), Some(2000));
        assert_eq!(ms(Dynamic::from(0.25)), Some(250));
        assert_eq!(ms(300.into()), Some(300_000));
        for bad in
            ["", "5", "abc", "-1s", "5 parsec", "99999999999999999999y", "18446744073709551615s", "11y"]
        {
            assert_eq!(ms(bad.into()), None, "{bad}");
        }
        for bad in [Dynamic::from(-1_i64), 301.into(), Dynamic::UNIT, true.into(), Dynamic::from(f64::NAN)] {
            assert_eq!(ms(bad.clone()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_bare_number_that_is_too_large_says_what_to_write() {
        let error = duration(&5000.into(), "wait_port").expect_err("too large").to_string();
        assert!(!error.is_empty());
    }

    #[test]
    fn sizes_in_every_form() {
        let bytes = |value: Dynamic| size(&value, "x").ok();
        assert_eq!(bytes("100MB".into()), Some(100_000_000));
        assert_eq!(bytes(" 64 MiB ".into()), Some(64 << 20));
        assert_eq!(bytes("1.5kb".into()), Some(1500));
        assert_eq!(bytes("100M".into()), Some(100_000_000));
        assert_eq!(bytes("0B".into()), Some(0));
        assert_eq!(bytes("12B".into()), Some(12));
        assert_eq!(bytes(1_048_576.into()), Some(1 << 20));
        for bad in ["", "MB", "-1MB", "inf", "nan", "5 apples", "100", "1e3MB"] {
            assert_eq!(bytes(bad.into()), None, "{bad}");
        }
        for bad in [Dynamic::from(-1_i64), 100.into(), Dynamic::UNIT, true.into(), Dynamic::from(1.5)] {
            assert_eq!(bytes(bad.clone()), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_shown_with_their_unit() {
        let cases = [(100_000_000, "100 MB"), (1_500_000, "1.5 MB"), (500, "500 B")];
        for (bytes, text) in cases {
            assert_eq!(show_size(bytes), text);
        }
    }

    #[test]
    fn ports_are_numbers_or_numeric_strings() {
        assert_eq!(port(&8080.into(), "x").ok(), Some(8080));
        assert_eq!(port(&"8080".into(), "x").ok(), Some(8080));
        for bad in [Dynamic::from(0_i64), 70000.into(), "x".into(), (-1_i64).into(), Dynamic::UNIT] {
            assert!(port(&bad, "x").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_typo_finds_its_word_and_nonsense_none() {
        let known = ["timeout", "interval", "message"];
        assert_eq!(nearest("timeot", known), Some("timeout"));
        assert_eq!(nearest("Timeout", known), Some("timeout"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn a_missing_value_in_a_command_is_seen_and_a_shell_function_is_not() {
        assert!(has_unit("curl localhost:()/x"));
        assert!(has_unit("echo ()"));
        assert!(!has_unit("f() { echo; }; f"));
        assert!(!has_unit("echo hi"));
    }
}
