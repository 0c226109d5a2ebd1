//! Calls of functions of modules, `redis::start(…)`: whether there is such a function, and its arguments and options as
//! far as they are written out. Of modules of the standard library the parameters are judged, too.

use super::declared;
use super::walk::Walk;
use crate::api::{Opt, modules, usage};
use crate::host::explain::signature::{self, CallAdvice};
use crate::host::source::{functions, import, text};
use crate::host::value::error::ScriptError;
use crate::host::value::{self, kinds};
use crate::words::nearest;
use rhai::{Array, Dynamic, Expr, FnCallExpr, Map, Position};

impl Walk<'_> {
    pub(super) fn qualified(&mut self, alias: &str, call: &FnCallExpr, position: Position) {
        let Some(Some(target)) = self.file.imports.get(alias) else { return };
        let Some(module) = self.project.files.get(target) else { return };
        if self.project.dynamic {
            return;
        }
        let name = call.name.as_str();
        let is_public = |forms: &Vec<(usize, bool)>| forms.iter().any(|(_, public)| *public);
        if !module.functions.get(name).is_some_and(is_public) {
            let public = module.functions.iter().filter(|(_, forms)| is_public(forms));
            let public: Vec<&str> = public.map(|(name, _)| name.as_str()).collect();
            let private = module.functions.contains_key(name);
            let what = if private { "is private in" } else { "is not in" };
            let message = format!("the function `{name}` {what} the module `{target}`");
            let hint = nearest(name, public.iter().copied()).map(|near| format!("`{alias}::{near}`"));
            let notes = if hint.is_none() && !public.is_empty() {
                vec![format!("it has: {}", public.join(", "))]
            } else {
                Vec::new()
            };
            self.report(position, CallAdvice { message, notes, hint });
            return;
        }
        if self.guarded > 0 {
            return;
        }
        if !module.functions[name].iter().any(|(params, _)| *params == call.args.len()) {
            let forms = module.defined.named(name).iter();
            let forms: Vec<String> =
                forms.map(|function| format!("{alias}::{}", functions::form(function))).collect();
            let message = format!("no form of `{alias}::{name}` takes {} arguments", call.args.len());
            self.report(position, CallAdvice { message, notes: signature::form_notes(&forms), hint: None });
            return;
        }
        let built_in = modules::module(target).filter(|_| import::is_built_in(target));
        // As it is called in errors of a run, whatever it is imported as.
        let function = format!("{}::{name}", built_in.map_or(alias, |module| module.short_name()));
        let known = declared::options(&module.defined, name, call.args.len()).unwrap_or_default();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if built_in.is_some() && self.wrong_argument(&function, call, &known) {
            return;
        }
        let Some(Expr::Map(given, _)) = call.args.last().filter(|_| !known.is_empty()) else { return };
        for (key, value) in &given.0 {
            let name = key.name.as_str();
            if !known.contains(&name) {
                self.report(
                    key.pos,
                    advice(match built_in {
                        Some(_) => value::unknown_option(&function, name, &known),
                        None => value::unknown_option_of_own(&function, name, &known),
                    }),
                );
            } else if let Some(opt) = described(target, &call.name, call.args.len(), name) {
                self.value(opt.kind, value, &format!("{function}: option `{name}`"));
            }
        }
    }

    /// Reports the first argument that cannot be what its parameter is.
    fn wrong_argument(&mut self, function: &str, call: &FnCallExpr, known: &[&str]) -> bool {
        let params = usage::params(function, call.args.len());
        let last = params.len().saturating_sub(1);
        for (index, ((param, kind), arg)) in params.into_iter().zip(&call.args).enumerate() {
            let Some((value, shown)) = written(arg) else { continue };
            if value.is_unit() || kinds::may_be(kind, &value) {
                continue;
            }
            let error = match index == last && !known.is_empty() {
                true => value::not_options(function, &shown, known),
                false => value::not_argument(function, param, &shown, kind),
            };
            self.report(arg.position(), advice(error));
            return true;
        }
        false
    }
}

/// What is written out, and how it is shown; of a map or an array with something computed in it, that it is one.
fn written(arg: &Expr) -> Option<(Dynamic, String)> {
    match arg.get_literal_value(None) {
        None if matches!(arg, Expr::Map(..)) => Some((Map::new().into(), "a map `#{…}`".to_owned())),
        None if matches!(arg, Expr::Array(..)) => Some((Array::new().into(), "an array `[…]`".to_owned())),
        value => value.map(|value| (value.clone(), value::show(&value))),
    }
}

fn advice(error: ScriptError) -> CallAdvice {
    CallAdvice { message: error.message, notes: error.notes, hint: error.hint }
}

/// What a module says of an option of a function with so many parameters.
fn described(module: &str, function: &str, params: usize, option: &str) -> Option<&'static Opt> {
    if import::is_built_in(module) {
        return modules::module(module)?.option(function, option);
    }
    modules::of_file(module, &text::text_of(module)).option_of_form(function, params, option)
}
