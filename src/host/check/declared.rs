//! Which options a function that is written in Rhai takes, as far as its text says so for certain: what it lays over its
//! defaults by `options(given, defaults, what)`, before it does anything else with them.
//!
//! In doubt there is no answer: options that are changed, looked at or handed on in another way are judged when the
//! function is called.

use crate::host::source::functions::{self, Functions};
use rhai::{ASTNode, Expr, FnCallExpr, Stmt};

/// How many functions hand them on to each other.
const DEEPEST: usize = 4;

/// The names of the options in the last of so many parameters.
pub fn options(all: &Functions, function: &str, params: usize) -> Option<Vec<String>> {
    taken(all, function, params, params.checked_sub(1)?, DEEPEST)
}

/// The options in the parameter of this index.
fn taken(all: &Functions, function: &str, params: usize, index: usize, depth: usize) -> Option<Vec<String>> {
    if depth == 0 {
        return None;
    }
    let function = all.with(function, params)?;
    let given = function.params[index].as_str();
    for stmt in functions::body(function) {
        let (expr, name) = match stmt {
            Stmt::Var(var, _, _) => (var.1.clone(), Some(var.0.name.to_string())),
            Stmt::FnCall(call, position) => (Expr::FnCall(call, position), None),
            Stmt::Expr(expr) => (*expr, None),
            _ => return None,
        };
        if let Some(call) = first_call(&expr)
            && let Some(found) = of_call(all, call, given, depth)
        {
            return Some(found);
        }
        // Otherwise only what leaves them as they are, and lets the function go on.
        let is_lost = name.is_none_or(|name| name == given) && !judges_arguments(all, &expr);
        if is_lost || !leaves_alone(&expr, given) {
            return None;
        }
    }
    None
}

/// A call that is made in any case: of `f(x)` and `f(x).g()` the one of `f`.
fn first_call(expr: &Expr) -> Option<&FnCallExpr> {
    match expr {
        Expr::FnCall(call, _) => Some(call),
        Expr::Dot(sides, _, _) => first_call(&sides.lhs),
        _ => None,
    }
}

/// `arguments("serve", [dir])`: it throws, or changes nothing.
fn judges_arguments(all: &Functions, expr: &Expr) -> bool {
    matches!(expr, Expr::FnCall(call, _) if call.name == "arguments" && call.namespace.is_empty())
        && all.with("arguments", 2).is_none()
}

/// The options that a call takes which gets them under this name, or in which another call does.
fn of_call(all: &Functions, call: &FnCallExpr, given: &str, depth: usize) -> Option<Vec<String>> {
    if !call.namespace.is_empty() {
        return None;
    }
    let is_own = |name: &str, params| all.with(name, params).is_some();
    let name = call.name.as_str();
    let index = call.args.iter().position(|arg| is_variable(arg, given));
    match index {
        Some(0) if name == "options" && call.args.len() == 3 && !is_own(name, 3) => keys(all, &call.args[1]),
        Some(index) if is_own(name, call.args.len()) => taken(all, name, call.args.len(), index, depth - 1),
        Some(_) => None,
        None => call.args.iter().filter_map(first_call).find_map(|inner| of_call(all, inner, given, depth)),
    }
}

