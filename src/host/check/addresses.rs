//! The addresses of services that a list of them names, where all are written out.

use super::arguments::MapExpr;
use super::tree::literal_text;
use super::walk::Walk;
use crate::host::explain::signature::CallAdvice;
use crate::host::value::address;
use rhai::{Expr, Position};

impl Walk<'_> {
    /// The addresses of services that a list of them names, where all are written out.
    pub(super) fn addresses(&mut self, services: &[Expr]) {
        let names: Option<Vec<String>> =
            services.iter().map(|one| Some(text_of(one, "name")?.to_owned())).collect();
        let Some(names) = names else { return };
        for service in services {
            let Expr::Map(map, _) = service else { continue };
            let Some(needs) = written_needs(map) else { continue };
            let Some(own) = text_of(service, "name") else { continue };
            let mut own_env = Vec::new();
            if let Some(Expr::Map(env, _)) = value_of(map, "env") {
                own_env.extend(env.0.iter().map(|(key, _)| key.name.as_str()));
            }
            let scope = address::Scope { service: own, needs: &needs, services: &names };
            let mut found = Vec::new();
            for (key, value) in map.0.iter().filter(|(key, _)| !matches!(key.name.as_str(), "name" | "needs"))
            {
                let key = key.name.as_str();
                let what = if key == "cmd" { "`cmd`".to_owned() } else { format!("option `{key}`") };
                written_texts(
                    value,
                    &what,
                    matches!(key, "cmd" | "stop_cmd"),
                    &mut |what, text, at, is_shell| {
                        let is_set = |name: &str| {
                            is_shell
                                && (own_env.contains(&name)
                                    || self.project.loads_env
                                    || address::is_set_in(name, text)
                                    || self.is_of_the_shell(name, text))
                        };
                        let what = format!("start: service `{own}`: {what}");
                        found.extend(scope.judge(&what, text, is_shell, &is_set).map(|error| (at, error)));
                    },
                );
            }
            for (at, error) in found {
                let advice = CallAdvice { message: error.message, notes: error.notes, hint: error.hint };
                self.report(at, advice);
            }
        }
    }
}

fn value_of<'a>(map: &'a MapExpr, key: &str) -> Option<&'a Expr> {
    map.0.iter().find(|(own, _)| own.name == key).map(|(_, value)| value)
}

/// The text at a key of a map that is written out.
fn text_of<'a>(map: &'a Expr, key: &str) -> Option<&'a str> {
    let Expr::Map(map, _) = map else { return None };
    literal_text(value_of(map, key)?)
}

/// What a service needs, if all of it is written out.
fn written_needs(map: &MapExpr) -> Option<Vec<String>> {
    match value_of(map, "needs") {
        None => Some(Vec::new()),
        Some(Expr::StringConstant(need, _)) => Some(vec![need.to_string()]),
        Some(Expr::Array(needs, _)) => {
            needs.iter().map(|need| literal_text(need).map(str::to_owned)).collect()
        }
        Some(_) => None,
    }
}

/// The texts of a value of a service, each with who reads it.
fn written_texts(
    value: &Expr,
    what: &str,
    is_command: bool,
    each: &mut dyn FnMut(&str, &str, Position, bool),
) {
    match value {
        Expr::StringConstant(text, position) => each(what, text, *position, is_command),
        Expr::Map(map, _) => {
            for (key, value) in &map.0 {
                let is_command = key.name == "cmd" && what.ends_with("`ready`");
                written_texts(value, &format!("{what}: `{}`", key.name), is_command, each);
            }
        }
        Expr::Array(items, _) => {
            let words: Vec<_> = items.iter().map(literal_text).collect();
            let shell = is_command.then(|| address::shell_word(&words)).flatten();
            for (at, item) in items.iter().enumerate() {
                written_texts(item, what, shell == Some(at), each);
            }
        }
        _ => {}
    }
}
