//! JSON, YAML and TOML, as values. What cannot be read is an error of kind `io` with file, line and column.
//!
//! YAML is that of version 1.2: `no` and `22:30` are texts. What versions 1.1 and 1.2 take for different numbers
//! (`0755`, `1_000`) stays a text, too, so that nothing is silently another number than was meant.

use crate::host::run::files;
use crate::host::run::runtime::rt;
use crate::host::value::describe::{function, options};
use crate::host::value::described::{self, Entry};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::utf8;
use rhai::{Array, Dynamic, Engine, ImmutableString, Map, Module, NativeCallContext};
use serde_saphyr::MessageFormatter;

/// Rhai has a `parse_json` of its own for a text, and an exact match is found first.
pub fn register(engine: &mut Engine) {
    let mut module = Module::new();
    let types = described::types(&PARSE_JSON.about.forms[0]);
    described::in_place(&mut module, &PARSE_JSON, &types, |_, value, _| {
        from_text("parse_json", &value.to_string(), self::json)
    });
    engine.register_global_module(module.into());
}

pub const FUNCTIONS: &[Entry] = &[READ_YAML, PARSE_YAML, READ_JSON, PARSE_JSON, READ_TOML, PARSE_TOML];

options! {
    /// How YAML is read.
    struct Documents {
        /// Gives an array of all documents, without empty ones.
        all: bool = false;
    }
}

function! {
    /// The value of a YAML file (version 1.2) with one document. `null`, `~` and an empty file are `()`; anchors
    /// and merge keys (`<<: *base`) are resolved. `no`, `on` and `22:30` are texts, and so is what YAML 1.1 and 1.2
    /// take for different numbers (`0755`, `1_000`); keys are texts, and a key given twice is an error.
    ///
    /// Throws `io` with line and column when it is no YAML, or has several documents.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/compose.yaml";
    /// write_file(file, "services:\n  web: {image: nginx, ports: [8080, \"22:22\"]}\n");
    /// assert_eq(read_yaml(file).services.web.ports, [8080, "22:22"]);
    /// ```
    ///
    /// ```rhai
    /// let file = temp_dir() + "/manifests.yaml";
    /// write_file(file, "kind: Service\n---\nkind: Deployment\n");
    /// assert_eq(read_yaml(file, #{all: true})[1].kind, "Deployment");
    /// ```
    READ_YAML = "read_yaml" -> Dynamic, throws io {
        (path: String; Documents) => read_yaml;
    }
}

function! {
    /// Reads YAML (version 1.2), as `read_yaml` does. Throws `io` with the place when it is no YAML.
    ///
    /// ```rhai
    /// let config = parse_yaml("base: &base {retries: 3}\nprod:\n  <<: *base\n  country: no\n");
    /// assert_eq(config.prod, #{retries: 3, country: "no"});
    /// ```
    ///
    /// ```rhai
    /// assert_eq(parse_yaml("a: 1\n---\nb: 2", #{all: true}).len(), 2);
    /// ```
    PARSE_YAML = "parse_yaml" -> Dynamic, throws io {
        (yaml: String; Documents) => parse_yaml;
    }
}

function! {
    /// The value of a JSON file; `null` is `()`. Throws `io` with line and column when it is no JSON.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/config.json";
    /// write_file(file, `{"port": 8080}`);
    /// assert_eq(read_json(file).port, 8080);
    /// ```
    READ_JSON = "read_json" -> Dynamic {
        (path: String) => |_| from_file("read_json", &path, json);
    }
}

function! {
    /// Reads JSON of any shape; `null` is `()`. Throws `io` with the place and the start of the text when it
    /// is no JSON.
    ///
    /// ```rhai
    /// assert_eq(parse_json(`{"a": [1, null]}`).a, [1, ()]);
    /// ```
    PARSE_JSON = "parse_json" -> Dynamic {
        (json: String) => |_| from_text("parse_json", &json, self::json);
    }
}

function! {
    /// The value of a TOML file: a map. Dates and times are texts. Throws `io` with line and column when it is no
    /// TOML.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/Cargo.toml";
    /// write_file(file, "[package]\nname = \"shop\"\n");
    /// assert_eq(read_toml(file).package.name, "shop");
    /// ```
    READ_TOML = "read_toml" -> Dynamic {
        (path: String) => |_| from_file("read_toml", &path, toml);
    }
}

function! {
    /// Reads TOML, as `read_toml` does. Throws `io` with the place when it is no TOML.
    ///
    /// ```rhai
    /// assert_eq(parse_toml("port = 8080").port, 8080);
    /// ```
    PARSE_TOML = "parse_toml" -> Dynamic {
        (toml: String) => |_| from_text("parse_toml", &toml, self::toml);
    }
}

/// How values are read from a text.
type Format = fn(&str) -> Result<Dynamic, Wrong>;

/// What is wrong with a text, and where: lines and columns count from 1, 0 is an unknown place.
#[derive(Debug)]
struct Wrong {
    reason: String,
    line: usize,
    column: usize,
    hint: Option<&'static str>,
}

impl Documents {
    fn format(&self) -> Format {
        if self.all { all_yaml } else { yaml }
    }
}

fn read_yaml(_: &NativeCallContext, path: String, opts: Documents) -> Fallible<Dynamic> {
    from_file("read_yaml", &path, opts.format())
}

fn parse_yaml(_: &NativeCallContext, yaml: String, opts: Documents) -> Fallible<Dynamic> {
    from_text("parse_yaml", &yaml, opts.format())
}

