//! What is checked before anything runs: the whole script and the modules it imports, dead branches and
//! closures included, so that a typo in line 90 costs no started process.
//!
//! The rule is to stay silent when in doubt: a valid script must never be refused. Types are not known here,
//! so calls are judged by name and number of arguments, and arguments only where they are written out.

use super::declared;
use crate::api::{self, Form, Options, Type};
use crate::event::Failure;
use crate::exit;
use crate::host::explain::signature::{self, CallAdvice, Names};
use crate::host::explain::{failure, hints, method};
use crate::host::source::functions::{self, Function, Functions};
use crate::host::source::{import, text};
use crate::host::value::{self, address, kinds, parameter};
use crate::words::nearest;
use rhai::{AST, ASTNode, Engine, EvalAltResult, Expr, FnAccess, FnCallExpr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// Options whose value is a duration.
const DURATIONS: &[&str] = &["timeout", "interval", "grace"];
/// Functions that run a closure whose errors they catch.
const CATCHING: &[&str] = &["attempt", "assert_throws"];

/// All that is wrong with a script and with what it imports.
fn findings(
    engine: &Engine,
    ast: &AST,
    source: &str,
) -> Result<Vec<(String, Position, CallAdvice)>, Failure> {
    let names = Names::of(engine);
    let mut project = Project { main: source.to_owned(), ..Project::default() };
    project.add(engine, ast, source, &mut Vec::new())?;
    project.read_words();
    let mut found = Vec::new();
    for file in project.files.values() {
        let mut walk = Walk::new(&names, &project, file);
        walk.file();
        found.extend(walk.found.into_iter().map(|(position, advice)| (file.name.clone(), position, advice)));
    }
    // The script itself first, then its modules; each from top to bottom.
    found.sort_by_key(|(name, position, _)| (name.as_str() != source, name.to_owned(), *position));
    found.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    Ok(found)
}

/// Checks a compiled script and what it imports.
pub fn check(engine: &Engine, ast: &AST, source: &str) -> Result<(), Failure> {
    let found = findings(engine, ast, source)?;
    let Some((name, position, advice)) = found.first() else { return Ok(()) };
    let mut failure = Failure {
        code: exit::USAGE,
        message: advice.message.clone(),
        place: text::place(name, *position),
        notes: advice.notes.clone(),
        hint: advice.hint.clone(),
        ..Failure::default()
    };
    const MOST: usize = 8;
    for (name, position, advice) in found.iter().skip(1).take(MOST) {
        let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
        let hint = advice.hint.as_ref().map_or_else(String::new, |hint| format!("; try {hint}"));
        failure.notes.push(format!("also {name}:{line}:{column}: {}{hint}", advice.message));
    }
    if found.len() > MOST + 1 {
        failure.notes.push(format!("and {} more", found.len() - MOST - 1));
    }
    Err(failure)
}

/// As [`check`], each finding for itself.
pub fn each(engine: &Engine, ast: &AST, source: &str) -> Vec<Failure> {
    let failure = |(name, position, advice): (String, Position, CallAdvice)| Failure {
        code: exit::USAGE,
        message: advice.message,
        place: text::place(&name, position),
        notes: advice.notes,
        hint: advice.hint,
        ..Failure::default()
    };
    match findings(engine, ast, source) {
        Ok(found) => found.into_iter().map(failure).collect(),
        Err(failure) => vec![failure],
    }
}

/// A script or a module.
struct File {
    name: String,
    ast: AST,
    /// What an alias of `import` stands for; none when it stands for several or for something unknown.
    imports: BTreeMap<String, Option<String>>,
    /// How many parameters the functions of a name take, and whether another file sees it.
    functions: BTreeMap<String, Vec<(usize, bool)>>,
    /// These and the closures.
    defined: Functions,
}

impl File {
    /// The names of the parameters of a closure that is written out, without those that it has captured.
    fn parameters(&self, value: &Expr) -> Option<Vec<String>> {
        let (closure, captured) = match value {
            Expr::FnCall(call, _) if call.name == "curry" => (call.args.first()?, call.args.len() - 1),
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(closure)] => return self.parameters(closure),
                [Stmt::Share(_), Stmt::FnCall(call, position)] => {
                    return self.parameters(&Expr::FnCall(call.clone(), *position));
                }
                _ => return None,
            },
            other => (other, 0),
        };
        let Expr::DynamicConstant(closure, _) = closure else { return None };
        let name = closure.read_lock::<FnPtr>()?.fn_name().to_owned();
        let function = self.defined.named(&name).first()?;
        Some(function.params.iter().skip(captured).map(ToString::to_string).collect())
    }
}

