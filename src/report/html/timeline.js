// The timeline: what the script and its jobs did, on one axis that can be zoomed and moved.

const timeline = { run: null, lanes: [], from: 0, to: 1, end: 1, items: [] };

// Rows for what overlaps; more than a few would be no overview.
function packed(items) {
  const MOST = 6;
  const ends = [];
  items.sort((a, b) => a.from - b.from);
  for (const item of items) {
    let row = ends.findIndex((end) => end <= item.from);
    if (row < 0) row = Math.min(ends.length, MOST - 1);
    ends[row] = Math.max(ends[row] || 0, item.to);
    item.row = row;
  }
  return Math.max(1, ends.length);
}

function jobLane(run, job) {
  const items = [];
  const add = (from, to, style, short, more) => {
    const label = `${job.name}: ${style}, ${more}`;
    if (to > from || style === "ready") items.push({ from, to, style, short, label, job: job.name, row: 0 });
  };
  for (const span of job.spans) {
    const to = span.to === null ? run.end : span.to;
    const stop = span.stop === null ? to : span.stop;
    const ready = span.ready === null ? stop : span.ready;
    const started = duration(ready - span.from);
    // A job need not have anything that shows that it is ready.
    if (span.ready === null) add(span.from, stop, "running", span.status, span.status || "never seen ready");
    else {
      add(span.from, ready, "starting", started, `ready after ${started}`);
      add(ready, stop, "ready", span.what, span.what);
    }
    add(stop, to, "stopping", duration(to - stop), span.status || "as it was asked to");
  }
  for (const mark of job.marks) {
    items.push({
      from: mark.at,
      to: mark.at,
      style: mark.bad ? "mark bad" : "mark",
      sign: mark.sign,
      label: describe(mark.event),
      job: job.name,
      row: 0,
    });
  }
  const died = job.spans.some((span) => span.died);
  return { name: job.name, job, bad: died || job.marks.some((mark) => mark.bad), items, rows: 1 };
}

function lanesOf(run) {
  const lane = (name, items, style) => {
    const all = items.map((item) => ({ ...item, style: `${style(item)}${item.bad ? " bad" : ""}` }));
    return { name, items: all, rows: packed(all), job: null, bad: false };
  };
  const lanes = [
    lane("Tests", run.tests, (test) => `test ${test.outcome}`),
    lane("Commands", run.commands, () => "command"),
    lane("Waits", run.waits, () => "wait"),
    lane("Requests", run.requests, () => "request"),
    lane("Notes", run.notes, () => "mark note"),
  ];
  return [
    ...lanes.filter((one) => one.items.length),
    ...[...run.jobs.values()].map((job) => jobLane(run, job)),
  ];
}

function showTimeline(run) {
  const end = Math.max(run.end, 1);
  Object.assign(timeline, { run, lanes: lanesOf(run), from: 0, to: end, end });
  const root = $("lanes");
  root.replaceChildren();
  $("usage-keys").hidden = !timeline.lanes.some((lane) => lane.job && lane.job.usage.length);
  for (const lane of timeline.lanes) {
    lane.track = h("div", { class: "track" });
    const job = lane.job;
    lane.plot = job && job.usage.length ? plotOf(job) : null;
    lane.track.style.height = `${lane.rows * 20 + (lane.plot ? 26 : 0)}px`;
    const label = job
      ? h(
          "button",
          {
            class: `label${lane.bad ? " bad" : ""}`,
            "data-job": lane.name,
            title: job.command,
            onclick: () => openJob(run, lane.name),
          },
          lane.name,
        )
      : h("span", { class: "label" }, lane.name);
    root.append(h("div", { class: job ? "lane job" : "lane" }, label, lane.track));
  }
  drawTimeline();
}

// Round steps, at most so many.
function stepOf(span, most) {
  const least = span / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= least);
  const seconds = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((one) => one * 1000);
  return step <= 10000 ? step : seconds.find((one) => one >= least) || Math.ceil(least / 3600000) * 3600000;
}

function tickLabel(at, step) {
  if (at === 0) return "0";
  if (step >= 10000 && at >= 60000) return duration(at);
  if (step >= 1000) return `${Math.round(at / 1000)} s`;
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step / 1000))));
  return at < 1000 && step < 1000 ? `${Number(at.toFixed(3))} ms` : `${(at / 1000).toFixed(digits)} s`;
}

const share = (at) => ((at - timeline.from) / (timeline.to - timeline.from)) * 100;

function placed(element, at) {
  element.style.left = `${share(at)}%`;
  return element;
}

function drawTimeline() {
  const { from, to, run } = timeline;
  const span = to - from;
  const width = Math.max($("axis").clientWidth, 100);
  const step = stepOf(span, Math.max(2, width / 90));
  const [ticks, lines] = [[], []];
  for (let n = Math.ceil(from / step); n * step <= to; n++) {
    const at = n * step;
    lines.push(placed(h("i", { class: "grid" }), at));
    // What would stand out at the right is left out.
    if (share(at) < 100 - 4500 / width) ticks.push(placed(h("span", null, tickLabel(at, step)), at));
  }
  for (const failure of run.failures) {
    if (failure.at >= from && failure.at <= to) lines.push(placed(h("i", { class: "failure" }), failure.at));
  }
  $("axis").replaceChildren(...ticks);
  $("lines").replaceChildren(...lines);
  timeline.items = [];
  for (const lane of timeline.lanes) {
    const drawn = [];
    const right = new Map();
    for (const item of lane.items) {
      if (item.to < from || item.from > to) continue;
      const [left, end] = [Math.max(item.from, from), Math.min(item.to, to)];
      const pixels = ((end - left) / span) * width;
      const place = ((left - from) / span) * width;
      const bad = item.style.endsWith("bad");
      // What would be drawn over what is there already shows nothing new.
      if (!bad && !item.sign && place + pixels < (right.get(item.row) ?? -1) + 1) continue;
      right.set(item.row, place + pixels);
      const bar = h(
        "span",
        { class: `bar ${item.style}`, "data-item": timeline.items.length },
        item.sign || (pixels > 40 ? (item.short ?? item.label) : ""),
      );
      if (!item.sign) bar.style.width = `${Math.max((pixels / width) * 100, 0)}%`;
      bar.style.top = `${item.row * 20 + 2}px`;
      drawn.push(placed(bar, left));
      timeline.items.push(item);
    }
    if (lane.plot) lane.plot.setAttribute("viewBox", `${from} 0 ${span} 100`);
    lane.track.replaceChildren(...drawn, ...(lane.plot ? [lane.plot] : []));
  }
  $("range").textContent = span < timeline.end ? `${moment(from)} to ${moment(to)}` : "";
  $("fit").disabled = span >= timeline.end;
}

