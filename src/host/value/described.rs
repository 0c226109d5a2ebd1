//! The described functions in the engine: registration, the choice of a form, and the typed reading of arguments and
//! option maps. What is said of a value that is wrong comes from its kind; see kinds.rs.
//!
//! All forms of one length are one function of the engine, whose arguments are of any type: which form is meant is decided
//! here, and that none is is reported as the engine itself would, with all forms.

use super::error::Fallible;
use super::kinds::{self, FromValue};
use super::read::Opts;
use crate::api::{Form, Function, Options, Type};
use rhai::{
    Dynamic, Engine, EvalAltResult, FuncRegistration, Module, NativeCallContext, Position, RhaiFunc, Shared,
};
use std::any::TypeId;
use std::collections::BTreeSet;

/// What calls one form.
pub type Call = fn(&NativeCallContext, &mut Args) -> Fallible<Dynamic>;

/// A function of the language: what is said about it, and what it does, form by form.
pub struct Entry {
    pub about: &'static Function,
    pub calls: &'static [Option<Call>],
}

/// A set of options that is read into a struct.
pub trait FromOpts: Sized {
    const OPTIONS: &'static Options;
    /// From a map whose keys are known to be among [`FromOpts::OPTIONS`].
    fn read(opts: &Opts) -> Fallible<Self>;
}

/// A name without what lets a word of Rust be one: `r#override`.
pub const fn word(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Reads one option, or what it is when it is not given.
pub fn option<T: FromValue>(opts: &Opts, key: &str, default: Option<&Dynamic>) -> Fallible<T> {
    match opts.get(key).or(default) {
        Some(value) => T::from_value(value, &opts.what(key)),
        None => T::missing(&opts.what(key)),
    }
}

/// The arguments of one call, read one after the other.
pub struct Args {
    function: &'static Function,
    values: std::vec::IntoIter<Dynamic>,
}

impl Args {
    pub fn next<T: FromValue>(&mut self) -> Fallible<T> {
        T::from_value(&self.values.next().unwrap_or_default(), self.function.name)
    }

    pub fn options<T: FromOpts>(&mut self) -> Fallible<T> {
        let value = self.values.next().unwrap_or_default();
        T::read(&Opts::described(self.function.name, &value, T::OPTIONS)?)
    }
}

/// Registers a namespace.
pub fn register(engine: &mut Engine, entries: &'static [Entry]) {
    let mut module = Module::new();
    for entry in entries {
        let called = || entry.about.forms.iter().zip(entry.calls).filter(|(_, call)| call.is_some());
        let lengths: BTreeSet<usize> = called()
            .flat_map(|(form, _)| form.params.len()..=form.params.len() + usize::from(form.options.is_some()))
            .collect();
        for length in lengths {
            let types = vec![TypeId::of::<Dynamic>(); length];
            let function = move |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
                let ctx = ctx.expect("asked for");
                call(&ctx, entry, args.iter().map(|arg| arg.flatten_clone()).collect())
            };
            FuncRegistration::new(entry.about.name).set_into_module_raw(
                &mut module,
                &types,
                RhaiFunc::Pure {
                    func: Shared::new(function),
                    has_context: true,
                    is_pure: false,
                    is_volatile: true,
                },
            );
        }
    }
    engine.register_global_module(module.into());
}

fn call(ctx: &NativeCallContext, entry: &'static Entry, values: Vec<Dynamic>) -> Fallible<Dynamic> {
    let function = entry.about;
    let called = function.forms.iter().zip(entry.calls);
    let called = || called.clone().filter_map(|(form, call)| Some((form, (*call)?)));
    let fits = |index: usize, kind: Type| kinds::literal(kind, &values[index], function.name).is_ok();
    let forms = called().map(|(form, _)| form);
    let (form, fitting) = Form::best(forms, values.len(), fits).expect("registered for this length");
    // What is of the wrong type altogether; other mistakes are told by who reads the value.
    if form.params.get(fitting).is_some_and(|param| !kinds::is_of_type(param.kind, &values[fitting])) {
        let types: Vec<&str> = values.iter().map(Dynamic::type_name).collect();
        let call = format!("{} ({})", function.name, types.join(", "));
        return Err(EvalAltResult::ErrorFunctionNotFound(call, Position::NONE).into());
    }
    let (_, call) = called().find(|(other, _)| std::ptr::eq(*other, form)).expect("it is one of them");
    call(ctx, &mut Args { function, values: values.into_iter() })
}