/// All files of a run, and the words in them.
#[derive(Default)]
struct Project {
    files: BTreeMap<String, File>,
    /// The script itself: no other imports it.
    main: String,
    /// The names of all functions.
    defined: BTreeSet<String>,
    /// Map keys, properties and strings: the names that a closure in a map can have.
    words: BTreeSet<String>,
    /// Strings, and the keys of `env` maps: the names that a variable of the shell can have.
    shell: BTreeSet<String>,
    /// The methods that maps get where they are written, by file and name, with their parameters. What a module returns
    /// is among them.
    methods: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Variables that are given another value somewhere.
    assigned: BTreeSet<String>,
    /// Code is made at run time: functions may exist that are written nowhere.
    dynamic: bool,
    /// Files of variables are read, of which nothing is known here.
    loads_env: bool,
}

impl Project {
    fn add(
        &mut self,
        engine: &Engine,
        ast: &AST,
        name: &str,
        chain: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut functions: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for function in ast.iter_functions() {
            if !function.name.starts_with("anon$") {
                let public = function.access == FnAccess::Public;
                functions.entry(function.name.to_owned()).or_default().push((function.params.len(), public));
            }
        }
        let mut file = File {
            name: name.to_owned(),
            ast: ast.clone(),
            imports: BTreeMap::new(),
            functions,
            defined: Functions::of(ast),
        };
        // Registered before its imports are followed, so that a circle ends.
        self.files.insert(
            name.to_owned(),
            File {
                imports: BTreeMap::new(),
                functions: BTreeMap::new(),
                name: name.to_owned(),
                ast: AST::empty(),
                defined: Functions::default(),
            },
        );
        chain.push(name.to_owned());
        let mut imports = Vec::new();
        // What stands after the first call may depend on what it did: a module that is not there yet.
        let mut certain: BTreeSet<Position> = BTreeSet::new();
        for stmt in ast.statements() {
            match stmt {
                Stmt::Import(import, _) => drop(certain.insert(import.0.position())),
                Stmt::Var(..) | Stmt::Noop(..) => {}
                _ => break,
            }
        }
        ast.walk(&mut |path: &[ASTNode]| {
            if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last() {
                match &import.0 {
                    Expr::StringConstant(path, position) => {
                        imports.push((path.to_string(), import.1.name.to_string(), *position));
                    }
                    _ => self.dynamic = true,
                }
            }
            true
        });
        for (path, alias, position) in imports {
            let resolved = engine.module_resolver().resolve_ast(engine, Some(name), &path, position);
            let target = match resolved {
                Some(Ok(module)) => {
                    let target = module.source().unwrap_or(&path).to_owned();
                    if chain.contains(&target) {
                        return Err(circle(chain, &target, name, position));
                    }
                    if !self.files.contains_key(&target) {
                        self.add(engine, &module, &target, chain)?;
                    }
                    Some(target)
                }
                Some(Err(error)) => {
                    let missing = matches!(*error, EvalAltResult::ErrorModuleNotFound(..));
                    if !missing || certain.contains(&position) {
                        return Err(failure::describe(&error, name));
                    }
                    self.dynamic = true;
                    None
                }
                None => None,
            };
            let known = file.imports.entry(alias).or_insert_with(|| target.clone());
            if *known != target {
                *known = None;
            }
        }
        chain.pop();
        self.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn read_words(&mut self) {
        let mut words = BTreeSet::new();
        let mut shell = BTreeSet::new();
        let mut methods = BTreeMap::new();
        let mut assigned = BTreeSet::new();
        let mut dynamic = self.dynamic;
        let mut loads_env = false;
        for file in self.files.values() {
            let mut own = BTreeMap::new();
            file.ast.walk(&mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Expr(Expr::Map(map, _))) => {
                        words.extend(map.0.iter().map(|(key, _)| key.name.to_string()));
                        // What a call gets are its options.
                        let for_call = path.len().checked_sub(2).is_some_and(|outside| {
                            matches!(
                                path[outside],
                                ASTNode::Expr(Expr::FnCall(..) | Expr::MethodCall(..))
                                    | ASTNode::Stmt(Stmt::FnCall(..))
                            )
                        });
                        let closures = map.0.iter().filter(|_| !for_call);
                        own.extend(closures.filter_map(|(key, value)| {
                            Some((key.name.to_string(), file.parameters(value)?))
                        }));
                        for (key, value) in &map.0 {
                            if let (true, Expr::Map(env, _)) = (key.name == "env", value) {
                                shell.extend(env.0.iter().map(|(key, _)| key.name.to_string()));
                            }
                        }
                    }
                    Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => {
                        assigned.extend(root(&assignment.1.lhs).map(str::to_owned));
                    }
                    Some(ASTNode::Expr(Expr::Property(property, _))) => {
                        words.insert(property.2.to_string());
                    }
                    Some(ASTNode::Expr(Expr::StringConstant(text, _))) => {
                        words.insert(text.to_string());
                        shell.insert(text.to_string());
                    }
                    Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                        dynamic |= call.name == "eval";
                        loads_env |= call.name == "load_env";
                    }
                    _ => {}
                }
                true
            });
            methods.insert(file.name.clone(), own);
        }
        self.defined = self.files.values().flat_map(|file| file.functions.keys().cloned()).collect();
        self.words = words;
        self.shell = shell;
        self.methods = methods;
        self.assigned = assigned;
        self.dynamic = dynamic;
        self.loads_env = loads_env;
    }
}