let drawing = 0;
function look(from, to) {
  const span = Math.min(Math.max(to - from, timeline.end / 1e5, 0.05), timeline.end);
  const begin = Math.min(Math.max(from, 0), timeline.end - span);
  Object.assign(timeline, { from: begin, to: begin + span });
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(drawTimeline);
}

// `at`: the share of the width that stays where it is.
function zoom(factor, at = 0.5) {
  const span = timeline.to - timeline.from;
  const fixed = timeline.from + span * at;
  look(fixed - span * factor * at, fixed + span * factor * (1 - at));
}

function pan(shareOfWidth) {
  const by = (timeline.to - timeline.from) * shareOfWidth;
  look(timeline.from + by, timeline.to + by);
}

// Brings something into view, in the middle.
function lookAt(from, to) {
  if (from >= timeline.from && to <= timeline.to) return;
  const span = Math.max(timeline.to - timeline.from, (to - from) * 1.5);
  look((from + to - span) / 2, (from + to + span) / 2);
}

const shareAt = (x) => {
  const box = $("axis").getBoundingClientRect();
  return Math.min(1, Math.max(0, (x - box.left) / box.width));
};

function itemAt(target) {
  const bar = target instanceof Element && target.closest("[data-item]");
  return bar ? timeline.items[bar.dataset.item] : null;
}

// The job whose plot this is.
function plottedAt(target) {
  const plot = target instanceof Element && target.closest("[data-plot]");
  return plot ? timeline.run.jobs.get(plot.dataset.plot) : null;
}

function showTip(event) {
  const share = shareAt(event.clientX);
  const item = itemAt(event.target);
  const plotted = plottedAt(event.target);
  const cursor = $("cursor");
  cursor.hidden = false;
  cursor.style.left = `${share * 100}%`;
  const at = timeline.from + (timeline.to - timeline.from) * share;
  const what = item
    ? `${item.label}\n${moment(item.from)}${item.to > item.from ? `, ${duration(item.to - item.from)}` : ""}`
    : plotted
      ? `${plotted.name}: ${usageAt(plotted.usage, at)}\n${moment(at)}`
      : moment(at);
  const tip = $("tip");
  tip.textContent = what;
  tip.hidden = false;
  const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = event.clientY + tip.offsetHeight + 24 > innerHeight;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${above ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16}px`;
}

function hideTip() {
  $("tip").hidden = true;
  $("cursor").hidden = true;
}

function listenToTimeline() {
  const root = $("timeline");
  const pointers = new Map();
  let moved = false;
  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    pointers.set(event.pointerId, event.clientX);
    moved = false;
  });
  root.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) return showTip(event);
    const width = $("axis").clientWidth;
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
      if (was > 8 && is > 8) zoom(was / is, shareAt((event.clientX + other) / 2));
      moved = true;
    } else if (moved || Math.abs(event.clientX - before) > 4) {
      moved = true;
      root.setPointerCapture(event.pointerId);
      pan((before - event.clientX) / width);
    } else return;
    pointers.set(event.pointerId, event.clientX);
    hideTip();
  });
  const release = (event) => pointers.delete(event.pointerId);
  ["pointerup", "pointercancel"].forEach((name) => root.addEventListener(name, release));
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("click", (event) => {
    const item = moved ? null : itemAt(event.target);
    const plotted = moved ? null : plottedAt(event.target);
    if (plotted) openJob(timeline.run, plotted.name);
    else if (item && item.job) openJob(timeline.run, item.job);
    else if (item) goToEvent(item.event);
  });
  root.addEventListener("dblclick", (event) => zoom(0.4, shareAt(event.clientX)));
  root.addEventListener(
    "wheel",
    (event) => {
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      // The page itself scrolls over the timeline, unless that was chosen.
      const chosen = event.ctrlKey || event.metaKey || root.contains(document.activeElement);
      if (sideways && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) pan(sideways / 800);
      else if (chosen) zoom(Math.exp(event.deltaY / 400), shareAt(event.clientX));
      else return;
      event.preventDefault();
    },
    { passive: false },
  );
  root.addEventListener("keydown", (event) => {
    const keys = {
      "+": () => zoom(0.6),
      "=": () => zoom(0.6),
      "-": () => zoom(1 / 0.6),
      ArrowLeft: () => pan(-0.15),
      ArrowRight: () => pan(0.15),
      0: () => look(0, timeline.end),
      Home: () => pan(-1e9),
      End: () => pan(1e9),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  $("zoom-in").addEventListener("click", () => zoom(0.6));
  $("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
  $("fit").addEventListener("click", () => look(0, timeline.end));
  new ResizeObserver(() => timeline.run && drawTimeline()).observe($("axis"));
}
