//! Calls of functions: whether there is one of this name that takes so many arguments.

use super::kept::kept_closure;
use super::shell::{without_effect, words_apart};
use super::tree::{literal_text, root};
use super::walk::Walk;
use crate::api::{self, Options};
use crate::host::explain::signature::CallAdvice;
use crate::host::explain::{habits, hints, method, signature};
use crate::host::source::functions;
use crate::words::nearest;
use rhai::{Expr, FnCallExpr, Position};
use std::collections::BTreeSet;

/// Functions that run a closure whose errors they catch.
const CATCHING: &[&str] = &["attempt", "assert_throws"];

impl Walk<'_> {
    /// `receiver`: none for `f(x)`; for `a.f(x)` the variable that `a` starts with, where it is one.
    pub(super) fn call(&mut self, call: &FnCallExpr, position: Position, receiver: Option<Option<&str>>) {
        // What a closure is handed to may catch its errors: functions that do, and any that a script defines.
        let catching = CATCHING.contains(&call.name.as_str())
            || call.name == "call"
            || !call.namespace.path.is_empty()
            || self.file.functions.contains_key(call.name.as_str())
            || (call.op_token.is_none() && call.name != "curry" && !self.names.has(&call.name));
        self.guarded += usize::from(catching);
        call.args.iter().for_each(|arg| self.expr(arg));
        self.guarded -= usize::from(catching);
        if let Some(path) = call.namespace.path.first() {
            if call.namespace.path.len() == 1 {
                self.qualified(&path.name, call, position);
            }
            return;
        }
        let name = call.name.as_str();
        if call.op_token.is_some() && name == "+" {
            call.args.iter().for_each(|arg| self.is_value(arg));
        }
        if name == "eval" && self.guarded == 0 {
            self.code(call);
        }
        if call.op_token.is_some() || !rhai::is_valid_identifier(name) || signature::is_keyword(name) {
            return;
        }
        let own = self.file.functions.contains_key(name);
        let is_known = match receiver {
            None => self.function(name, call, position),
            Some(_) => self.method(name, call, position),
        };
        if is_known && !own && self.guarded == 0 {
            self.arguments(name, call, usize::from(receiver.is_some()));
        }
        let stored = match receiver {
            None if matches!(name, "on_exit" | "before_each" | "after_each") => Some(None),
            None if matches!(name, "push" | "insert" | "append") => {
                call.args.first().and_then(root).map(Some)
            }
            Some(Some(root)) if matches!(name, "push" | "insert" | "append") => Some(Some(root)),
            _ => None,
        };
        match stored {
            Some(Some(root)) => call.args.iter().for_each(|arg| self.storing(root, arg)),
            Some(None) => {
                for arg in &call.args {
                    if let Some((position, name)) = self.kept(arg) {
                        self.report(position, kept_closure(&name));
                    }
                }
            }
            None => {}
        }
    }

    /// Code that is written out as a string: a comment in it must have an end, as in the script itself. Rhai would take
    /// what follows for a part of the comment, and do nothing.
    fn code(&mut self, call: &FnCallExpr) {
        let [arg] = &*call.args else { return };
        if literal_text(arg).is_some_and(hints::has_open_comment) {
            let (message, hint) = hints::OPEN_COMMENT;
            let advice = CallAdvice {
                message: format!("eval: {message}"),
                notes: Vec::new(),
                hint: Some(hint.to_owned()),
            };
            self.report(arg.position(), advice);
        }
    }

    /// What is used where a value is needed must have one.
    pub(super) fn is_value(&mut self, expr: &Expr) {
        let Some(function) = self.nothing(expr).filter(|_| self.guarded == 0) else { return };
        let message = match expr {
            Expr::Variable(variable, _, _) => {
                format!("`{}` has no value: `{function}` returns none", variable.1)
            }
            _ => format!("`{function}` returns no value"),
        };
        let hint = match function {
            "mkdir" | "write_file" | "append_file" => {
                Some(format!("`let path = …; {function}(path…);`, and `path` in its place"))
            }
            "cd" => Some("`cwd()` in its place".to_owned()),
            _ => None,
        };
        let position = expr.position();
        self.report(position, CallAdvice { message, notes: Vec::new(), hint });
    }

    /// The function of ours that a value comes from, which never returns one.
    pub(super) fn nothing<'b>(&'b self, expr: &'b Expr) -> Option<&'b str> {
        let (call, is_method) = match expr {
            Expr::Variable(variable, _, _) => {
                return self.scope[self.index_of(&variable.1)?].nothing.as_deref();
            }
            Expr::FnCall(call, _) if call.namespace.path.is_empty() => (call, false),
            Expr::Dot(sides, _, _) => match &sides.rhs {
                Expr::MethodCall(call, _) => (call, true),
                _ => return None,
            },
            _ => return None,
        };
        let name = call.name.as_str();
        let of_script = self.project.files.values().any(|file| file.functions.contains_key(name));
        let own = of_script || self.project.dynamic || (is_method && self.project.words.contains(name));
        (!own && self.names.returns_nothing(name)).then_some(name)
    }

    /// A call without a receiver. Whether the name is one of ours.
    pub(super) fn function(&mut self, name: &str, call: &FnCallExpr, position: Position) -> bool {
        if self.project.dynamic || call.capture_parent_scope {
            return self.names.has(name);
        }
        let mut arities = BTreeSet::new();
        // A module may call what the script that imports it defines.
        for file in [Some(self.file), self.project.files.get(&self.project.main)].into_iter().flatten() {
            arities.extend(file.functions.get(name).into_iter().flatten().map(|(params, _)| *params));
        }
        let is_ours = self.names.has(name);
        if arities.is_empty() && !is_ours {
            self.unknown_function(name, call, position);
            return false;
        }
        let own = self.file.functions.contains_key(name);
        if self.guarded == 0
            && !own
            && let Some(advice) = words_apart(name, &call.args).or_else(|| without_effect(name, &call.args))
        {
            self.report(position, advice);
        } else if self.guarded == 0
            && !arities.contains(&call.args.len())
            && !self.names.takes(name, call.args.len())
        {
            self.wrong_number(name, call.args.len(), 0, position);
        }
        is_ours
    }

    fn unknown_function(&mut self, name: &str, call: &FnCallExpr, position: Position) {
        if self.index_of(name).is_some() {
            let dots = if call.args.is_empty() { "" } else { "…" };
            self.report(
                position,
                CallAdvice {
                    message: format!("`{name}` is a variable, not a function"),
                    notes: Vec::new(),
                    hint: Some(format!("`{name}.call({dots})`   (calls the closure in it)")),
                },
            );
            return;
        }
        for (alias, target) in &self.file.imports {
            let module = target.as_ref().and_then(|target| self.project.files.get(target));
            if module.is_some_and(|module| module.functions.contains_key(name)) {
                let hint = Some(format!("`{alias}::{name}(…)`"));
                let message = format!("`{name}` is a function of the module `{alias}`");
                self.report(position, CallAdvice { message, notes: Vec::new(), hint });
                return;
            }
        }
        if let Some(advice) = option_called(name, "function") {
            self.report(position, advice);
            return;
        }
        let own = self.file.functions.keys().map(String::as_str);
        let near = signature::known().suggest(name, own);
        let mut advice = signature::unknown(signature::known(), name, false, near);
        if let Some(own) = near.and_then(|near| self.form_of_own(near)) {
            advice.hint = Some(format!("`{own}`"));
        }
        if advice.hint.is_none() {
            advice.hint = habits::foreign_call(name);
        }
        self.report(position, advice);
    }

    fn form_of_own(&self, name: &str) -> Option<String> {
        self.file.defined.named(name).first().map(functions::form)
    }

    fn wrong_number(&mut self, name: &str, given: usize, receiver: usize, position: Position) {
        let mut forms: Vec<String> = signature::known().forms(name);
        if receiver == 0 {
            forms.extend(self.file.defined.named(name).iter().map(functions::form));
        }
        let given = match given {
            0 => "no argument".to_owned(),
            1 => "1 argument".to_owned(),
            n => format!("{n} arguments"),
        };
        let receiver = if receiver == 1 { " after the dot" } else { "" };
        self.report(
            position,
            CallAdvice {
                message: format!("no form of `{name}` takes {given}{receiver}"),
                notes: signature::form_notes(&forms),
                hint: None,
            },
        );
    }

    /// `x.f(…)`: what `x` is nobody knows. Whether the name is one of ours.
    fn method(&mut self, name: &str, call: &FnCallExpr, position: Position) -> bool {
        if self.project.dynamic || self.project.defined.contains(name) || self.project.words.contains(name) {
            return false;
        }
        if !self.names.has(name) && self.names.has(&format!("get${name}")) {
            self.report(position, signature::is_property(name, None));
            return false;
        }
        if !self.names.has(name) {
            self.report(position, self.unknown_method(name, position));
            return false;
        }
        if self.guarded == 0 && !self.names.takes(name, call.args.len() + 1) {
            self.wrong_number(name, call.args.len(), 1, position);
        }
        true
    }

    /// A method that nothing has. What a module has returned has no others than the module gives it.
    fn unknown_method(&self, name: &str, position: Position) -> CallAdvice {
        let message = format!("there is no method `{name}`");
        let shown = |(name, params): (&String, &Vec<String>)| method::form(name, params);
        let module = self.receivers.get(&position);
        if let Some(module) = module
            && let Some(methods) = self.project.methods.get(module).filter(|methods| !methods.is_empty())
        {
            let near = nearest(name, methods.keys().map(String::as_str));
            let list: Vec<String> = methods.iter().map(shown).collect();
            let hint =
                near.and_then(|near| methods.get_key_value(near)).map(|it| format!("`.{}`", shown(it)));
            let notes = match hint {
                Some(_) => Vec::new(),
                None => vec![format!("the maps of `{module}` have: {}", list.join(", "))],
            };
            return CallAdvice { message, notes, hint };
        }
        if let Some(advice) = option_called(name, "method") {
            return advice;
        }
        let own = || self.project.methods.values().flatten();
        let known = signature::known();
        let near = known.suggest(name, own().map(|(name, _)| name.as_str()));
        match own().find(|(name, _)| near == Some(name.as_str()) && !known.has(name)) {
            Some(it) => CallAdvice { message, notes: Vec::new(), hint: Some(format!("`.{}`", shown(it))) },
            None => signature::unknown(known, name, true, near),
        }
    }
}

/// `expect_stop(job)`: what is said of a job when it is started. One word alone may be anything's.
fn option_called(name: &str, kind: &str) -> Option<CallAdvice> {
    let options = || api::named("spawn").filter_map(|function| function.options()).flat_map(Options::all);
    let is_one = name.contains('_') && options().any(|option| option.name == name);
    is_one.then(|| CallAdvice {
        message: format!("there is no {kind} `{name}`: it is an option of `spawn` and `start`"),
        notes: Vec::new(),
        hint: Some(format!("spawn(…, #{{{name}: …}})")),
    })
}
