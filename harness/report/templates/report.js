// The script of the report: that of every page, and filters of the leaderboard and the experiments.
"use strict";
(() => {
{% include "page.js" %}

  // ---- filtering: rows of the leaderboard, and with them the experiments below
  const form = document.querySelector(".filters");
  if (form) {
    const rows = [...document.querySelectorAll("table.sortable tbody tr")].map((row) => {
      const [, link] = row.cells[0].getElementsByTagName("a");
      return { row, anchor: link.hash, name: link.textContent.toLowerCase() };
    });
    const sections = [...document.querySelectorAll("section.experiment")];
    const shown = document.getElementById("shown");
    const nothing = document.getElementById("nothing");
    const filter = () => {
      const wanted = Object.fromEntries(new FormData(form));
      const text = wanted.experiment.trim().toLowerCase();
      const agrees = (data, name, kinds) =>
        name.includes(text) && kinds.every((k) => !wanted[k] || data[k] === wanted[k]);
      const open = new Set();
      let count = 0;
      for (const { row, anchor, name } of rows) {
        const fits = agrees(row.dataset, name, ["task", "architecture", "regime", "theory", "verdict"]);
        if (row.hidden === fits) row.hidden = !fits;
        if (fits) open.add(anchor);
        count += fits;
      }
      for (const section of sections) {
        const { dataset } = section;
        const fits =
          agrees(dataset, dataset.experiment.toLowerCase(), ["task", "architecture", "regime"]) &&
          ((!wanted.theory && !wanted.verdict) ||
            open.has(`#${section.getAttribute("aria-labelledby")}`));
        if (section.hidden === fits) section.hidden = !fits;
      }
      shown.textContent = `${count} of ${rows.length} rows`;
      nothing.hidden = count > 0;
    };
    const remember = () => keep([...new FormData(form)].filter(([, text]) => text));
    const recall = () => {
      fill(form);
      filter();
    };
    form.hidden = false;
    form.addEventListener("input", () => {
      filter();
      remember();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () =>
      setTimeout(() => {
        filter();
        remember();
      }),
    );
    // a link may lead to what is filtered away
    const reveal = () => {
      if (location.hash.startsWith("#?")) return recall();
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!target?.closest("[hidden]")) return;
      form.reset();
      filter();
      target.scrollIntoView();
    };
    addEventListener("hashchange", reveal);
    if (location.hash.startsWith("#?")) recall();
    else filter();
  }
})();