/// The keys of a map that is written out, also as a sum, or as what a function of no parameters consists of.
fn keys(all: &Functions, map: &Expr) -> Option<Vec<String>> {
    match map {
        Expr::Map(map, _) => Some(map.0.iter().map(|(key, _)| key.name.to_string()).collect()),
        Expr::FnCall(call, _) if call.name == "+" && call.args.len() == 2 => {
            let (mut left, right) = (keys(all, &call.args[0])?, keys(all, &call.args[1])?);
            left.extend(right);
            Some(left)
        }
        Expr::FnCall(call, _) if call.args.is_empty() && call.namespace.is_empty() => {
            match functions::body(all.with(&call.name, 0)?).as_slice() {
                [Stmt::Expr(map)] if matches!(**map, Expr::Map(..)) => keys(all, map),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a value neither has to do with a variable nor ends the function.
fn leaves_alone(expr: &Expr, variable: &str) -> bool {
    let mut alone = true;
    expr.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        alone &= match path.last() {
            Some(ASTNode::Expr(expr)) => !is_variable(expr, variable),
            Some(ASTNode::Stmt(Stmt::Return(..))) => false,
            _ => true,
        };
        alone
    });
    alone
}

fn is_variable(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Variable(variable, _, _) if variable.1 == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{self, modules};
    use crate::builtin;
    use crate::host::engine::engine;
    use rhai::FnAccess;

    #[test]
    fn the_options_of_the_standard_library_are_known_before_a_run() {
        let engine = engine(&[]);
        let (mut known, mut unknown) = (0, Vec::new());
        for (module, text) in builtin::MODULES {
            let ast = engine.compile(text).expect("compiles");
            let public = ast.iter_functions().filter(|function| {
                function.access == FnAccess::Public && !function.name.starts_with("anon$")
            });
            for function in
                public.filter(|function| function.params.last().is_some_and(|last| *last == "opts"))
            {
                match options(&Functions::of(&ast), function.name, function.params.len()) {
                    Some(_) => known += 1,
                    None => unknown.push(format!("{module}: {}", function.name)),
                }
            }
        }
        assert!(known > 30 && unknown.is_empty(), "{known} known, but not {unknown:?}");
    }

    /// Options that are handed on from one module to another: nobody is meant to give them.
    const BETWEEN_MODULES: &[&str] = &["task_hint", "listed", "called"];

    #[test]
    fn the_comments_of_the_standard_library_describe_every_option_and_no_other() {
        let engine = engine(&[]);
        let (mut wrong, mut named) = (Vec::new(), std::collections::BTreeSet::new());
        for (name, text) in builtin::MODULES {
            let module = modules::module(name).expect("a module");
            let ast = engine.compile(text).expect("compiles");
            let mut taken: Vec<String> = Vec::new();
            for function in &module.functions {
                let params = function.call.split(", ").count();
                let found = options(&Functions::of(&ast), function.name, params).unwrap_or_default();
                let undescribed = found
                    .iter()
                    .filter(|option| !BETWEEN_MODULES.contains(&option.as_str()))
                    .filter(|option| module.option(function.name, option).is_none());
                wrong.extend(
                    undescribed.map(|option| format!("{name}: {}: {option} has no type", function.call)),
                );
                taken.extend(found);
            }
            let unknown = module.options().filter(|opt| !taken.iter().any(|known| known == opt.name));
            wrong.extend(unknown.map(|opt| format!("{name}: no function takes {}", opt.name)));
            named.extend(taken);
        }
        assert!(wrong.is_empty() && named.len() > 60, "{wrong:#?}");
        let foreign = api::names::OF_MODULES.iter().filter(|(_, ours)| !named.contains(*ours));
        assert_eq!(foreign.count(), 0, "what others call it, of options that no module has");
    }

    #[test]
    fn in_doubt_the_options_are_not_known() {
        let engine = engine(&[]);
        let of = |body: &str| {
            let ast =
                engine.compile(format!("fn f(given) {{ {body} }} fn g() {{ #{{a: 1}} }}")).expect("compiles");
            options(&Functions::of(&ast), "f", 1).map(|keys| keys.join(" "))
        };
        let some = |keys: &str| Some(keys.to_owned());
        assert_eq!(of("options(given, #{a: 1, b: 2}, \"f\")"), some("a b"));
        assert_eq!(of("let x = 1; let given = options(given, g() + #{b: 2}, \"f\"); given.a"), some("a b"));
        assert_eq!(of("print(options(given, #{a: 1}, \"f\"));"), some("a"));
        assert_eq!(of("arguments(\"f\", [1]); options(given, #{a: 1}, \"f\")"), some("a"));
        for body in [
            "",
            "let x = given.c; options(given, #{a: 1}, \"f\")",
            "let given = #{a: 1}; options(given, #{a: 1}, \"f\")",
            "if true { return 1; } options(given, #{a: 1}, \"f\")",
            "let x = if true { return 1; }; options(given, #{a: 1}, \"f\")",
            "options(given, given, \"f\")",
            "let x = || given; options(given, #{a: 1}, \"f\")",
            "f(given)",
            "arguments(\"f\", [given]); options(given, #{a: 1}, \"f\")",
            "print(1); options(given, #{a: 1}, \"f\")",
        ] {
            assert_eq!(of(body), None, "{body}");
        }
    }
}
