// Sorting and filtering of the leaderboard, which the address keeps, copying of suite files, the theme, unfolding for print.
"use strict";
(() => {
  const say = (text) => {
    const status = document.getElementById("said");
    if (status) status.textContent = text;
  };

  // ---- theme: what the system says, or the reader's choice for as long as the page is open
  const theme = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % 3];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    theme.textContent = `Theme: ${next}`;
  });

  // ---- sorting, by a click or by Enter and Space on a heading
  const collator = new Intl.Collator(undefined, { numeric: true });
  const value = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value;
    if (raw === undefined) return cell.textContent.trim().toLowerCase();
    return raw === "" ? null : Number(raw);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const keyed = [...body.rows].map((row) => [value(row, column), row]);
        keyed.sort(([x], [y]) => {
          if (x === null || y === null) return (x === null) - (y === null);
          return down ? compare(y, x) : compare(x, y);
        });
        body.append(...keyed.map(([, row]) => row));
        say(`sorted by ${button.textContent.trim()}, ${down ? "descending" : "ascending"}`);
      });
    });
  }

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
    // the address keeps what is chosen, as #?theory=..., so that it can be sent and comes back
    const remember = () => {
      const chosen = [...new FormData(form)].filter(([, text]) => text);
      const [page] = location.href.split("#");
      history.replaceState(null, "", chosen.length ? `${page}#?${new URLSearchParams(chosen)}` : page);
    };
    const recall = () => {
      const chosen = new URLSearchParams(location.hash.slice(2));
      for (const field of form.querySelectorAll("[name]")) {
        field.value = chosen.get(field.name) ?? "";
        // what this page does not offer is no choice
        if (field.selectedIndex === -1) field.value = "";
      }
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

  // ---- copying a suite file
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("pre");
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        // browsers may refuse the clipboard to a file: leave the text selected
        getSelection().selectAllChildren(text);
        button.textContent = "Selected; press Ctrl+C";
      }
      say(button.textContent);
      setTimeout(() => (button.textContent = "Copy"), 2500);
    });
  }

  // ---- print what is folded, but for code, and fold it again
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not(.trace, .suite, [open])")];
    for (const part of unfolded) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of unfolded) part.open = false;
  });
})();
