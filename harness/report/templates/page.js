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

  // ---- what is chosen is kept in the address, as #?theory=..., so that it can be sent and comes back
  const chosen = () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  const keep = (pairs) => {
    const [page] = location.href.split("#");
    const text = new URLSearchParams(pairs).toString();
    history.replaceState(null, "", text ? `${page}#?${text}` : page);
  };
  const fill = (form) => {
    const found = chosen();
    for (const field of form.querySelectorAll("[name]")) {
      field.value = found.get(field.name) ?? "";
      // what this page does not offer is no choice
      if (field.selectedIndex === -1) field.value = "";
    }
  };
