// The page: the verdict, the scripts, and of the chosen one its failures, timeline, tests and events.

const page = { runs: [], run: null, kinds: new Set(), goToRow: null, rows: [] };

// A script that was run several times has the number of the run behind its name.
function nameOf(run) {
  const same = page.runs.filter((other) => other.script === run.script);
  return same.length > 1 ? `${run.script} (${same.indexOf(run) + 1})` : run.script || "a run";
}

const signOf = (run) => (isFine(run) ? "✓" : run.state === "failed" ? "✕" : "■");

function showVerdict() {
  const { runs } = page;
  const count = counted(runs);
  const bad = count.filter((run) => !isFine(run));
  const one = runs.length === 1 ? runs[0] : null;
  $("verdict").className = bad.length ? "bad" : "good";
  $("verdict").textContent = one
    ? verdictOf(one)
    : bad.length
      ? `${bad.length} of ${count.length} scripts did not pass`
      : `${plural(count.length, "script")} passed`;
  const tests = countsOf(runs.filter((run) => !run.again), data.flaky);
  const parts = one ? [one.script, duration(one.end)] : [duration(runs.reduce((sum, run) => sum + run.end, 0))];
  if (tests.all) parts.push(`${plural(tests.all, "test")}: ${tests.words}`);
  if (one) parts.push(plural(whole(one).jobs.size, "job"));
  if (data.not_run) parts.push(`${plural(data.not_run, "script")} not run`);
  if (runs.length && runs[0].time) parts.push(runs[0].time.replace("T", " ").replace(/\.\d+Z$/, " UTC"));
  $("summary").textContent = parts.join(" · ");
}

function showScripts() {
  if (page.runs.length < 2) return;
  $("scripts").hidden = false;
  document.body.classList.add("many");
  const count = counted(page.runs);
  const bad = count.filter((run) => !isFine(run)).length;
  $("scripts-title").textContent = `${plural(count.length, "script")}${bad ? `, ${bad} not passed` : ""}`;
  $("scripts").open = !narrow.matches;
  $("filter").addEventListener("input", drawScripts);
  $("only-bad").addEventListener("click", () => {
    $("only-bad").setAttribute("aria-pressed", $("only-bad").getAttribute("aria-pressed") !== "true");
    drawScripts();
  });
  $("only-bad").hidden = page.runs.every(isFine);
  drawScripts();
}

function drawScripts() {
  const words = $("filter").value.toLowerCase();
  const onlyBad = $("only-bad").getAttribute("aria-pressed") === "true";
  const shown = page.runs.filter(
    (run) => nameOf(run).toLowerCase().includes(words) && !(onlyBad && isFine(run)),
  );
  // Those that did not pass first, then those that were tried again; else in the order of the file.
  const rank = (run) => (isFine(run) ? 2 : run.again ? 1 : 0);
  shown.sort((a, b) => rank(a) - rank(b) || a.index - b.index);
  lazyRows($("list"), shown.length, 28, (index) => {
    const run = shown[index];
    const choose = () => {
      showRun(run);
      if (narrow.matches) $("scripts").open = false;
    };
    return h(
      "button",
      {
        class: `script ${isFine(run) ? "good" : "bad"}`,
        "data-run": run.index,
        "aria-current": run === page.run ? "true" : null,
        onclick: choose,
      },
      h("i", { "aria-label": verdictOf(run), role: "img" }, signOf(run)),
      h("span", null, nameOf(run)),
      h("small", null, duration(run.end)),
    );
  });
  if (!shown.length) $("list").replaceChildren(h("p", { class: "dim" }, "No script is called so."));
}

