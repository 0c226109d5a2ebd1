//! What the text of a script says about its parameters.

use crate::host::value::parameter::Kind;
use crate::manual::Param;
use rhai::{AST, ASTNode, Expr, FnCallExpr, Stmt};

/// What a script's text says about its arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// In the order in which they are asked for.
    pub params: Vec<Param>,
    /// Whether these are all: nothing reads the arguments in a way that cannot be told beforehand.
    pub complete: bool,
    /// Whether the script reads `--help` itself.
    pub own_help: bool,
}

/// Reads the literal `param("…")` calls of a script.
pub fn declared(ast: &AST) -> Declared {
    let mut found = Declared { complete: true, ..Declared::default() };
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                found.call(call, false);
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, _))) => found.call(call, true),
            // What a module asks for is only known once it is loaded; the built-in ones ask for nothing.
            Some(ASTNode::Stmt(Stmt::Import(import, _))) => {
                let built_in = matches!(&import.0, Expr::StringConstant(path, _) if path.starts_with("std/"));
                found.complete &= built_in;
            }
            // The walk does not see what a `break` returns.
            Some(ASTNode::Stmt(Stmt::BreakLoop(Some(_), ..))) => found.complete = false,
            _ => {}
        }
        true
    });
    found.own_help |= found.params.iter().any(|param| param.name == "help");
    found
}

impl Declared {
    fn call(&mut self, call: &FnCallExpr, is_method: bool) {
        if !call.namespace.is_empty() {
            return;
        }
        match (call.name.as_str(), call.args.first()) {
            ("param", Some(Expr::StringConstant(name, _))) if !is_method => {
                self.add(written(name.trim_start_matches("--"), &call.args[1..]));
            }
            ("param", _) => self.complete = false,
            ("args" | "eval" | "Fn", _) => {
                self.complete = false;
                self.own_help = true;
            }
            _ => {}
        }
    }

    fn add(&mut self, new: Param) {
        let Some(known) = self.params.iter_mut().find(|param| param.name == new.name) else {
            return self.params.push(new);
        };
        known.required |= new.required;
        known.default = known.default.take().or(new.default);
        if known.help.is_empty() {
            known.help = new.help;
        }
        if known.form.is_empty() {
            known.form = new.form;
        }
    }
}

/// The parameter of one call, from what is written out after its name.
fn written(name: &str, rest: &[Expr]) -> Param {
    let text = |expr: &Expr| match expr {
        Expr::StringConstant(text, _) => text.to_string(),
        _ => String::new(),
    };
    // `()` is the default of what may be missing.
    let literal = |expr: &Expr| {
        let value = expr.get_literal_value(None).filter(|value| !value.is_unit())?;
        rhai::serde::from_dynamic(&value).ok()
    };
    let mut param = Param {
        name: name.to_owned(),
        help: String::new(),
        form: String::new(),
        required: rest.is_empty(),
        default: None,
    };
    match rest {
        [Expr::Map(map, _)] => {
            let option =
                |key: &str| map.0.iter().find(|(ident, _)| ident.name == key).map(|(_, value)| value);
            param.help = option("help").map(text).unwrap_or_default();
            let kind = option("kind").map(text).and_then(|kind| Kind::named(&kind));
            let form = kind.map_or_else(String::new, |kind| kind.form().to_owned());
            param.form = option("form").map_or(form, text);
            param.required = option("default").is_none()
                || matches!(option("required"), Some(Expr::BoolConstant(true, _)));
            param.default = option("default").and_then(literal);
        }
        [default, more @ ..] => {
            param.default = literal(default);
            param.help = more.first().map(text).unwrap_or_default();
        }
        [] => {}
    }
    param
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Declared {
        let engine = crate::host::engine::engine(&[]);
        declared(&engine.compile(script).expect("compiles"))
    }

    #[test]
    fn literal_parameters_are_found_everywhere() {
        let found = of(
            r#"let p = param("port", 80); fn f() { if false { `${param("--name")}` } } let c = || param("x");"#,
        );
        let mut names: Vec<_> = found.params.iter().map(|p| (p.name.as_str(), p.required)).collect();
        names.sort_unstable();
        assert_eq!(names, [("name", true), ("port", false), ("x", true)]);
        assert!(found.complete);
    }

    #[test]
    fn a_script_that_reads_its_arguments_otherwise_is_not_judged() {
        for script in ["args()", "let n = \"x\"; param(n)", "import \"./m\" as m;", "eval(\"param(`x`)\")"] {
            assert!(!of(script).complete, "{script}");
        }
        assert!(of("import \"std/docker\" as d;").complete);
    }

    #[test]
    fn what_a_parameter_is_for_is_found_without_running() {
        let found = of(r#"param("cmd", #{help: "the command"}); param("url", "/", "the URL"); param("n", 3);
            param("list", #{default: ["a"], form: "X"}); param("v", #{default: true, help: "verbose"}); param("x", 1 + 1, "sum");"#);
        let param = |name: &str, help: &str, required, default: Option<serde_json::Value>| Param {
            name: name.to_owned(),
            help: help.to_owned(),
            form: String::new(),
            required,
            default,
        };
        let expected = [
            param("cmd", "the command", true, None),
            param("url", "the URL", false, Some("/".into())),
            param("n", "", false, Some(3.into())),
            Param { form: "X".to_owned(), ..param("list", "", false, Some(vec!["a"].into())) },
            param("v", "verbose", false, Some(true.into())),
            param("x", "sum", false, None),
        ];
        assert_eq!(found.params, expected);
    }

    #[test]
    fn a_script_may_read_help_itself() {
        assert!(of("param(\"help\", false)").own_help && of("if \"-h\" in args() {}").own_help);
        assert!(!of("import \"./m\" as m; param(\"x\")").own_help);
    }
}
