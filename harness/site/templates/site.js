// The script of a site: that of every page, filters that links keep, and two theories side by side.
"use strict";
(() => {
{% include "page.js" %}

  // ---- the theme goes from page to page, where the browser lets pages keep anything
  const stored = (action) => {
    try {
      return action(localStorage);
    } catch {
      return null;
    }
  };
  const wish = stored((store) => store.getItem("limitbench-theme"));
  if (wish === "light" || wish === "dark") {
    document.documentElement.dataset.theme = wish;
    theme.textContent = `Theme: ${wish}`;
  }
  theme.addEventListener("click", () =>
    stored((store) => store.setItem("limitbench-theme", document.documentElement.dataset.theme ?? "system")),
  );

  // ---- links to other pages keep what is chosen, and add what they choose themselves
  const links = () => {
    const kept = chosen();
    for (const link of document.querySelectorAll("a[href]")) {
      const [file, own] = link.getAttribute("href").split("#?");
      if (!/^(?!\w+:)[^#]+\.html$/.test(file)) continue;
      link.dataset.own ??= own ?? "";
      const all = new URLSearchParams(kept);
      for (const [name, text] of new URLSearchParams(link.dataset.own)) all.set(name, text);
      link.setAttribute("href", all.size ? `${file}#?${all}` : file);
    }
  };
  const remember = (form) => {
    const all = chosen();
    for (const [name, text] of new FormData(form)) {
      if (text) all.set(name, text);
      else all.delete(name);
    }
    keep(all);
    links();
  };
  // a link within the page would put its target in place of what is chosen
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const target = link && document.getElementById(link.hash.slice(1));
    if (!target || !chosen().size) return;
    event.preventDefault();
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  });

  // ---- filters of the rows that are of an experiment
  const form = document.querySelector(".filters[role=search]");
  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const text = wanted.experiment.trim().toLowerCase();
    const kinds = Object.keys(wanted).filter((kind) => kind !== "experiment" && wanted[kind]);
    const rows = [...document.querySelectorAll("tr[data-experiment]")];
    let count = 0;
    for (const row of rows) {
      const { dataset } = row;
      const fits =
        dataset.experiment.toLowerCase().includes(text) &&
        kinds.every((kind) => (dataset[kind] ?? "").split("\n").includes(wanted[kind]));
      row.hidden = !fits;
      count += fits;
    }
    document.getElementById("shown").textContent = `${count} of ${rows.length} rows`;
    document.getElementById("nothing").hidden = count > 0;
    // verdicts of the rows that are shown, under each theory
    for (const table of document.querySelectorAll("table.matrix")) {
      const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
      [...table.tFoot.rows[0].cells].slice(1).forEach((cell, k) => {
        const verdicts = shown.map((row) => row.cells[k + 1].dataset.verdict).filter(Boolean);
        const agreed = verdicts.filter((verdict) => verdict === "agrees").length;
        cell.textContent = verdicts.length ? `${agreed} of ${verdicts.length}` : "–";
      });
    }
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("input", () => {
      filter();
      remember(form);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () =>
      setTimeout(() => {
        filter();
        remember(form);
      }),
    );
  }

  // ---- two theories side by side
  const side = document.getElementById("side-by-side");
  const data = side && JSON.parse(document.getElementById("data").textContent);
  const percent = (share, sign = "") => {
    const points = Number((100 * share).toFixed(2)) || 0; // zero has no sign
    return `${sign && points > 0 ? "+" : ""}${points.toFixed(2)}\u00a0%`.replace("-", "\u2212");
  };
  const element = (name, text, value) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (value !== undefined) {
      made.className = "number";
      made.dataset.value = value;
    }
    return made;
  };
  const judged = (verdict) => {
    const cell = document.createElement("td");
    const badge = element("span", verdict);
    badge.className = `badge ${verdict}`;
    cell.append(badge);
    return cell;
  };
  const line = (k, first, second, difference, nearer) => {
    const { page, ...facts } = data.experiments[k];
    const row = document.createElement("tr");
    Object.assign(row.dataset, facts);
    const head = document.createElement("th");
    head.scope = "row";
    const link = element("a", facts.experiment);
    link.href = page;
    head.append(link);
    row.append(head);
    for (const [gap, low, high, verdict] of [first, second]) {
      const cell = element("td", percent(gap), gap);
      cell.title = `95 % interval ${percent(low)} to ${percent(high)}`;
      row.append(cell, judged(verdict));
    }
    row.append(element("td", percent(difference, "+"), difference), element("td", nearer));
    return row;
  };
  const showPair = (pair) => {
    const { a, b, on } = Object.fromEntries(new FormData(pair));
    const body = document.getElementById("pair").tBodies[0];
    const result = document.getElementById("result");
    document.getElementById("chosen").textContent = `${a} and ${b}`;
    body.replaceChildren();
    const number = (name) => data.theories.indexOf(name);
    const match = (one, other) =>
      data.pairs[on]?.find((p) => p.first === number(one) && p.second === number(other));
    const sign = match(a, b) ? 1 : -1;
    const found = match(a, b) ?? match(b, a);
    document.getElementById("common").hidden = !found;
    if (!found) {
      result.textContent = a === b ? "Choose two theories." : "They have no scored experiment in common.";
      return;
    }
    const [low, high] = found.difference.slice(1).map((end) => sign * end).sort((x, y) => x - y);
    const [before, tied, behind] = sign === 1 ? found.counts : [...found.counts].reverse();
    const said = found.nearer === null ? `${a} and ${b} are tied` : `${found.nearer} is nearer to the networks`;
    result.textContent =
      `${said}: of ${found.each.length} common experiments, ${a} is nearer in ${before}, ${b} in ${behind},` +
      ` and ${tied} are tied. Mean difference of gaps ${percent(sign * found.difference[0], "+")}` +
      ` (95 % interval, joint, ${percent(low, "+")} to ${percent(high, "+")}).`;
    const rows = data.rows[on];
    for (const [k, difference, nearer] of found.each) {
      const which = nearer === 0 ? "tied" : (sign * nearer === -1 ? a : b);
      body.append(line(k, rows[a][k], rows[b][k], sign * difference, which));
    }
  };

  // ---- what the address says, at first and whenever it changes
  const recall = () => {
    if (form) fill(form);
    const pair = side?.querySelector(".pair");
    if (pair) {
      fill(pair);
      if (pair.on.selectedIndex < 0) pair.on.selectedIndex = 0;
      const { first, second } = data.pairs[pair.on.value]?.[0] ?? { first: 0, second: 0 };
      if (pair.a.selectedIndex < 0) pair.a.selectedIndex = first;
      if (pair.b.selectedIndex < 0) pair.b.selectedIndex = pair.a.selectedIndex === second ? first : second;
      showPair(pair);
    }
    if (form) filter();
    links();
  };
  if (side && data.theories.length) {
    side.hidden = false;
    const pair = side.querySelector(".pair");
    pair.addEventListener("submit", (event) => event.preventDefault());
    pair.addEventListener("input", () => {
      showPair(pair);
      filter();
      remember(pair);
    });
  }
  addEventListener("hashchange", recall);
  recall();
})();
