// One search for all: scripts, tests, jobs, commands, what was said, and the lines of logs, the failed first.

const found = { query: "", turn: 0, results: [] };
const MOST_RESULTS = 200;
const MOST_OF_A_LOG = 20;

const pause = () => new Promise((go) => setTimeout(go, 0));

function* thingsOf(run) {
  for (const failure of run.failures) {
    const name = failure.test === null ? run.script : failure.test;
    yield {
      kind: "Failure",
      text: [`${name}: ${text(failure.failure.message)}`, ...failure.failure.notes].join("; "),
      go: () => goToFailure(run, failure),
    };
  }
  yield { kind: "Script", text: run.script, go: () => showRun(run) };
  for (const test of run.tests.filter((one) => !one.bad)) {
    yield { kind: "Test", text: `${test.label} (${test.outcome})`, go: () => goToTest(run, test) };
  }
  for (const job of run.jobs.values()) {
    yield {
      kind: "Job",
      text: `${job.name}: ${job.command}`,
      go: () => (showRun(run), openJob(run, job.name)),
    };
  }
  for (const one of [...run.commands, ...run.waits, ...run.requests, ...run.notes]) {
    yield {
      kind: kindOf(one.event).slice(0, -1),
      text: one.label,
      go: () => (showRun(run), goToEvent(one.event)),
    };
  }
}

// The lines of a log in which it occurs, with their numbers.
function* linesWith(run, job, pattern) {
  const whole = job.log ? logText(job.log) : (job.tail || []).join("\n");
  let [line, from, count] = [0, 0, 0];
  for (const hit of whole.matchAll(pattern)) {
    if (hit.index < from) continue;
    for (let at = whole.indexOf("\n", from); at >= 0 && at < hit.index; at = whole.indexOf("\n", at + 1)) {
      line++;
      from = at + 1;
    }
    const end = whole.indexOf("\n", hit.index);
    const words = whole.slice(from, end < 0 ? undefined : end);
    const here = line;
    yield {
      kind: "Log",
      text: `${job.name}:${here + 1}: ${words.slice(0, 500)}`,
      go: () => (showRun(run), openJob(run, job.name, here)),
    };
    if (end < 0 || ++count === MOST_OF_A_LOG) return;
    line++;
    from = end + 1;
  }
}

async function search(query) {
  const turn = ++found.turn;
  const pattern = patternOf(query.trim());
  found.results = [];
  if (!pattern) return showResults(pattern, true);
  // What is on the screen first.
  const runs = [page.run, ...page.runs.filter((run) => run !== page.run)].filter(Boolean);
  const add = (run, things) => {
    for (const thing of things) {
      if (found.results.length >= MOST_RESULTS) return;
      pattern.lastIndex = 0;
      if (pattern.test(thing.text)) found.results.push({ ...thing, run });
    }
  };
  let begun = performance.now();
  const breathe = async () => {
    if (performance.now() - begun < 20) return turn === found.turn;
    showResults(pattern, false);
    await pause();
    begun = performance.now();
    return turn === found.turn;
  };
  for (const run of runs) {
    add(run, thingsOf(whole(run)));
    if (!(await breathe())) return;
  }
  await loaded;
  for (const run of runs) {
    for (const job of run.jobs.values()) {
      add(run, linesWith(run, job, pattern));
      if (!(await breathe())) return;
    }
  }
  showResults(pattern, true);
}

function showResults(pattern, over) {
  const list = $("results");
  $("found").hidden = !pattern;
  const rows = found.results.map(({ kind, text: words, go, run }) => {
    const where = page.runs.length > 1 ? h("small", null, nameOf(run)) : null;
    const open = () => (closeSearch(), go());
    return h(
      "li",
      null,
      h(
        "button",
        { class: kind === "Failure" ? "bad" : null, onclick: open },
        h("b", null, kind),
        h("span", null, ...marked(words.slice(0, 300), pattern)),
        where,
      ),
    );
  });
  list.replaceChildren(...rows);
  const more = found.results.length >= MOST_RESULTS ? "at least " : "";
  $("found-count").textContent =
    rows.length || over ? `${more}${plural(rows.length, "result")}${over ? "" : " so far"}` : "searching";
}

function closeSearch() {
  if ($("found").hidden && !$("search").value) return false;
  found.turn++;
  $("search").value = "";
  $("found").hidden = true;
  return true;
}

function listenToSearch() {
  const input = $("search");
  let soon = 0;
  input.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(search, 80, input.value);
  });
  const step = (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp" && event.key !== "Enter") return;
    const all = [...$("results").querySelectorAll("button")];
    const at = all.indexOf(document.activeElement);
    if (event.key === "Enter") {
      if (at < 0 && all.length) all[0].click();
      return;
    }
    event.preventDefault();
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    (next < 0 ? input : all[Math.min(next, all.length - 1)] || input).focus();
  };
  input.addEventListener("keydown", step);
  $("results").addEventListener("keydown", step);
}
