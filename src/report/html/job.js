// The panel of a job: what became of it, and its log, with a search of its own and the moment of a failure marked.

const panel = { run: null, job: null, lines: [], marks: new Map(), hits: [], hit: -1, go: null, opener: null };

// Logs stand at the end of the page, which is shown before they are there.
const isLoading = () => document.readyState === "loading";
const loaded = new Promise((go) => (isLoading() ? document.addEventListener("DOMContentLoaded", go) : go()));

// The log as far as it is in the page: read when it is wanted.
function logText(log) {
  if (log.text === undefined) log.text = JSON.parse($(`log-${log.id}`).textContent);
  return log.text;
}

const linesOf = (string) => (string === "" ? [] : string.replace(/\n$/, "").split("\n"));

// The lines of a job that the page has, which may be only those that a failure shows.
function linesOfJob(job) {
  if (job.log) return isLoading() ? [] : linesOf(logText(job.log));
  return job.tail || [];
}

// After which line the log stood when something failed: behind the last of those that the failure shows.
function endOfTail(lines, tail) {
  const plain = (line) =>
    line
      .replace(/ ×\d+$/, "")
      .replace(/…$/, "")
      .trimEnd();
  const last = tail.length ? plain(tail[tail.length - 1]) : "";
  if (!last) return -1;
  const before = tail.length > 1 ? plain(tail[tail.length - 2]) : null;
  let found = -1;
  for (let index = lines.length - 1; index >= 0; index--) {
    if (!lines[index].startsWith(last)) continue;
    if (before === null || (index > 0 && lines[index - 1].startsWith(before))) return index;
    if (found < 0) found = index;
  }
  return found;
}

// What is said between the lines: by the number of the line it stands behind.
function marksOf(run, job, lines) {
  const marks = new Map();
  const add = (line, words) => line >= 0 && marks.set(line, [...(marks.get(line) || []), words]);
  for (const { event } of job.marks.filter((mark) => mark.event.event === "job_failed")) {
    add(lines.lastIndexOf(text(event.line)), `${moment(event.ms)}: this line means failure`);
  }
  for (const { at, test, failure, tails } of run.failures) {
    const tail = tails.get(job.name);
    const words =
      test === null
        ? `the run failed: ${firstLine(failure.message)}`
        : `${test} failed: ${firstLine(failure.message)}`;
    if (tail) add(job.log ? endOfTail(lines, tail) : lines.length - 1, `${moment(at)}: ${words}`);
  }
  const end = lastSpan(job);
  if (end && end.died && lines.length) add(lines.length - 1, `${moment(end.to)}: died, ${end.status}`);
  return marks;
}

const firstLine = (string) => text(string).split("\n", 1)[0];

// What became of it, a fact each.
function factsOf(run, job) {
  const facts = [];
  const spans = job.spans;
  const last = lastSpan(job);
  if (!last) return ["it was never seen to start"];
  facts.push(`started ${moment(spans[0].from)}`);
  for (const span of spans.filter((one) => one.died && one !== last))
    facts.push(`died ${moment(span.to)}: ${span.status}`);
  if (spans.length > 1)
    facts.push(
      `started again ${moment(last.from)}${spans.length > 2 ? `, ${spans.length - 1} times in all` : ""}`,
    );
  facts.push(
    last.ready === null ? "never seen ready" : `ready after ${duration(last.ready - last.from)} (${last.what})`,
  );
  if (last.died) facts.push(`died ${moment(last.to)}: ${last.status}`);
  else if (last.stop !== null)
    facts.push(`stopped in ${duration(last.to - last.stop)}${last.status ? `: ${last.status}` : ""}`);
  else if (last.to !== null) facts.push(`ended ${moment(last.to)}: ${last.status}`);
  else facts.push("its end was not recorded");
  if (job.usage.length) facts.push(describeUsage(job.usage));
  return facts;
}

function noteOfLog(run, job) {
  const log = job.log;
  if (!log) {
    const why = run.logsNote || "its log was not there when this page was made";
    return job.tail ? `Only the end of its log, as the failure shows it: ${why}.` : `No log: ${why}.`;
  }
  if (isLoading()) return `${log.path}: the page still loads.`;
  if (log.left_out) {
    return `${log.path}: the first ${bytes(log.head)} and the last ${bytes(log.tail)} of ${bytes(log.size)}; ${bytes(log.left_out)} between them are left out.`;
  }
  return `${log.path}: ${plural(panel.lines.length, "line")}, ${bytes(log.size)}.`;
}

