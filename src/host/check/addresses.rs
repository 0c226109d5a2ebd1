//! The addresses of services that a list of them names, where all are written out.

use super::arguments::MapExpr;
use super::tree::literal_text;
use super::walk::Walk;
use crate::host::explain::signature::CallAdvice;
use crate::host::value::address::{self, Place};
use crate::host::value::error::Fallible;
use crate::host::value::written::{Shape, Text, Written, each_text};
use rhai::{Expr, ImmutableString};

impl Walk<'_> {
    /// The addresses of services that a list of them names, where all are written out.
    pub(super) fn addresses(&mut self, services: &[Expr]) {
        let Some(places) = services.iter().map(place).collect::<Option<Vec<Place>>>() else { return };
        for (mut service, place) in services.iter().zip(&places) {
            let Expr::Map(map, _) = service else { continue };
            let Some(needs) = written_needs(map) else { continue };
            // Of a job that is not in the list nobody knows here what ports it has.
            let outside = |name: &String| Place { name: name.clone(), ..Place::default() };
            let listed = |name: &String| places.iter().find(|one| one.name == *name).cloned();
            let mut needs: Vec<Place> =
                needs.iter().map(|name| listed(name).unwrap_or_else(|| outside(name))).collect();
            let mut own = address::own_names(place.ports.as_deref().unwrap_or_default());
            if place.copies.is_some() {
                own.push(address::INDEX.to_owned());
                needs.push(place.clone());
            }
            let env = value_of(map, "env");
            // What is computed may have any name.
            let sets = |name: &str| match env {
                Some(Expr::Map(env, _)) => env.0.iter().any(|(key, _)| key.name == name),
                env => env.is_some(),
            };
            let scope = address::Scope { service: &place.name, needs: &needs, services: &places, own: &own };
            let mut found = Vec::new();
            let walked = each_text(&mut service, &mut |Text { what, text, is_shell, at }| {
                let is_set = |name: &str| {
                    is_shell
                        && (sets(name)
                            || self.project.loads_env
                            || address::is_set_in(name, text)
                            || self.is_of_the_shell(name, text))
                };
                let what = format!("start: service `{}`: {what}", place.name);
                found.extend(scope.judge(&what, text, is_shell, &is_set).map(|error| (at, error)));
                Ok(())
            });
            debug_assert!(walked.is_ok(), "what is wrong is only noted");
            for (at, error) in found {
                let advice = CallAdvice { message: error.message, notes: error.notes, hint: error.hint };
                self.report(at, advice);
            }
        }
    }
}

impl Written for &Expr {
    fn open(&mut self, see: &mut dyn FnMut(Shape<'_, Self>) -> Fallible<()>) -> Fallible<()> {
        match self {
            Expr::StringConstant(text, at) => {
                see(Shape::Text(&mut ImmutableString::from(text.as_str()), *at))
            }
            Expr::Map(map, _) => {
                let mut values: Vec<(&str, &Expr)> =
                    map.0.iter().map(|(key, value)| (key.name.as_str(), value)).collect();
                see(Shape::Map(values.iter_mut().map(|(key, value)| (*key, value)).collect()))
            }
            Expr::Array(items, _) => {
                let mut items: Vec<&Expr> = items.iter().collect();
                see(Shape::List(items.iter_mut().collect()))
            }
            _ => see(Shape::Other),
        }
    }
}

fn value_of<'a>(map: &'a MapExpr, key: &str) -> Option<&'a Expr> {
    map.0.iter().find(|(own, _)| own.name == key).map(|(_, value)| value)
}

/// A service of which it is written out what addresses it has.
fn place(service: &Expr) -> Option<Place> {
    let Expr::Map(map, _) = service else { return None };
    let name = literal_text(value_of(map, "name")?)?.to_owned();
    let copies = match value_of(map, "count") {
        None | Some(Expr::Unit(_)) => None,
        // One that is no number of copies is told otherwise.
        Some(Expr::IntegerConstant(copies, _)) => {
            Some(usize::try_from(*copies).ok()?.clamp(1, address::MOST_COPIES))
        }
        Some(_) => return None,
    };
    let ports = match value_of(map, "ports") {
        None | Some(Expr::Unit(_)) => Vec::new(),
        Some(Expr::Map(ports, _)) => ports.0.iter().map(|(key, _)| key.name.to_string()).collect(),
        Some(_) => return None,
    };
    Some(Place { name, ports: Some(ports), copies })
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