function showRun(run) {
  if (page.run === run) return;
  closeJob();
  whole(run);
  page.run = run;
  document.querySelectorAll("[data-run]").forEach((row) => {
    if (Number(row.dataset.run) === run.index) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
  $("run-title").hidden = page.runs.length < 2;
  $("run-title").replaceChildren(
    nameOf(run),
    h("small", { class: isFine(run) ? "good" : "bad" }, verdictOf(run)),
    h("small", null, duration(run.end)),
  );
  showFailures(run);
  showTests(run);
  showEvents(run);
  showTimeline(run);
  remember();
}

// The text of a failure as a terminal shows it, with what matters set off.
function reportOf(failure) {
  const lines = text(failure.text).replace(/\n$/, "").split("\n");
  // It stands above it already.
  if (lines.length > 1 && lines[0] === `error: ${text(failure.message)}`) lines.shift();
  const style = (line) => {
    if (/^error: /.test(line)) return "bad";
    if (/^ *\| +\^+$/.test(line)) return "bad";
    if (/^try: /.test(line)) return "good";
    if (/^(last lines of|  -->|  =)/.test(line)) return "dim";
    return null;
  };
  return h(
    "pre",
    { tabindex: 0, "aria-label": "The report of the failure" },
    ...lines.flatMap((line) => [h("span", { class: style(line) }, line), "\n"]),
  );
}

function showFailures(run) {
  const root = $("failures");
  root.hidden = !run.failures.length && run.state !== "cut";
  const parts = [];
  if (run.state === "cut") {
    parts.push(
      h(
        "p",
        { class: "bad" },
        `The run was killed, or still runs: its events end at ${moment(run.end)}, and nothing tells how it has ended.`,
      ),
    );
  }
  run.failures.forEach((failure, index) => {
    const title = failure.test === null ? text(failure.failure.message) : failure.test;
    const place = failure.failure.place;
    const where = place ? `${text(place.file)}:${text(place.line)}:${text(place.column)}` : "";
    const jobs = [...failure.tails.keys()].filter((name) => run.jobs.has(name));
    const show = () => {
      lookAt(failure.at, failure.at);
      $("timeline").scrollIntoView({ block: "center" });
      $("timeline").focus({ preventScroll: true });
    };
    failure.element = h(
      "details",
      { class: "failure", open: index === 0 },
      h(
        "summary",
        null,
        h("b", null, title),
        h("small", null, `${moment(failure.at)}${where ? ` · ${where}` : ""}`),
      ),
      failure.test === null ? null : h("p", { class: "message bad" }, text(failure.failure.message)),
      reportOf(failure.failure),
      h(
        "p",
        { class: "actions" },
        h("button", { onclick: show }, "Show in the timeline"),
        ...jobs.map((name) =>
          h("button", { "data-job": name, onclick: () => openJob(run, name) }, `Log of ${name}`),
        ),
        run.trace && failure.event && failure.event.span_id
          ? h("small", null, `trace ${run.trace}, span ${text(failure.event.span_id)}`)
          : null,
      ),
    );
    parts.push(failure.element);
  });
  $("failures-title").textContent =
    run.failures.length > 1
      ? `First cause, and ${plural(run.failures.length - 1, "other failure")}`
      : "First cause";
  $("failure-list").replaceChildren(...parts);
}

function goToFailure(run, failure) {
  showRun(run);
  failure.element.open = true;
  failure.element.scrollIntoView({ block: "nearest" });
  failure.element.querySelector("summary").focus();
}

function goToTest(run, test) {
  showRun(run);
  const failure = run.failures.find((one) => one.event === test.event);
  if (failure) return goToFailure(run, failure);
  const row = page.goToTest(run.tests.indexOf(test));
  if (row) {
    $("tests").scrollIntoView({ block: "nearest" });
    row.focus({ preventScroll: true });
  }
}

const SIGNS = { passed: "✓", failed: "✕", skipped: "–" };

function showTests(run) {
  $("tests").hidden = !run.tests.length;
  $("tests-title").replaceChildren("Tests", h("small", null, countsOf([run]).words));
  page.goToTest = lazyRows($("test-list"), run.tests.length, 26, (index) => {
    const test = run.tests[index];
    const go = () => (test.bad ? goToTest(run, test) : goToEvent(test.event));
    return h(
      "button",
      { class: `row ${test.outcome}`, onclick: go },
      h("i", { role: "img", "aria-label": test.outcome }, SIGNS[test.outcome] || "?"),
      h("span", null, test.label, h("small", null, `${text(test.event.reason)}${againOf(test.event)}`)),
      h("small", null, duration(test.to - test.from)),
    );
  });
}

function showEvents(run) {
  const counts = new Map();
  for (const event of run.events) counts.set(kindOf(event), (counts.get(kindOf(event)) || 0) + 1);
  page.kinds = new Set();
  const bad = run.events.filter(isBad).length;
  const button = (kind, count) =>
    h(
      "button",
      { "aria-pressed": "false", "data-kind": kind, onclick: () => chooseKind(kind) },
      `${kind} `,
      h("small", null, count),
    );
  const kinds = [...counts].map(([kind, count]) => button(kind, count.toLocaleString("en")));
  $("kinds").replaceChildren(...(bad ? [button("Failures", bad)] : []), ...kinds);
  $("events-title").replaceChildren("Events", h("small", null, run.events.length.toLocaleString("en")));
  drawEvents();
}

function chooseKind(kind) {
  if (kind === null) page.kinds.clear();
  else if (!page.kinds.delete(kind)) page.kinds.add(kind);
  for (const one of $("kinds").children) one.setAttribute("aria-pressed", page.kinds.has(one.dataset.kind));
  drawEvents();
}

function drawEvents() {
  const chosen = (event) =>
    !page.kinds.size || page.kinds.has(kindOf(event)) || (page.kinds.has("Failures") && isBad(event));
  page.rows = page.run.events.filter(chosen);
  page.goToRow = lazyRows($("event-list"), page.rows.length, 22, (index) => {
    const event = page.rows[index];
    const from = event.ms - number(event.took_ms);
    return h(
      "button",
      { class: `event${isBad(event) ? " bad" : ""}`, onclick: () => lookAt(from, event.ms) },
      h("time", null, moment(event.ms)),
      h("b", null, text(event.event).replaceAll("_", " ")),
      h("span", null, firstLine(describe(event)).slice(0, 500)),
    );
  });
}

function goToEvent(event) {
  if (!page.rows.includes(event)) chooseKind(null);
  const row = page.goToRow(page.rows.indexOf(event));
  if (!row) return;
  $("events").scrollIntoView({ block: "nearest" });
  row.focus({ preventScroll: true });
}

// Where one is stands in the address, so that it can be sent to somebody: #2/api
function remember() {
  if (!page.run) return;
  const parts = [page.run.index + 1, ...(panel.job ? [panel.job.name] : [])];
  const only = parts.length === 1 && page.runs.length === 1;
  // Some places forbid it; then it is not kept.
  try {
    history.replaceState(null, "", only ? "#" : `#${parts.map(encodeURIComponent).join("/")}`);
  } catch {
    /* as it was */
  }
}

function recall() {
  const parts = location.hash.slice(1).split("/");
  const run = page.runs[Number(parts[0]) - 1] || counted(page.runs).find((one) => !isFine(one)) || page.runs[0];
  if (!run) return;
  let job = null;
  try {
    job = parts[1] ? decodeURIComponent(parts[1]) : null;
  } catch {
    /* not one of ours */
  }
  showRun(run);
  if (job) openJob(run, job);
}

const narrow = matchMedia("(max-width: 760px)");

function listenToTheme() {
  const isDark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => ($("theme").textContent = isDark() ? "Light" : "Dark");
  try {
    const kept = localStorage.getItem("bgjobs-theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch {
    /* nothing is kept */
  }
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("bgjobs-theme", document.documentElement.dataset.theme);
    } catch {
      /* nothing is kept */
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      $("search").focus();
    } else if (event.key === "Escape") {
      if (!closeSearch() && !closeJob() && typing) event.target.blur();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("#found, #search")) $("found").hidden = true;
  });
}

const data = JSON.parse($("data").textContent);
page.runs = data.runs.map(summaryOf);
document.body.classList.remove("without-script");
listenToTheme();
listenToKeys();
listenToSearch();
listenToTimeline();
listenToJob();
showVerdict();
showScripts();
recall();
if (!page.runs.length) $("failures").hidden = $("when").hidden = $("tests").hidden = $("events").hidden = true;
if (data.damaged) $("damaged").textContent = `${plural(data.damaged, "line")} of the events could not be read.`;