fn from_file(function: &str, path: &str, read: Format) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let text = files::read(function, path)?;
    read(&text).map_err(|wrong| {
        let place = match wrong.line {
            0 => path.to_owned(),
            line => format!("{path}:{line}:{}", wrong.column),
        };
        let error = ScriptError::io(format!("{function}: {place}: {}", wrong.reason));
        let error = error.fact("path", path.to_owned());
        shown(error, &text, &wrong).into()
    })
}

fn from_text(function: &str, text: &str, read: Format) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let text = text.strip_prefix(utf8::MARK).unwrap_or(text);
    read(text).map_err(|wrong| {
        let place = match wrong.line {
            0 => String::new(),
            line => format!(" at line {line} column {}", wrong.column),
        };
        let error = ScriptError::io(format!("{function}: {}{place}", wrong.reason));
        shown(error, text, &wrong).into()
    })
}

/// The place as facts, and what stands there.
fn shown(error: ScriptError, text: &str, wrong: &Wrong) -> ScriptError {
    const MOST: usize = 200;
    let cut = |text: &str| {
        let start: String = text.chars().take(MOST).collect();
        let more = if start.len() < text.len() { "…" } else { "" };
        start + more
    };
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let error = match wrong.line {
        0 => error,
        line => error.fact("line", number(line)).fact("column", number(wrong.column)),
    };
    let error = match wrong.hint {
        Some(hint) => error.hint(hint),
        None => error,
    };
    match text.lines().nth(wrong.line.saturating_sub(1)) {
        _ if text.trim().is_empty() => error.note("the text is empty"),
        Some(line) if wrong.line > 1 => error.note(format!("line {}: {}", wrong.line, cut(line))),
        _ => error.note(format!("it begins: {}", cut(text))),
    }
}

fn json(text: &str) -> Result<Dynamic, Wrong> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.trim_end_matches(&format!(" at line {line} column {column}"));
        Wrong { reason: format!("this is not JSON: {reason}"), line, column, hint: None }
    })
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        // A key `~` or `null`: keys are texts.
        null_as_string: true,
        with_snippet: false,
    }
}

fn yaml(text: &str) -> Result<Dynamic, Wrong> {
    serde_saphyr::from_str_with_options(text, yaml_options()).map_err(|error| no_yaml(&error))
}

fn all_yaml(text: &str) -> Result<Dynamic, Wrong> {
    let documents: Array =
        serde_saphyr::from_multiple_with_options(text, yaml_options()).map_err(|error| no_yaml(&error))?;
    Ok(documents.into())
}

fn no_yaml(error: &serde_saphyr::Error) -> Wrong {
    let place = error.location();
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let several = matches!(error.without_snippet(), serde_saphyr::Error::MultipleDocuments { .. });
    Wrong {
        reason: if several {
            "one document is expected, and a second one begins".to_owned()
        } else {
            format!("this is not YAML: {}", serde_saphyr::UserMessageFormatter.format_message(error))
        },
        line: place.map_or(0, |place| number(place.line())),
        column: place.map_or(0, |place| number(place.column())),
        hint: several.then_some("#{all: true} as the last argument   (gives an array of all documents)"),
    }
}

fn toml(text: &str) -> Result<Dynamic, Wrong> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line_start = before.map_or(0, |before| before.rfind('\n').map_or(0, |end| end + 1));
        Wrong {
            reason: format!("this is not TOML: {}", error.message()),
            line: before.map_or(0, |before| before.matches('\n').count() + 1),
            column: before.map_or(0, |before| before[line_start..].chars().count() + 1),
            hint: None,
        }
    })?;
    Ok(of_toml(toml::Value::Table(table)))
}

/// Not by way of serde, for which a date is a map with a secret key.
fn of_toml(value: toml::Value) -> Dynamic {
    use toml::Value;
    match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Boolean(boolean) => boolean.into(),
        Value::Datetime(time) => ImmutableString::from(time.to_string()).into(),
        Value::Array(items) => items.into_iter().map(of_toml).collect::<Array>().into(),
        Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key.into(), of_toml(value))).collect::<Map>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(result: Result<Dynamic, Wrong>) -> (usize, usize) {
        let wrong = result.expect_err("wrong");
        (wrong.line, wrong.column)
    }

    #[test]
    fn a_mistake_has_line_and_column() {
        assert_eq!(place(json("{\n  \"a\": ]")), (2, 8));
        assert_eq!(place(yaml("a: 1\nb: [2")), (2, 4));
        assert_eq!(place(yaml("a: 1\na: 2")), (2, 1));
        assert_eq!(place(toml("a = 1\nä = \"é\" x")), (2, 9));
        assert_eq!(place(toml("a = 1\nb = 'é' x")), (2, 9));
    }

    #[test]
    fn nested_too_deep_is_an_error() {
        let deep = "[".repeat(100_000);
        assert!(json(&deep).is_err() && yaml(&deep).is_err() && toml(&format!("a = {deep}")).is_err());
    }

    #[test]
    fn no_text_makes_it_panic() {
        let seeds =
            ["a: &x {b: [1, 'c']}\n<<: *x\n--- |\n d\n", "[a.b]\nc = [1, \"d\"]\n", "{\"a\": [1.5e3]}"];
        crate::fuzz::for_a_while("data", |random| {
            let mut bytes = random.pick(&seeds).as_bytes().to_vec();
            random.mutate(&mut bytes);
            let text = String::from_utf8_lossy(&bytes);
            let _ = (json(&text), yaml(&text), all_yaml(&text), toml(&text));
        });
    }
}
