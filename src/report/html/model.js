// What happened in a run, from its events (told.rs). Knows nothing of the page.
"use strict";

const text = (value) => (value === null || value === undefined ? "" : String(value));
const number = (value) => (Number.isFinite(value) ? value : 0);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

// 180 ms, 3.2 s, 1m 05s: as bgjobs itself says it.
function duration(ms) {
  if (ms < 9.95) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (part) => String(part).padStart(2, "0");
  return parts[0] ? `${parts[0]}h ${two(parts[1])}m` : `${parts[1]}m ${two(parts[2])}s`;
}

// A moment: +1.234 s.
const moment = (ms) => `+${(ms / 1000).toFixed(3)} s`;

const bytes = (count) => {
  if (count < 1024) return plural(count, "byte");
  const kib = count < 1024 * 1024;
  const value = count / (kib ? 1024 : 1024 * 1024);
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${kib ? "KiB" : "MiB"}`;
};

// What kind of thing an event tells of: for the filter of the list.
const KIND = {
  job_started: "Jobs",
  job_ready: "Jobs",
  job_ended: "Jobs",
  job_died: "Jobs",
  job_failed: "Jobs",
  job_stopped: "Jobs",
  command_started: "Commands",
  command_ended: "Commands",
  wait: "Waits",
  assertion: "Assertions",
  test: "Tests",
  request: "Requests",
  log: "Notes",
  warning: "Notes",
  interrupted: "Notes",
  run_started: "Run",
  run_ended: "Run",
};
const kindOf = (event) => KIND[event.event];

const isBad = (event) =>
  event.event === "job_died" ||
  event.event === "job_failed" ||
  event.event === "interrupted" ||
  event.ok === false ||
  event.outcome === "failed" ||
  (event.event === "request" && Boolean(event.error)) ||
  (event.event === "run_ended" && event.state !== "passed") ||
  event.killed === true;

// What a test that was run again has failed of before.
const againOf = (event) =>
  event.failed_before && event.failed_before.length ? ` after it had failed: ${event.failed_before.map(text).join("; ")}` : "";

// An event in one line.
function describe(event) {
  const took = "took_ms" in event && event.took_ms !== null ? ` (${duration(number(event.took_ms))})` : "";
  const place = event.place
    ? ` at ${text(event.place.file)}:${text(event.place.line)}:${text(event.place.column)}`
    : "";
  switch (event.event) {
    case "run_started":
      return `${text(event.script)} started by bgjobs ${text(event.bgjobs)}${event.trace_id ? `, trace ${text(event.trace_id)}` : ""}`;
    case "job_started":
      return `${text(event.job)} started: ${text(event.command)} (pid ${text(event.pid)})`;
    case "job_ready":
      return `${text(event.job)} ready: ${text(event.what)}${took}`;
    case "job_ended":
      return `${text(event.job)} ended: ${text(event.status)}`;
    case "job_died":
      return `${text(event.job)} died: ${text(event.status)}`;
    case "job_failed":
      return `${text(event.job)} printed: ${text(event.line)}`;
    case "job_stopped": {
      const how = event.killed ? " by SIGKILL" : "";
      return `${text(event.job)} stopped${how}${event.status ? `: ${text(event.status)}` : ""}${took}`;
    }
    case "command_started":
      return `${text(event.command)}`;
    case "command_ended":
      return `${text(event.command)}: ${text(event.status)}${took}`;
    case "wait":
      return `${text(event.what)}${event.ok === false ? ": in vain" : ""}${took}`;
    case "assertion":
      return `${text(event.function)}${event.ok === false ? " does not hold" : ""}${place}`;
    case "test":
      return `${text(event.name)}: ${text(event.outcome)}${againOf(event)}${event.reason ? `, ${text(event.reason)}` : ""}${took}${event.span_id ? `, span ${text(event.span_id)}` : ""}`;
    case "request": {
      const came = event.error ? text(event.error) : text(event.status);
      return `${text(event.method)} ${text(event.url)}: ${came}${took}`;
    }
    case "log":
    case "warning":
    case "interrupted":
      return text(event.text);
    case "run_ended":
      return `${event.cause ? text(event.cause) : "ended"}, exit ${text(event.code)}`;
    default:
      return "";
  }
}

// The ends of logs that a failure shows; of a job's log by its name.
function tailsOf(failure) {
  const tails = new Map();
  for (const tail of (failure && failure.tails) || []) {
    const name = /`?([\w.-]+)`?$/.exec(text(tail.title));
    if (name) tails.set(name[1], (tail.lines || []).map(text));
  }
  return tails;
}

function jobOf(run, name) {
  if (!run.jobs.has(name))
    run.jobs.set(name, { name, command: "", spans: [], marks: [], tail: null, log: null, usage: [] });
  return run.jobs.get(name);
}

const lastSpan = (job) => job.spans[job.spans.length - 1];

function readEvent(run, event, at) {
  const from = Math.max(0, at - number(event.took_ms));
  if ("try" in event) Object.assign(run, { script: text(event.script), number: number(event.try) });
  const job = "job" in event ? jobOf(run, text(event.job)) : null;
  const span = job && lastSpan(job);
  const end = () => span && Object.assign(span, { to: at, status: text(event.status) });
  switch (event.event) {
    case "run_started":
      run.script = run.script || text(event.script);
      Object.assign(run, { time: text(event.time), version: text(event.bgjobs), trace: text(event.trace_id) });
      break;
    case "job_started":
      if (span && span.to === null) span.to = at;
      if (span) job.marks.push({ at, sign: "↻", bad: false, event });
      job.command = text(event.command);
      job.spans.push({
        from: at,
        ready: null,
        stop: null,
        to: null,
        status: "",
        pid: event.pid,
        what: "",
        died: false,
      });
      break;
    case "job_ready":
      if (span) Object.assign(span, { ready: at, what: text(event.what) });
      break;
    case "job_ended":
      end();
      break;
    case "job_died":
      if (end()) span.died = true;
      job.marks.push({ at, sign: "✕", bad: true, event });
      break;
    case "job_failed":
      job.marks.push({ at, sign: "!", bad: true, event });
      break;
    case "job_stopped":
      // One that has ended by itself is not stopped any more.
      if (span && span.to === null) end().stop = from;
      if (event.killed === true) job.marks.push({ at, sign: "✕", bad: true, event });
      run.teardown = Math.min(run.teardown, from);
      break;
    case "command_started":
      run.pending.push(event);
      break;
    case "command_ended": {
      const begun = run.pending.findIndex((other) => other.command === event.command);
      if (begun >= 0) run.pending.splice(begun, 1);
      run.commands.push({ from, to: at, label: text(event.command), bad: event.ok === false, event });
      break;
    }
    case "wait":
      run.waits.push({ from, to: at, label: text(event.what), bad: event.ok === false, event });
      break;
    case "test":
      run.tests.push({
        from,
        to: at,
        label: text(event.name),
        outcome: text(event.outcome),
        bad: event.outcome === "failed",
        event,
      });
      if (event.failure) run.failures.push({ at, test: text(event.name), failure: event.failure, event });
      break;
    case "request":
      run.requests.push({ from, to: at, label: describe(event), bad: Boolean(event.error), event });
      break;
    case "log":
    case "warning":
    case "interrupted":
      run.notes.push({ from: at, to: at, label: describe(event), bad: event.event === "interrupted", event });
      break;
    case "run_ended":
      Object.assign(run, {
        ended: true,
        code: event.code,
        cause: event.cause ? text(event.cause) : null,
        status: text(event.status),
        said: text(event.said),
        last: event,
      });
      break;
  }
}

// The run failed before its jobs were stopped: at the last thing before that went wrong, if that is recorded.
function momentOfFailure(run) {
  const before = run.events.filter(
    (event) => isBad(event) && event.event !== "run_ended" && event.event !== "test",
  );
  const times = before.map((event) => number(event.ms)).filter((at) => at <= run.teardown);
  if (times.length) return times[times.length - 1];
  return Math.min(run.teardown, run.end);
}

function modelOf(source, index) {
  const run = {
    index,
    script: "",
    number: 1,
    time: "",
    version: "",
    trace: "",
    requests: [],
    said: "",
    status: "",
    jobs: new Map(),
    commands: [],
    waits: [],
    tests: [],
    notes: [],
    failures: [],
    pending: [],
    ended: false,
    code: null,
    cause: null,
    last: null,
    end: 0,
    teardown: Infinity,
    events: source.events,
  };
  // Those of one script among many are told in the time of all.
  const begin = source.events.length ? number(source.events[0].ms) : 0;
  for (const event of source.events) {
    event.ms = Math.max(0, number(event.ms) - begin);
    const at = event.ms;
    run.end = Math.max(run.end, at);
    readEvent(run, event, at);
  }
  for (const event of run.pending) {
    run.commands.push({
      from: number(event.ms),
      to: run.end,
      label: text(event.command),
      bad: !run.ended,
      event,
    });
  }
  if (run.last && run.last.failure) {
    run.failures.push({ at: momentOfFailure(run), test: null, failure: run.last.failure, event: run.last });
  }
  run.failures.sort((a, b) => a.at - b.at);
  for (const one of run.failures) {
    one.tails = tailsOf(one.failure);
    for (const [name, lines] of one.tails) {
      const job = run.jobs.get(name);
      if (job && !job.tail) job.tail = lines;
    }
  }
  for (const [name, looks] of Object.entries(source.usage || {})) {
    const job = jobOf(run, name);
    job.usage = usageOf(looks, begin, job.spans.length ? job.spans[0].from : 0);
  }
  for (const log of source.logs || []) jobOf(run, text(log.job)).log = log;
  run.logsNote = text(source.logs_note);
  if (!run.failures.length && run.said) {
    run.failures.push({
      at: run.end,
      test: null,
      failure: { message: run.status, text: run.said },
      event: null,
    });
  }
  run.state = !run.ended ? "cut" : run.last.state === "passed" ? "passed" : run.cause ? "stopped" : "failed";
  return run;
}

// What is known of a run from the beginning; the rest is read when it is wanted.
const summaryOf = (source, index) => ({ ...source, index, whole: false });

function whole(run) {
  if (!run.whole) {
    const source = JSON.parse($(`run-${run.index}`).textContent);
    Object.assign(run, modelOf(source, run.index), { whole: true });
  }
  return run;
}

const isFine = (run) => run.state === "passed";
// Those that count: not a try that was followed by another.
const counted = (runs) => runs.filter((run) => run.counted);

function verdictOf(run) {
  const code = Number.isInteger(run.code) ? `exit ${run.code}` : run.status || "no code";
  switch (run.state) {
    case "passed":
      return "passed";
    case "cut":
      return "cut short";
    case "stopped":
      return `${run.cause} (${code})`;
    default:
      return `failed (${code})`;
  }
}

// How many tests of these runs there are: 1 failed, 3 passed, 1 skipped.
function countsOf(runs, flaky = 0) {
  const count = (word) => runs.reduce((sum, run) => sum + run.counts[word], 0);
  const parts = ["failed", "passed", "skipped"].map((word) => [count(word), word]).filter(([many]) => many);
  const flakily = flaky ? `, ${flaky} flaky` : "";
  const all = parts.reduce((sum, [many]) => sum + many, 0);
  return { all, words: parts.map(([many, word]) => `${many} ${word}`).join(", ") + flakily };
}