fn circle(chain: &[String], target: &str, importer: &str, position: Position) -> Failure {
    let start = chain.iter().position(|name| name == target).unwrap_or(0);
    let names: Vec<String> = chain[start..].iter().map(|name| format!("`{name}`")).collect();
    Failure {
        code: exit::USAGE,
        message: format!("modules import each other in a circle: {} → `{target}`", names.join(" → ")),
        place: text::place(importer, position),
        hint: Some("move what both need into a module of its own".to_owned()),
        ..Failure::default()
    }
}

/// A variable in scope.
struct Variable {
    name: String,
    /// Set anew in every round of a `for`.
    of_loop: bool,
    /// The loop variable that the closure in it has captured.
    captured: Option<String>,
    /// The module whose function has returned it.
    module: Option<String>,
    /// The function whose result it is, which returns nothing.
    nothing: Option<String>,
}

/// One pass over one file.
struct Walk<'a> {
    names: &'a Names,
    project: &'a Project,
    file: &'a File,
    scope: Vec<Variable>,
    /// How many `try` blocks and catching functions are around: there, an error may be what is wanted.
    guarded: usize,
    /// The functions and closures that have been gone through, by name and number of parameters.
    seen: BTreeSet<(String, usize)>,
    /// The module that has returned what stands before the dot of the method call at a place.
    receivers: BTreeMap<Position, String>,
    found: Vec<(Position, CallAdvice)>,
}

