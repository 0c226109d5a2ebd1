//! Closures beside each other, and closures with an end: `parallel` and `timeout`.
//!
//! Both work on a [`Strand`] of their own: ending it ends all that is done on it, waits, commands and loops, and no
//! `catch` in there gets past that. Around it the script goes on with an error that can be caught.

use crate::exit;
use crate::host::run::alarm;
use crate::host::run::beside::{self, Programs};
use crate::host::run::runtime::{Place, rt};
use crate::host::source::captured;
use crate::host::value;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Kind, ScriptError, terminated};
use crate::host::value::handle::Job;
use crate::host::value::kinds::Within;
use crate::jobs;
use crate::jobs::control::Halt;
use crate::jobs::strand::{self, Strand, Turn};
use crate::lock::lock;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, NativeCallContext};
use std::ops::{Range, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope, ThreadId};
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[PARALLEL, TIMEOUT, TIMEOUT_OF];

options! {
    /// What `parallel` can be told.
    struct Limit {
        /// How many are worked on at the same time.
        at_once: Option<Within<1, { MOST_AT_ONCE as i64 }>>, default "all closures, or 64 items",
            also concurrency workers jobs limit threads;
    }
}

function! {
    /// Runs all closures of an array at the same time and returns what each returned, in order. Their waits, requests
    /// and commands overlap; what the script itself computes takes turns, so that captured variables are safe to
    /// change (`n += 1`). What none of the closures changes is each closure's own copy; handles such as jobs can be
    /// used from several.
    ///
    /// When one throws, the others are ended (their commands are stopped, their waits end) and its error is thrown.
    /// Lines that `run` streams begin with the option `name` of that `run`, with the item when it is a short text, a number, a
    /// job or a map with a `name`, or with the program; `npm 2` is that of another closure. `cd` and `set_env` are the run's.
    ///
    /// ```rhai
    /// let sizes = parallel([
    ///     || { sleep("20ms"); "slow" },
    ///     || output("echo quick"),
    /// ]);
    /// assert_eq(sizes, ["slow", "quick"]);
    /// ```
    PARALLEL = "parallel" -> Array {
        (closures: Dynamic; Limit) => all_closures;
        /// Calls a closure with every item of an array (or a range, of at most a million numbers) at the same time, at most
        /// 64 at once, and returns what it returned for each, in order; `|item, index|` also gets the index.
        ///
        /// ```rhai
        /// let squares = parallel([1, 2, 3], |n| { sleep("10ms"); n * n });
        /// assert_eq(squares, [1, 4, 9]);
        /// ```
        ///
        /// ```rhai
        /// parallel(1..=6, |n| sleep("1ms"), #{at_once: 2});
        /// ```
        (array: Dynamic, closure: FnPtr; Limit) => each_item;
    }
}

/// How many items of an array are worked on at the same time when nothing else is said.
const AT_ONCE: usize = 64;

/// How many threads one `parallel` may have.
const MOST_AT_ONCE: usize = 10_000;

/// Rhai evaluates recursively: room for the deepest script that its limits allow. Virtual memory only.
pub const STACK: usize = 256 << 20;

function! {
    /// Limits the rest of the run to a time, as `--timeout` does the whole: when it has passed, the run ends with
    /// code 124. It cannot be caught. A later call sets a new limit.
    ///
    /// ```rhai
    /// timeout("5m");
    /// ```
    TIMEOUT = "timeout" -> () {
        (duration: Duration) => |_| limit_run(duration);
    }
}

function! {
    /// Calls a closure and returns its value; when it takes longer than this, whatever it does is ended (waits,
    /// commands with their grace period, loops) and an error of kind `timeout` is thrown. In the closure it cannot be
    /// caught.
    ///
    /// ```rhai
    /// assert_eq(timeout("10s", || 1 + 1), 2);
    /// let e = assert_throws(|| timeout("20ms", || run("sleep 60")), "timeout");
    /// assert_eq(e.waited_ms, 20);
    /// ```
    TIMEOUT_OF = "timeout" -> Dynamic, throws timeout {
        (duration: Duration, closure: FnPtr) => |ctx| within(ctx, duration, &closure);
    }
}

/// One call to make.
struct Call {
    closure: FnPtr,
    args: Vec<Dynamic>,
    /// What its item is called.
    name: Option<String>,
}

/// What an item is called, where that is short: a text, a number, a job, or a map with a `name`.
fn name_of(item: &Dynamic) -> Option<String> {
    const MOST: usize = 30;
    let name = if let Some(job) = item.read_lock::<Job>() {
        job.0.spec.name.clone()
    } else if let Some(map) = item.read_lock::<Map>() {
        map.get("name")?.clone().into_string().ok()?
    } else if item.is_string() || item.is_int() || item.is_char() {
        item.to_string()
    } else {
        return None;
    };
    let fits = !name.trim().is_empty() && name.chars().count() <= MOST && !name.contains(char::is_control);
    fits.then_some(name)
}

