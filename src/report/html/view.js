// Elements, and lists that are made as they come into view. Text only ever becomes text: nothing here parses markup.

const $ = (id) => document.getElementById(id);

// An element: attributes and listeners by name, then its children, of which strings become text.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A text in which what the pattern matches is marked.
function marked(string, pattern) {
  const parts = [];
  let from = 0;
  if (pattern) {
    for (const found of string.matchAll(pattern)) {
      parts.push(string.slice(from, found.index), h("mark", null, found[0]));
      from = found.index + found[0].length;
    }
  }
  parts.push(string.slice(from));
  return parts;
}

const patternOf = (query) => (query ? new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu") : null);

// Fills `root`, which scrolls, with `count` rows of about this height, a block at a time as it comes near. What is
// returned brings a row into view.
function lazyRows(root, count, height, row) {
  const SIZE = 100;
  root.replaceChildren();
  const fill = (block) => {
    near.unobserve(block);
    if (block.firstChild) return;
    const from = block.index * SIZE;
    for (let index = from; index < Math.min(from + SIZE, count); index++) block.append(row(index));
    block.style.height = "";
  };
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => fill(entry.target)),
    { root, rootMargin: "800px" },
  );
  if (root.rows) root.rows.disconnect();
  root.rows = near;
  for (let index = 0; index * SIZE < count; index++) {
    const block = h("div", { class: "block" });
    block.index = index;
    block.style.height = `${Math.min(SIZE, count - index * SIZE) * height}px`;
    root.append(block);
    if (index === 0) fill(block);
    else near.observe(block);
  }
  return (index) => {
    const block = root.children[Math.floor(index / SIZE)];
    if (!block) return null;
    fill(block);
    const line = block.children[index % SIZE];
    // Inside the list only: the page stays where it is.
    const middle = (root.clientHeight - line.offsetHeight) / 2;
    root.scrollTop += line.getBoundingClientRect().top - root.getBoundingClientRect().top - Math.max(0, middle);
    return line;
  };
}
