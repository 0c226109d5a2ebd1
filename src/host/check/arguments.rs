//! The arguments and options of a call, where they are written out.

use super::tree::literal_text;
use super::walk::Walk;
use crate::api::{self, Form, Options, Type};
use crate::host::explain::signature::CallAdvice;
use crate::host::explain::{failure, signature};
use crate::host::value::{self, kinds, parameter};
use rhai::{EvalAltResult, Expr, FnCallExpr};
use std::collections::BTreeMap;

impl Walk<'_> {
    /// Arguments that are written out. `receiver`: how many arguments stand before the dot.
    pub(super) fn arguments(&mut self, name: &str, call: &FnCallExpr, receiver: usize) {
        for (index, arg) in call.args.iter().enumerate() {
            if self.nothing(arg).is_some() && needs_value(name, call.args.len() + receiver, index + receiver)
            {
                self.is_value(arg);
            }
        }
        if name == "param"
            && receiver == 0
            && let [_, _, map @ Expr::Map(..)] = &*call.args
        {
            let message =
                "param: the options take the place of the default, they do not follow it".to_owned();
            let hint = Some("`param(name, #{default: …, …})`".to_owned());
            self.report(map.position(), CallAdvice { message, notes: Vec::new(), hint });
            return;
        }
        if name == "param" && receiver == 0 {
            self.kind_of_param(call);
        }
        if name == "start"
            && let [Expr::Array(services, _)] = &*call.args
        {
            self.addresses(services);
        }
        self.described(name, call, receiver);
    }

    /// The arguments of a described function, as far as they are written out: the form that is meant, then its options.
    fn described(&mut self, name: &str, call: &FnCallExpr, receiver: usize) {
        let length = call.args.len() + receiver;
        let fits =
            |index: usize, kind: Type| match index.checked_sub(receiver).and_then(|at| call.args.get(at)) {
                Some(arg) => may_be(kind, arg, name),
                None => true,
            };
        let forms = || api::named(name).flat_map(|function| function.forms);
        let Some((form, fitting)) = Form::best(forms(), length, fits) else { return };
        // A method of ours may have the name of one that Rhai has for other types: `headers.contains(…)`.
        let is_method = matches!(
            form.params.first().map(|param| param.kind),
            Some(Type::Object(_) | Type::Text | Type::Array)
        );
        if is_method && self.names.has_of_rhai(name, length) {
            return;
        }
        if let Some(param) = form.params.get(fitting) {
            if let Some(arg) = fitting.checked_sub(receiver).and_then(|at| call.args.get(at)) {
                self.value(param.kind, arg, name);
            }
            return;
        }
        for (param, at) in form.params.iter().zip(0..) {
            if let Some(arg) = usize::checked_sub(at, receiver).and_then(|at| call.args.get(at)) {
                self.value(param.kind, arg, name);
            }
        }
        let Some(options) = form.options.filter(|_| length > form.params.len()) else { return };
        match call.args.last() {
            Some(Expr::Map(map, _)) => self.keys(options, map, name),
            // Words that are given one by one are told otherwise.
            Some(last) if !value::TAKES_COMMAND.contains(&name) => {
                self.literal(last, |value| value::Opts::described(name, value, options).map(drop));
            }
            _ => {}
        }
    }

    /// The keys of an option map, and what each is.
    pub(super) fn keys(&mut self, options: &'static Options, map: &MapExpr, what: &str) {
        for (key, value) in &map.0 {
            let name = key.name.as_str();
            match options.get(name) {
                Some(opt) => self.value(opt.kind, value, &format!("{what}: option `{name}`")),
                None => {
                    let error = match what.ends_with("option `ready`") {
                        true => value::unknown_key(what, name, options),
                        false => value::unknown_described(what, name, options),
                    };
                    let advice = CallAdvice { message: error.message, notes: error.notes, hint: error.hint };
                    self.report(key.pos, advice);
                }
            }
        }
    }

    /// A value that is written out, or the parts of it that are. What is computed is left alone.
    pub(super) fn value(&mut self, kind: Type, value: &Expr, what: &str) {
        match (value, kind.options(), kind.values(), kind.items()) {
            (Expr::Unit(_), ..) => {}
            (Expr::Map(map, _), Some(options), ..) => self.keys(options, map, what),
            (Expr::Map(map, _), None, Some(of), _) => {
                for (key, value) in &map.0 {
                    self.value(*of, value, &format!("{what}: `{}`", key.name));
                }
            }
            (Expr::Array(items, _), _, _, Some(of)) => {
                items.iter().for_each(|item| self.value(*of, item, what))
            }
            _ => self.literal(value, |value| kinds::literal(kind, value, what)),
        }
    }

    /// The kind of a parameter, of which more can be said than that it is none.
    fn kind_of_param(&mut self, call: &FnCallExpr) {
        let Some(Expr::Map(map, _)) = call.args.get(1) else { return };
        if let Some((_, value)) = map.0.iter().find(|(key, _)| key.name == "kind")
            && let Some(text) = literal_text(value)
        {
            self.literal(value, |_| parameter::kind(text).map(drop));
        }
    }

    /// What the function itself would say about a value, said before it is called.
    fn literal(&mut self, value: &Expr, read: impl Fn(&rhai::Dynamic) -> Result<(), Box<EvalAltResult>>) {
        let Some(constant) = value.get_literal_value(None) else { return };
        if let Err(error) = read(&constant) {
            let failure = failure::describe(&error, &self.file.name);
            let advice = CallAdvice { message: failure.message, notes: failure.notes, hint: failure.hint };
            self.report(value.position(), advice);
        }
    }
}

/// The part of a map that is written out which has its keys and values.
pub(super) type MapExpr = (rhai::StaticVec<(rhai::Ident, Expr)>, BTreeMap<rhai::Identifier, rhai::Dynamic>);

/// Whether a value can be of a kind, as far as it is written out.
fn may_be(kind: Type, value: &Expr, what: &str) -> bool {
    match value {
        Expr::Map(..) if kind.options().is_some() || kind.values().is_some() => true,
        Expr::Array(..) if kind.items().is_some() => true,
        Expr::Map(..) => kinds::literal(kind, &rhai::Dynamic::from_map(rhai::Map::new()), what).is_ok(),
        Expr::Array(..) if matches!(kind, Type::Command | Type::Status) => true,
        Expr::Array(..) => kinds::literal(kind, &rhai::Dynamic::from_array(Vec::new()), what).is_ok(),
        _ => match value.get_literal_value(None) {
            Some(constant) => kinds::literal(kind, &constant, what).is_ok(),
            None => true,
        },
    }
}

/// Whether no form of a function that takes so many arguments takes `()` as this one.
fn needs_value(name: &str, count: usize, index: usize) -> bool {
    let mut forms = signature::known().get(name).iter().filter(|form| form.params.len() == count).peekable();
    forms.peek().is_some() && forms.all(|form| !matches!(form.params[index].kind.as_str(), "any" | "()"))
}
