//! Where a service stands that a module has read from a file: what is wrong with its values is told there, as mistakes of
//! a script are told in the script.
//!
//! Only what a value of the file is to blame for has a place in it. A service that dies or is late has none.

use super::files;
use crate::host::value::error::{self, Kind, Origin};
use crate::host::value::spot::{self, Spot};
use rhai::{Array, Dynamic, EvalAltResult, Map};

/// What the modules that read files of services say of each.
#[derive(Clone)]
pub struct Listed {
    path: String,
    /// What the file calls it, such as `process`.
    kind: String,
    at: At,
}

#[derive(Clone)]
enum At {
    Line(usize),
    /// The keys that lead to it.
    Keys(Vec<String>),
}

/// What the files call the options of `start`, where that is another name.
const KEYS: &[(&str, &[&str])] = &[
    ("cmd", &["command", "entrypoint"]),
    ("cwd", &["working_dir"]),
    ("env", &["environment"]),
    ("grace", &["stop_grace_period", "shutdown"]),
    ("log", &["log_location"]),
    ("port", &["ports"]),
    ("ports", &["port"]),
    ("ready", &["healthcheck", "readiness_probe", "liveness_probe", "ready_log_line"]),
    ("restart", &["availability"]),
    ("stop_cmd", &["shutdown"]),
    ("stop_signal", &["shutdown"]),
];

impl Listed {
    pub fn read(value: &Dynamic) -> Option<Self> {
        let map = value.read_lock::<Map>()?;
        let text = |key: &str| map.get(key).map(ToString::to_string);
        let at = match map.get("at")? {
            line if line.is_int() => At::Line(usize::try_from(line.as_int().ok()?).ok()?),
            keys => At::Keys(keys.read_lock::<Array>()?.iter().map(ToString::to_string).collect()),
        };
        Some(Self { path: text("path")?, kind: text("kind")?, at })
    }

    /// Gives an error about the service `name` its place in the file.
    pub fn place(&self, name: &str, error: &mut EvalAltResult) {
        error::change(error, |error| {
            let blames_a_value =
                matches!(error.kind, Kind::Usage | Kind::Io | Kind::CommandFailed | Kind::PortTaken);
            if error.origin.is_some() || !blames_a_value {
                return;
            }
            let Ok(text) = files::read("start", &self.path) else { return };
            let spot = self.spot(&text, &error.message, error.option.as_deref());
            let said = error.message.strip_prefix("start: ").unwrap_or(&error.message);
            let said = said.strip_prefix(&format!("service `{name}`: ")).unwrap_or(said);
            error.message = format!("{} `{name}`: {said}", self.kind);
            error.facts.insert("path".into(), self.path.clone().into());
            error.facts.insert("line".into(), i64::try_from(spot.line).unwrap_or(i64::MAX).into());
            error.facts.insert("column".into(), i64::try_from(spot.column).unwrap_or(i64::MAX).into());
            let place = Some(spot.of(self.path.clone(), &text));
            error.origin = Some(Box::new(Origin { place, trail: Vec::new() }));
        });
    }

    fn spot(&self, text: &str, message: &str, option: Option<&str>) -> Spot {
        let value = match &self.at {
            At::Line(line) => spot::of_word(text, *line, None),
            At::Keys(keys) => {
                let other = KEYS.iter().find(|(name, _)| Some(*name) == option);
                let names = option.into_iter().chain(other.into_iter().flat_map(|(_, all)| *all).copied());
                let inside = |name: &str| keys.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
                // `option `ready`: option `status`: …`
                let deeper = message.split("option `").nth(2).and_then(|rest| rest.split('`').next());
                let found = names.into_iter().find_map(|name| {
                    let value = spot::of_value(text, &inside(name))?;
                    let path = |deeper: &str| [inside(name), vec![deeper.to_owned()]].concat();
                    Some(deeper.and_then(|deeper| spot::of_value(text, &path(deeper))).unwrap_or(value))
                });
                found.unwrap_or_else(|| spot::of_key(text, keys, false))
            }
        };
        // The name that is wrong, in the value that has it.
        let word = message.find("`$").map(|at| &message[at + 1..]).and_then(|rest| rest.split('`').next());
        let variable = word.and_then(|word| spot::of_variable(text, value.line, &word[1..]));
        // The key that is unknown, in the map that has it.
        let key = || message.split_once("unknown option `")?.1.split('`').next();
        variable.or_else(|| spot::of_key_from(text, value.line, key()?)).unwrap_or(value)
    }
}
