"""The script of the board's page: tabs and sorting. Without it everything is shown in order."""

SCRIPT = """\
"use strict";
(() => {
  const make = (tag, text, attributes) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  };
  const children = (parent) =>
    [...parent.children].filter((child) => child.classList.contains("panel"));

  // Tabs: one list for each group of panels that stand side by side.
  const chosen = new Map();
  const lists = [];
  // On a phone a list scrolls sideways: its chosen tab stays in sight.
  const settle = () => {
    for (const list of lists) {
      const tab = list.querySelector("[aria-selected=true]").getBoundingClientRect();
      const frame = list.getBoundingClientRect();
      list.scrollLeft += tab.left + tab.width / 2 - frame.left - frame.width / 2;
    }
  };
  const choose = (panel) => {
    const list = chosen.get(panel).list;
    for (const [other, { tab, list: its }] of chosen) {
      if (its !== list) continue;
      const now = other === panel;
      tab.setAttribute("aria-selected", String(now));
      tab.tabIndex = now ? 0 : -1;
      other.hidden = !now;
    }
  };
  const deepest = (panel) => {
    const inner = children(panel).find((child) => !child.hidden);
    return inner ? deepest(inner) : panel;
  };
  const remember = (panel) => {
    try {
      history.replaceState(null, "", "#" + deepest(panel).id);
    } catch {
      // A page within another one may have no address of its own.
    }
  };
  const build = (parent, label) => {
    const panels = children(parent);
    panels.forEach((panel) => build(panel, panel.dataset.name));
    if (panels.length < 2) return;
    const list = make("div", "", { role: "tablist", class: "tabs", "aria-label": label });
    panels.forEach((panel) => {
      const tab = make("button", panel.dataset.name, {
        type: "button", role: "tab", class: "tab", id: "tab-" + panel.id,
        "aria-controls": panel.id, title: panel.dataset.name,
      });
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => { choose(panel); remember(panel); settle(); });
      chosen.set(panel, { tab, list });
      list.append(tab);
    });
    list.addEventListener("keydown", (event) => {
      const tabs = [...list.children];
      const here = tabs.indexOf(document.activeElement);
      const next = {
        ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: tabs.length - 1,
      }[event.key];
      if (next === undefined || here < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const tab = tabs[(next + tabs.length) % tabs.length];
      tab.focus();
      tab.click();
    });
    parent.insertBefore(list, panels[0]);
    lists.push(list);
    choose(panels[0]);
  };
  const follow = () => {
    let name = location.hash.slice(1);
    try {
      name = decodeURIComponent(name);
    } catch {
      return;
    }
    const target = name && document.getElementById(name);
    for (let at = target; at; at = at.parentElement) {
      if (chosen.has(at)) choose(at);
    }
    settle();
    // The style sheet keeps the tabs above it in sight.
    if (target) target.scrollIntoView();
  };
  const boards = document.querySelector("[data-boards]");
  if (boards) build(boards, boards.dataset.boards);
  window.addEventListener("hashchange", follow);
  follow();

  // Sorting: equal rows stay in the platform's order, rows without a value come last.
  const compare = (a, b, words) => words
    ? a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" })
    : Number(a) - Number(b);
  document.querySelectorAll("table[data-sortable]").forEach((table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    const status = make("p", "", { role: "status", class: "soft" });
    const restore = make("button", "Platform\\u2019s order", {
      type: "button", class: "sort", "data-restore": "",
    });
    const show = (rows, heading, direction) => {
      body.append(...rows);
      headings.forEach((one) => {
        if (one.querySelector("button")) one.setAttribute("aria-sort", "none");
      });
      if (heading) heading.setAttribute("aria-sort", direction);
      restore.setAttribute("aria-pressed", String(!heading));
      status.textContent = heading
        ? "Sorted by " + heading.dataset.title + ", " + direction + "."
        : "In the platform\\u2019s order.";
    };
    const sort = (heading, position) => {
      const before = heading.getAttribute("aria-sort");
      const first = heading.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = before === first ? other : first;
      const sign = direction === "ascending" ? 1 : -1;
      const value = (row) => row.cells[position].dataset.value;
      const full = original.filter((row) => value(row) !== undefined);
      const empty = original.filter((row) => value(row) === undefined);
      const words = heading.dataset.kind === "words";
      full.sort((a, b) => sign * compare(value(a), value(b), words));
      show([...full, ...empty], heading, direction);
    };
    headings.forEach((heading, position) => {
      const button = make("button", "", { type: "button", class: "sort" });
      heading.dataset.title = heading.textContent;
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(heading, position));
    });
    restore.addEventListener("click", () => show(original));
    const bar = make("div", "", { class: "bar" });
    bar.append(restore, status);
    (table.closest(".scroll") || table).before(bar);
    show(original);
    status.textContent = "";
  });
})();
"""