fn all_closures(ctx: &NativeCallContext, closures: Dynamic, opts: Limit) -> Fallible<Array> {
    rt().checkpoint()?;
    let form = "parallel([|| …, || …])   or   parallel(array, |item| …)";
    let Some(list) = closures.read_lock::<Array>().map(|list| list.clone()) else {
        let shown = value::show(&closures);
        return Err(ScriptError::usage(format!("parallel: {shown} is not an array")).hint(form).into());
    };
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let Some(closure) = item.clone().flatten().try_cast::<FnPtr>() else {
            let shown = value::show(item);
            let error = ScriptError::usage(format!("parallel: item {index} is {shown}, not a closure"));
            return Err(error.hint(form).into());
        };
        if captured::parameters(&closure).is_some_and(|params| params > 0) {
            let error =
                ScriptError::usage(format!("parallel: closure {index} takes a parameter, but gets none"));
            return Err(error.hint(form).into());
        }
        found.push(closure);
    }
    let calls: Vec<Call> = captured::apart(&found)
        .into_iter()
        .map(|closure| Call { closure, args: Vec::new(), name: None })
        .collect();
    let most = opts.at_once.map_or(calls.len(), Within::count);
    if most > MOST_AT_ONCE {
        let wrong = format!("parallel: {most} closures at the same time? at most {MOST_AT_ONCE}");
        return Err(ScriptError::usage(wrong).hint(format!("#{{at_once: {AT_ONCE}}}")).into());
    }
    beside_each_other(ctx, calls, most)
}

fn each_item(ctx: &NativeCallContext, array: Dynamic, closure: FnPtr, opts: Limit) -> Fallible<Array> {
    rt().checkpoint()?;
    let items: Array = if let Some(items) = array.read_lock::<Array>() {
        items.iter().map(Dynamic::flatten_clone).collect()
    } else if let Some(range) = array.read_lock::<Range<i64>>() {
        all_of(ctx, range.clone(), range.start.abs_diff(range.end))?
    } else if let Some(range) = array.read_lock::<RangeInclusive<i64>>() {
        all_of(ctx, range.clone(), range.start().abs_diff(*range.end()).saturating_add(1))?
    } else {
        let shown = value::show(&array);
        return Err(ScriptError::usage(format!("parallel: {shown} is not an array or range"))
            .hint("parallel(array, |item| …)   or   parallel([|| …, || …])")
            .into());
    };
    let at_once = opts.at_once.map_or(AT_ONCE, Within::count);
    let params = captured::parameters(&closure).unwrap_or(1);
    if !(1..=2).contains(&params) {
        return Err(ScriptError::usage(format!("parallel: its closure takes {params} parameters"))
            .hint("parallel(array, |item| …)   or   parallel(array, |item, index| …)")
            .into());
    }
    let copies = captured::apart(&vec![closure.clone(); items.len()]);
    let call = |(index, (item, closure)): (usize, (Dynamic, FnPtr))| {
        let index = i64::try_from(index).unwrap_or(i64::MAX).into();
        let name = name_of(&item);
        let args = if params == 2 { vec![item, index] } else { vec![item] };
        Call { closure, args, name }
    };
    beside_each_other(ctx, items.into_iter().zip(copies).enumerate().map(call).collect(), at_once)
}

/// The numbers of a range that has so many, if it is not the wrong way round.
fn all_of(ctx: &NativeCallContext, range: impl Iterator<Item = i64>, count: u64) -> Fallible<Array> {
    let mut range = range.peekable();
    let most = ctx.engine().max_array_size();
    if range.peek().is_some() && count > most as u64 {
        return Err(ScriptError::usage(format!("parallel: {count} items? at most {most}")).into());
    }
    Ok(range.map(Dynamic::from).collect())
}

/// What the threads of one `parallel` share.
struct Work {
    queue: Mutex<std::iter::Enumerate<std::vec::IntoIter<Call>>>,
    results: Mutex<Vec<Option<Dynamic>>>,
    /// The first error that is a cause.
    first: Mutex<Option<Box<EvalAltResult>>>,
    strand: Arc<Strand>,
    /// Whose commands have been told apart by which number.
    programs: Arc<Programs>,
}

/// 1. A thread per closure, at most `at_once`, each of which takes the next call when it is done with one. Each calls the next
///    one in, which comes for the first call that is left when all others wait for something: of short ones few have come
///    when all is done. 2. The first error ends the strand, and with it the others. 3. All have ended before anything is
///    returned or thrown.
fn beside_each_other(ctx: &NativeCallContext, calls: Vec<Call>, at_once: usize) -> Fallible<Array> {
    let rt = rt();
    let count = calls.len();
    let work = Work {
        queue: Mutex::new(calls.into_iter().enumerate()),
        results: Mutex::new(vec![None; count]),
        first: Mutex::default(),
        strand: Strand::inside(),
        programs: Arc::default(),
    };
    let crew = Crew {
        ctx,
        work: &work,
        most: at_once.min(count),
        started: AtomicUsize::new(0),
        coming: AtomicBool::new(false),
        place: rt.place(),
        callers: strand::lineage(),
    };
    strand::aside(|| thread::scope(|scope| crew.call_in(scope)));
    drop(crew);
    let Work { results, first, .. } = work;
    rt.checkpoint()?;
    if let Some(error) = lock(&first).take() {
        return Err(error);
    }
    let results: Option<Array> = std::mem::take(&mut *lock(&results)).into_iter().collect();
    results.ok_or_else(terminated)
}