function openJob(run, name, line = null) {
  const job = run.jobs.get(name);
  if (!job) return;
  const lines = linesOfJob(job);
  if (job.log && isLoading()) loaded.then(() => panel.job === job && openJob(run, name, line));
  const opener = $("job").hidden ? document.activeElement : panel.opener;
  Object.assign(panel, { run, job, lines, marks: marksOf(run, job, lines), opener });
  const died = job.spans.some((span) => span.died);
  $("job-name").textContent = name;
  $("job-command").textContent = job.command;
  $("job-facts").replaceChildren(
    ...factsOf(run, job).map((fact) => h("li", { class: /^died/.test(fact) ? "bad" : null }, fact)),
  );
  $("job-note").textContent = noteOfLog(run, job);
  $("job-failure").hidden = panel.marks.size === 0;
  $("job").hidden = false;
  document.body.classList.add("with-job");
  for (const label of document.querySelectorAll("[data-job]"))
    label.setAttribute("aria-expanded", label.dataset.job === name);
  findInLog($("find").value);
  if (line !== null) goToLine(line);
  else if (panel.marks.size) goToLine(Math.min(...panel.marks.keys()));
  $("job").focus({ preventScroll: true });
  remember();
  return died;
}

function closeJob() {
  if ($("job").hidden) return false;
  $("job").hidden = true;
  document.body.classList.remove("with-job");
  for (const label of document.querySelectorAll("[data-job]")) label.removeAttribute("aria-expanded");
  const back = panel.opener;
  Object.assign(panel, { job: null, opener: null });
  if (back && back.isConnected) back.focus({ preventScroll: true });
  remember();
  return true;
}

function goToLine(line) {
  const row = panel.go && panel.go(line);
  $("log")
    .querySelectorAll(".here")
    .forEach((other) => other.classList.remove("here"));
  if (row) row.classList.add("here");
}

function drawLog(pattern) {
  panel.go = lazyRows($("log"), panel.lines.length, 18, (index) => {
    const row = h(
      "div",
      { class: "line", "data-n": index + 1 },
      h("span", null, ...marked(panel.lines[index] || " ", pattern)),
    );
    const marks = panel.marks.get(index);
    if (marks) row.append(h("strong", { class: "moment" }, marks.join("; ")));
    return row;
  });
  if (!panel.lines.length)
    $("log").replaceChildren(
      h("p", { class: "dim" }, panel.job.log ? (isLoading() ? "It comes when the page is loaded." : "It has printed nothing.") : "Nothing of it is in this page."),
    );
}

function findInLog(query) {
  const pattern = patternOf(query);
  panel.hits = [];
  if (pattern) {
    panel.lines.forEach((line, index) => {
      pattern.lastIndex = 0;
      if (pattern.test(line)) panel.hits.push(index);
    });
  }
  panel.hit = -1;
  drawLog(pattern);
  $("find-count").textContent = query
    ? `${panel.hits.length ? "" : "no "}${panel.hits.length ? plural(panel.hits.length, "line") : "line"}`
    : "";
  if (panel.hits.length) nextHit(1);
}

function nextHit(step) {
  const count = panel.hits.length;
  if (!count) return;
  panel.hit = (panel.hit + step + count) % count;
  $("find-count").textContent = `${panel.hit + 1} of ${plural(count, "line")}`;
  goToLine(panel.hits[panel.hit]);
}

function nextFailure() {
  const all = [...panel.marks.keys()].sort((a, b) => a - b);
  const here = $("log").querySelector(".here");
  const at = here ? Number(here.dataset.n) - 1 : -1;
  goToLine(all.find((line) => line > at) ?? all[0]);
}

function listenToJob() {
  $("job-close").addEventListener("click", closeJob);
  $("job-failure").addEventListener("click", nextFailure);
  $("wrap").addEventListener("click", () => {
    const wraps = $("log").classList.toggle("wrap");
    $("wrap").setAttribute("aria-pressed", wraps);
  });
  $("find").addEventListener("input", () => findInLog($("find").value));
  $("find").addEventListener("keydown", (event) => {
    if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
  });
}
