// What a job uses of memory and processor: a small plot below its bars, and words about it.

// A rate from what was used in all: between two looks, and before the first since the job was started.
function usageOf(looks, begin, started) {
  let before = [started, 0];
  return looks.map(([ms, cpu, rss]) => {
    const at = Math.max(0, number(ms) - begin);
    const [since, used] = before;
    before = [at, number(cpu)];
    const share = at > since ? Math.max(0, number(cpu) - used) / (at - since) : 0;
    return { at, share, cpu: number(cpu), rss: number(rss) };
  });
}

const percent = (share) => `${Math.round(share * 100)} %`;
const mostOf = (usage, key) => usage.reduce((most, look) => Math.max(most, look[key]), 0);

function describeUsage(usage) {
  const [rss, share] = [mostOf(usage, "rss"), mostOf(usage, "share")];
  return `at most ${bytes(rss)} and ${percent(share)} of a processor, ${duration(usage[usage.length - 1].cpu)} of it in all`;
}

// What it used at this moment: of the look that is nearest.
function usageAt(usage, at) {
  const far = (look) => Math.abs(look.at - at);
  const near = usage.reduce((best, look) => (far(look) < far(best) ? look : best));
  return `${bytes(near.rss)}, ${percent(near.share)} of a processor`;
}

function drawn(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Memory as an area, the processor as a line, each as high as its most. It is moved and zoomed by its `viewBox`.
function plotOf(job) {
  const HEIGHT = 100;
  // What does next to nothing is not to look busy.
  const [rss, share] = [Math.max(mostOf(job.usage, "rss"), 1), Math.max(mostOf(job.usage, "share"), 0.1)];
  const line = (key, most) =>
    job.usage.map((look) => `${look.at.toFixed(1)},${(HEIGHT * (1 - look[key] / most)).toFixed(1)}`).join(" ");
  const [first, last] = [job.usage[0].at, job.usage[job.usage.length - 1].at];
  const label = `${job.name}: ${describeUsage(job.usage)}`;
  const plot = drawn("svg", { class: "plot", role: "img", "aria-label": label, preserveAspectRatio: "none" });
  plot.dataset.plot = job.name;
  plot.append(
    drawn("polygon", { points: `${first},${HEIGHT} ${line("rss", rss)} ${last},${HEIGHT}` }),
    drawn("polyline", { points: line("share", share) }),
  );
  return plot;
}