/// The threads of one `parallel`.
struct Crew<'env> {
    ctx: &'env NativeCallContext<'env>,
    work: &'env Work,
    most: usize,
    started: AtomicUsize,
    /// One has been started that has not had its turn yet.
    coming: AtomicBool,
    /// Where whoever has called us is.
    place: Place,
    callers: Vec<ThreadId>,
}

impl<'env> Crew<'env> {
    fn call_in<'scope>(&'env self, scope: &'scope Scope<'scope, 'env>) {
        let number = self.started.load(SeqCst) + 1;
        if number > self.most || self.coming.load(SeqCst) || lock(&self.work.queue).len() == 0 {
            return;
        }
        self.started.store(number, SeqCst);
        self.coming.store(true, SeqCst);
        let one = move || {
            // A panic has been told by the hook, which stops the run.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                strand::called_by(self.callers.clone());
                let _strand = self.work.strand.enter();
                let _place = rt().at(self.place.clone());
                let _turn = Turn::take();
                self.coming.store(false, SeqCst);
                self.go_on(scope);
            }));
        };
        let start =
            |stack| thread::Builder::new().name("parallel".into()).stack_size(stack).spawn_scoped(scope, one);
        // An address space limit (ulimit -v) may not have that much room.
        if let Err(error) = start(STACK).or_else(|_| start(jobs::SMALLEST_STACK)) {
            let why = jobs::why(error);
            let error = ScriptError::io(format!("parallel: cannot start thread {number}: {why}"));
            let error = error.exit(exit::INFRASTRUCTURE);
            let fewer = (number / 2).clamp(1, 16);
            self.work.fail(error.hint(format!("#{{at_once: {fewer}}}   (fewer at the same time)")).into());
        }
    }

    fn go_on<'scope>(&'env self, scope: &'scope Scope<'scope, 'env>) {
        while !rt().control().halted() {
            let Some((index, call)) = lock(&self.work.queue).next() else { return };
            self.call_in(scope);
            let _named = beside::named(call.name, Arc::clone(&self.work.programs), index);
            match call.closure.call_raw(self.ctx, None, call.args) {
                Ok(value) => lock(&self.work.results)[index] = Some(value.flatten()),
                Err(error) => self.work.fail(error),
            }
        }
    }
}

impl Work {
    fn fail(&self, error: Box<EvalAltResult>) {
        // One that was ended has no error of its own.
        if !rt().control().halted() {
            lock(&self.first).get_or_insert(error);
        }
        self.strand.end();
        rt().control().bell.ring();
    }
}

fn within(ctx: &NativeCallContext, time: Duration, closure: &FnPtr) -> Fallible<Dynamic> {
    let rt = rt();
    rt.checkpoint()?;
    let strand = Strand::inside();
    let call = || closure.call_within_context::<Dynamic>(ctx, ());
    let (result, in_time) = alarm::within(&strand, Some(time), call).map_err(no_thread)?;
    if in_time || rt.control().halted() {
        return result;
    }
    let shown = value::show_duration(time);
    let error = ScriptError::new(Kind::Timeout, format!("timeout: the closure took longer than {shown}"))
        .note(alarm::doing(result.err().as_deref(), "timeout"));
    Err(error.fact("waited_ms", i64::try_from(time.as_millis()).unwrap_or(i64::MAX)).into())
}

fn no_thread(error: std::io::Error) -> ScriptError {
    alarm::no_thread("timeout", error)
}

/// `timeout("5m")`: a thread that stops the run, unless a later call has taken its place.
fn limit_run(time: Duration) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let deadline = jobs::now() + time;
    let mine = rt.limits.fetch_add(1, SeqCst) + 1;
    let watch = move || {
        let control = rt.control();
        loop {
            let rings = control.bell.rings();
            // Once the script has ended its result stands.
            if rt.limits.load(SeqCst) != mine || control.reason().is_some() || control.closing() {
                return;
            }
            if jobs::now() >= deadline {
                control.halt(Halt::Overdue(time));
                return;
            }
            control.bell.wait(rings, Some(deadline));
        }
    };
    match thread::Builder::new().name("timeout".into()).spawn(watch) {
        Ok(_) => Ok(()),
        Err(error) => Err(no_thread(error).into()),
    }
}