impl<'a> Walk<'a> {
    fn new(names: &'a Names, project: &'a Project, file: &'a File) -> Self {
        Self {
            names,
            project,
            file,
            scope: Vec::new(),
            guarded: 0,
            seen: BTreeSet::new(),
            receivers: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    fn file(&mut self) {
        let ast = &self.file.ast;
        self.block(ast.statements());
        for function in ast.iter_fn_def().filter(|function| !function.name.starts_with("anon$")) {
            self.body(function, false);
        }
    }

    /// The body of a function, or of a closure, which sees what is around it.
    fn body(&mut self, function: &Function, sees_outside: bool) {
        if !self.seen.insert((function.name.to_string(), function.params.len())) {
            return;
        }
        let outside = if sees_outside { Vec::new() } else { std::mem::take(&mut self.scope) };
        let mark = self.scope.len();
        // A captured variable is a parameter of the closure and still the same variable.
        for name in &function.params {
            if self.index_of(name).is_none() || !sees_outside {
                self.declare(name, false);
            }
        }
        self.block(&functions::body(function));
        self.scope.truncate(mark);
        if !sees_outside {
            self.scope = outside;
        }
    }

    fn declare(&mut self, name: &str, of_loop: bool) {
        self.scope.push(Variable {
            name: name.to_owned(),
            of_loop,
            captured: None,
            module: None,
            nothing: None,
        });
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|variable| variable.name == name)
    }

    fn report(&mut self, position: Position, advice: CallAdvice) {
        self.found.push((position, advice));
    }

    fn block(&mut self, statements: &[Stmt]) {
        let mark = self.scope.len();
        for stmt in statements {
            self.stmt(stmt);
        }
        self.scope.truncate(mark);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Var(var, _, _) => {
                self.expr(&var.1);
                let captured = self.kept(&var.1).map(|(_, name)| name);
                let module = match &var.1 {
                    Expr::FnCall(call, _) => match call.namespace.path.as_slice() {
                        [alias] => self.file.imports.get(alias.name.as_str()).cloned().flatten(),
                        _ => None,
                    },
                    _ => None,
                };
                let assigned = self.project.assigned.contains(var.0.name.as_str());
                let nothing = self.nothing(&var.1).filter(|_| !assigned).map(str::to_owned);
                self.scope.push(Variable {
                    name: var.0.name.to_string(),
                    of_loop: false,
                    captured,
                    module,
                    nothing,
                });
            }
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, _, _) => {
                self.expr(&flow.expr);
                self.block(flow.body.statements());
                self.block(flow.branch.statements());
            }
            Stmt::For(inner, _) => {
                let (item, counter, flow) = &**inner;
                self.expr(&flow.expr);
                let mark = self.scope.len();
                self.declare(&item.name, true);
                if let Some(counter) = counter {
                    self.declare(&counter.name, true);
                }
                self.block(flow.body.statements());
                self.scope.truncate(mark);
            }
            Stmt::TryCatch(flow, _) => {
                self.guarded += 1;
                self.block(flow.body.statements());
                self.guarded -= 1;
                let mark = self.scope.len();
                if let Expr::Variable(variable, _, _) = &flow.expr {
                    self.declare(&variable.1, false);
                }
                self.block(flow.branch.statements());
                self.scope.truncate(mark);
            }
            Stmt::Switch(switch, _) => {
                self.expr(&switch.0);
                for case in &switch.1.expressions {
                    self.expr(&case.lhs);
                    self.expr(&case.rhs);
                }
            }
            Stmt::Assignment(assignment) => {
                let sides = &assignment.1;
                self.expr(&sides.lhs);
                self.expr(&sides.rhs);
                if let Some(root) = root(&sides.lhs) {
                    self.storing(root, &sides.rhs);
                }
            }
            Stmt::FnCall(call, position) => self.call(call, *position, None),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::Return(Some(expr), ..) | Stmt::BreakLoop(Some(expr), ..) => self.expr(expr),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::StringConstant(text, position) => self.text(text, *position),
            Expr::InterpolatedString(parts, _) => {
                for part in parts.iter().filter(|part| !matches!(part, Expr::StringConstant(..))) {
                    self.expr(part);
                    // A variable may be shown on purpose.
                    if let Expr::Stmt(block) = part {
                        match block.statements() {
                            [Stmt::Expr(expr)] if !matches!(**expr, Expr::Variable(..)) => {
                                self.is_value(expr)
                            }
                            [Stmt::FnCall(call, position)] => {
                                self.is_value(&Expr::FnCall(call.clone(), *position));
                            }
                            _ => {}
                        }
                    }
                }
            }
            Expr::Array(items, _) => items.iter().for_each(|item| self.expr(item)),
            Expr::Map(map, _) => map.0.iter().for_each(|(_, value)| self.expr(value)),
            Expr::Stmt(block) => self.block(block.statements()),
            Expr::FnCall(call, position) => self.call(call, *position, None),
            Expr::Dot(sides, _, _) => {
                self.expr(&sides.lhs);
                if let (Expr::Variable(variable, _, _), Some(call)) = (&sides.lhs, first_call(&sides.rhs))
                    && let Some(index) = self.index_of(&variable.1)
                    && let Some(module) = &self.scope[index].module
                {
                    self.receivers.insert(call, module.clone());
                }
                self.chained(&sides.rhs, &sides.lhs);
            }
            Expr::Index(sides, _, _) => {
                self.expr(&sides.lhs);
                self.expr(&sides.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| self.expr(part));
            }
            Expr::DynamicConstant(value, _) => {
                if let Some(closure) = value.read_lock::<FnPtr>() {
                    self.closure(&closure);
                }
            }
            Expr::MethodCall(call, position) => self.call(call, *position, Some(None)),
            _ => {}
        }
    }

    /// What stands behind a dot: `a.b.c()` is `a . (b . c())`.
    fn chained(&mut self, expr: &Expr, receiver: &Expr) {
        match expr {
            Expr::MethodCall(call, position) => self.call(call, *position, Some(root(receiver))),
            Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => {
                self.chained(&sides.lhs, receiver);
                match expr {
                    Expr::Dot(..) => self.chained(&sides.rhs, receiver),
                    _ => self.expr(&sides.rhs),
                }
            }
            other => self.expr(other),
        }
    }

    fn closure(&mut self, closure: &FnPtr) {
        let name = closure.fn_name();
        if !name.starts_with("anon$") {
            return;
        }
        if let Some(function) = self.file.defined.named(name).first() {
            self.body(function, true);
        }
    }

    /// `receiver`: none for `f(x)`; for `a.f(x)` the variable that `a` starts with, where it is one.
    fn call(&mut self, call: &FnCallExpr, position: Position, receiver: Option<Option<&str>>) {
        // What a closure is handed to may catch its errors: functions that do, and any that a script defines.
        let catching = CATCHING.contains(&call.name.as_str())
            || call.name == "call"
            || !call.namespace.path.is_empty()
            || (call.op_token.is_none() && !self.names.has(&call.name) && call.name != "curry")
            || self.file.functions.contains_key(call.name.as_str());
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
            None if name == "on_exit" => Some(None),
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

    /// What is used where a value is needed must have one.
    fn is_value(&mut self, expr: &Expr) {
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
    fn nothing<'b>(&'b self, expr: &'b Expr) -> Option<&'b str> {
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
    fn function(&mut self, name: &str, call: &FnCallExpr, position: Position) -> bool {
        if self.project.dynamic || call.capture_parent_scope {
            return self.names.has(name);
        }
        let mut arities: BTreeSet<usize> = self.names.params(name).iter().copied().collect();
        // A module may call what the script that imports it defines.
        for file in [Some(self.file), self.project.files.get(&self.project.main)].into_iter().flatten() {
            arities.extend(file.functions.get(name).into_iter().flatten().map(|(params, _)| *params));
        }
        if arities.is_empty() {
            self.unknown_function(name, call, position);
            return false;
        }
        let own = self.file.functions.contains_key(name);
        if self.guarded == 0
            && !own
            && let Some(advice) = words_apart(name, &call.args).or_else(|| without_effect(name, &call.args))
        {
            self.report(position, advice);
        } else if !arities.contains(&call.args.len()) && self.guarded == 0 {
            self.wrong_number(name, call.args.len(), 0, position);
        }
        self.names.has(name)
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
        let own = self.file.functions.keys().map(String::as_str);
        let near = signature::known().suggest(name, own);
        let mut advice = signature::unknown(signature::known(), name, false, near);
        if let Some(own) = near.and_then(|near| self.form_of_own(near)) {
            advice.hint = Some(format!("`{own}`"));
        }
        if advice.hint.is_none() {
            advice.hint = hints::foreign_call(name);
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
        let fits = self.names.params(name).contains(&(call.args.len() + 1));
        if !fits && self.guarded == 0 {
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
        let own = || self.project.methods.values().flatten();
        let known = signature::known();
        let near = known.suggest(name, own().map(|(name, _)| name.as_str()));
        match own().find(|(name, _)| near == Some(name.as_str()) && !known.has(name)) {
            Some(it) => CallAdvice { message, notes: Vec::new(), hint: Some(format!("`.{}`", shown(it))) },
            None => signature::unknown(known, name, true, near),
        }
    }

    /// `module::f(…)`.
    fn qualified(&mut self, alias: &str, call: &FnCallExpr, position: Position) {
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
        let fits = module.functions[name].iter().any(|(params, _)| *params == call.args.len());
        if !fits && self.guarded == 0 {
            let forms = module.defined.named(name).iter();
            let forms: Vec<String> =
                forms.map(|function| format!("{alias}::{}", functions::form(function))).collect();
            let message = format!("no form of `{alias}::{name}` takes {} arguments", call.args.len());
            self.report(position, CallAdvice { message, notes: signature::form_notes(&forms), hint: None });
        } else if self.guarded == 0
            && let Some(Expr::Map(given, _)) = call.args.last()
            && let Some(known) = declared::options(&module.defined, name, call.args.len())
        {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let function = format!("{alias}::{name}");
            for (key, value) in &given.0 {
                let name = key.name.as_str();
                if !known.contains(&name) {
                    let error = value::unknown_option(&function, name, &known);
                    let advice = CallAdvice { message: error.message, notes: error.notes, hint: error.hint };
                    self.report(key.pos, advice);
                } else if import::is_built_in(target) && DURATIONS.contains(&name) {
                    // What it is in a module of somebody else nobody knows.
                    self.duration(value, &format!("{function}: option `{name}`"));
                }
            }
        }
    }

    /// Arguments that are written out. `receiver`: how many arguments stand before the dot.
    fn arguments(&mut self, name: &str, call: &FnCallExpr, receiver: usize) {
        for (index, arg) in call.args.iter().enumerate() {
            if self.nothing(arg).is_some() && needs_value(name, call.args.len() + receiver, index + receiver)
            {
                self.is_value(arg);
            }
        }
        if matches!(name, "sleep" | "timeout")
            && receiver == 0
            && let Some(arg) = call.args.first()
        {
            self.duration(arg, name);
        }
        if name == "param"
            && receiver == 0
            && let [_, _, map @ Expr::Map(..)] = &*call.args
        {
            let message = "param: the options stand in place of the default, not behind it".to_owned();
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

    /// The addresses of services that a list of them names, where all are written out.
    fn addresses(&mut self, services: &[Expr]) {
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
    fn keys(&mut self, options: &'static Options, map: &MapExpr, what: &str) {
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
    fn value(&mut self, kind: Type, value: &Expr, what: &str) {
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

    fn duration(&mut self, value: &Expr, what: &str) {
        if let Expr::StringConstant(..) | Expr::IntegerConstant(..) = value {
            self.literal(value, |value| value::duration(value, what).map(drop));
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

    /// `"…${port}…"` in double quotes, where `port` is a variable: the text would hold `${port}`.
    fn text(&mut self, text: &str, position: Position) {
        if !text.contains("${") {
            return;
        }
        for part in text.split("${").skip(1) {
            let Some((inside, _)) = part.split_once('}') else { continue };
            let end = inside.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inside.len());
            let name = &inside[..end];
            // Where it stands is asked last: that looks through all lines.
            if name.is_empty()
                || self.index_of(name).is_none()
                || self.is_of_the_shell(name, text)
                || !text::starts_with_quote(&self.file.name, position)
            {
                continue;
            }
            self.report(
                position,
                CallAdvice {
                    message: format!("`${{{name}}}` in double quotes is not replaced by the variable `{name}`"),
                    notes: Vec::new(),
                    hint: Some(format!(
                        "backticks instead of the quotes: `` `…${{{name}}}…` ``   (`${name}` if the shell's variable is meant)"
                    )),
                },
            );
            return;
        }
    }

    /// Whether the shell may well know the name: it is set in the text itself, or handed over in `env`.
    fn is_of_the_shell(&self, name: &str, text: &str) -> bool {
        let set_in_text =
            [format!("{name}="), format!("for {name} "), format!("read {name}"), format!("read -r {name}")]
                .iter()
                .any(|setting| text.contains(setting.as_str()));
        set_in_text || self.project.shell.contains(name) || std::env::var_os(name).is_some()
    }

    /// Keeps a value in something that starts with the variable `root`.
    fn storing(&mut self, root: &str, value: &Expr) {
        let Some((position, name)) = self.kept(value) else { return };
        // What is declared in the loop is gone before the variable changes.
        if self.index_of(root) < self.index_of(&name) {
            self.report(position, kept_closure(&name));
        }
    }

    /// The loop variable that a closure in a value has captured.
    fn kept(&self, value: &Expr) -> Option<(Position, String)> {
        match value {
            Expr::FnCall(call, position) if call.name == "curry" => {
                call.args.iter().skip(1).find_map(|arg| {
                    let Expr::Variable(variable, _, _) = arg else { return None };
                    let index = self.index_of(&variable.1)?;
                    self.scope[index].of_loop.then(|| (*position, variable.1.to_string()))
                })
            }
            // The captured variables are shared first, in a block around the closure.
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(closure)] => self.kept(closure),
                [Stmt::Share(_), Stmt::FnCall(call, position)] => {
                    self.kept(&Expr::FnCall(call.clone(), *position))
                }
                _ => None,
            },
            Expr::Array(items, _) => items.iter().find_map(|item| self.kept(item)),
            Expr::Map(map, _) => map.0.iter().find_map(|(_, value)| self.kept(value)),
            Expr::Variable(variable, _, position) => {
                let index = self.index_of(&variable.1)?;
                let captured = self.scope[index].captured.clone()?;
                Some((*position, captured))
            }
            _ => None,
        }
    }
}

/// The part of a map that is written out which has its keys and values.
type MapExpr = (rhai::StaticVec<(rhai::Ident, Expr)>, BTreeMap<rhai::Identifier, rhai::Dynamic>);

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

/// The text of a string that is written out.
fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringConstant(text, _) => Some(text),
        _ => None,
    }
}

/// `run("curl", "-sf", url)`: a command whose words are given one by one.
fn words_apart(name: &str, args: &[Expr]) -> Option<CallAdvice> {
    if !value::TAKES_COMMAND.contains(&name) || args.len() < 2 {
        return None;
    }
    let mut words = Vec::new();
    for arg in args {
        match arg {
            Expr::Array(items, _) => words.extend(items.iter().map(word)),
            other => words.push(word(other)),
        }
    }
    // One more may be a name before the command, or a time after it.
    let names_come_first = matches!(name, "spawn" | "start");
    let last = args.last()?;
    let is_word = match last {
        Expr::StringConstant(text, _) => value::duration(&text.clone().into(), name).is_err(),
        Expr::Array(..) => true,
        _ => args.len() > 3,
    };
    let first_is_text = literal_text(&args[0]).is_some();
    let map_inside = args.iter().any(|arg| matches!(arg, Expr::Map(..)));
    if !first_is_text || map_inside || !is_word || (names_come_first && args.len() == 2) {
        return None;
    }
    Some(CallAdvice {
        message: format!("{name}: a command is one string, or an array of words"),
        notes: Vec::new(),
        hint: Some(format!("`{name}([{}])`", words.join(", "))),
    })
}

/// A word of a command as it may stand in an array.
fn word(expr: &Expr) -> String {
    match expr {
        Expr::Variable(variable, _, _) => variable.1.to_string(),
        Expr::StringConstant(text, _) => format!("{:?}", text.as_str()),
        Expr::IntegerConstant(number, _) => number.to_string(),
        _ => "…".to_owned(),
    }
}

/// `run("cd sub")`: what a shell changes about itself ends with it.
fn without_effect(name: &str, args: &[Expr]) -> Option<CallAdvice> {
    let text = literal_text(args.first()?).filter(|_| name == "run")?.trim();
    let (first, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    if text.contains(['\n', ';', '&', '|', '$', '`', '(', '>']) {
        return None;
    }
    let (what, hint) = match first {
        "cd" => (
            "the directory",
            format!("`cd({rest:?})` for the script, `cwd: {rest:?}` as an option of one command"),
        ),
        "export" => {
            let (key, value) = rest.split_once('=')?;
            let value = value.trim_matches(['"', '\'']);
            let hint = format!(
                "`set_env({key:?}, {value:?})` for the script, `env: #{{{key}: {value:?}}}` for one command"
            );
            ("the environment", hint)
        }
        "source" | "." => (
            "the environment",
            format!("`load_env({rest:?})` if it holds lines NAME=value, else `run(\". {rest} && command\")`"),
        ),
        _ => return None,
    };
    Some(CallAdvice {
        message: format!("`{first}` here has no effect: it changes {what} of a shell that ends at once"),
        notes: Vec::new(),
        hint: Some(hint),
    })
}

fn kept_closure(name: &str) -> CallAdvice {
    CallAdvice {
        message: format!("this closure is kept beyond the loop: it would see the last `{name}` only"),
        notes: vec![format!("a closure shares `{name}` with the loop, which sets it anew in every round")],
        hint: Some(format!("`let own = {name};` in the loop, and `own` in the closure")),
    }
}

/// Where the method is called that stands directly behind a dot: `f` of `.f().g()`.
fn first_call(behind: &Expr) -> Option<Position> {
    match behind {
        Expr::MethodCall(_, position) => Some(*position),
        Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => first_call(&sides.lhs),
        _ => None,
    }
}

/// The variable that `a`, `a.b`, `a[0].b` start with.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, _, _) => Some(&variable.1),
        Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => root(&sides.lhs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with this key, and below it with every one that it has, whose values are computed.
    fn maps_of(options: &'static Options) -> Vec<String> {
        let of = |opt: &'static api::Opt| {
            let below = opt.kind.options().map_or_else(Vec::new, maps_of).into_iter();
            let below = below.map(|map| format!("#{{{}: {map}}}", opt.name));
            std::iter::once(format!("#{{{}: x}}", opt.name)).chain(below).collect::<Vec<_>>()
        };
        options.all().flat_map(of).collect()
    }

    /// Its description is what the check, the reference and the reading walk: an option that one of them misses is a
    /// mistake in how it is walked.
    #[test]
    fn every_described_option_is_accepted_and_is_in_the_reference() {
        let engine = crate::host::engine::engine(&[]);
        let reference = crate::host::reference::reference();
        let mut tried = 0;
        for (_, function) in api::functions() {
            for form in function.forms {
                let Some(options) = form.options else { continue };
                for map in maps_of(options) {
                    let call = format!("{}({}{map});", function.name, "x, ".repeat(form.params.len()));
                    let ast = engine.compile(format!("let x = parse_json(\"1\"); {call}")).expect(&call);
                    let refused = check(&engine, &ast, "option").err().map(|failure| failure.message);
                    assert_eq!(refused, None, "{call}");
                    tried += 1;
                }
                for opt in options.all() {
                    assert!(
                        reference.contains(&format!("* `{}`: ", opt.name)),
                        "{}: {}",
                        function.name,
                        opt.name
                    );
                    assert!(
                        !opt.doc.is_empty() && opt.kind.name() != "()",
                        "{}: {}",
                        function.name,
                        opt.name
                    );
                }
            }
        }
        assert!(tried > 300, "only {tried}");
    }

    /// Eight times the script is to cost about eight times the time, not 64. What the parser costs is another matter.
    #[test]
    fn what_the_check_costs_grows_with_the_script_and_no_faster() {
        type Shape = fn(usize) -> String;
        let shapes: &[(&str, Shape)] = &[
            ("functions", |n| {
                format!("fn f{n}(x) {{ let y = x + {n}; if y > 3 {{ f{n}(y) }} else {{ x }} }}")
            }),
            ("closures", |n| format!("[#{{a: || {n}}}].map(|x| x.a.call() + {n});")),
            ("calls", |n| format!("run(\"echo ${{A{n}}}\", #{{timeout: \"1s\"}});")),
            ("blocks", |n| {
                format!("if true {{ for i in 0..{n} {{ try {{ print(`${{i}}`); }} catch (e) {{ }} }} }}")
            }),
        ];
        let engine = crate::host::engine::engine(&[]);
        let cost = |shape: &Shape, count: usize| {
            let code: Vec<String> = (0..count).map(shape).collect();
            let ast = engine.compile(code.join("\n")).expect("compiles");
            let before = crate::fuzz::worked();
            check(&engine, &ast, "many").expect("passes");
            crate::fuzz::worked().saturating_sub(before)
        };
        for (name, shape) in shapes {
            let (few, many) = (cost(shape, 500), cost(shape, 4000));
            assert!(many < few * 24, "{name}: {few:?} for 500, {many:?} for 4000");
        }
    }
}
