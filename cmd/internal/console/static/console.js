// The live parts of the console: texts, charts, the tail. No framework, no
// inline script. Everything hangs on data attributes of the pages.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const compact = (v) => v >= 1e6 ? (v / 1e6).toFixed(v < 1e7 ? 1 : 0) + "M" : v >= 1e4 ? (v / 1e3).toFixed(0) + "k" : v >= 1e3 ? (v / 1e3).toFixed(1) + "k" : v < 10 && v % 1 ? v.toFixed(1) : v.toFixed(0);
  const bytes = (v) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    for (; v >= 1024 && i < units.length - 1; i++) v /= 1024;
    return (v < 10 && i ? v.toFixed(1) : v.toFixed(0)) + " " + units[i];
  };
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19); // UTC, as in all tables
  const powers = Array.from({ length: 45 }, (_, i) => 2 ** i);
  const units = {
    rate: { axis: compact, value: (v) => compact(v) + "/s" },
    bytes: { steps: { incrs: powers }, axis: bytes, value: (v) => bytes(v) + "/s" },
    count: { axis: compact, value: compact },
  };

  // A chart keeps its points here, not in the picture, so that a change of
  // colours can draw it anew.
  const windowSeconds = 300, shortestWindow = 60;
  const charts = all("[data-chart]").map((el) => ({
    el, series: el.dataset.chart, unit: units[el.dataset.unit] || units.count,
    out: el.parentElement.querySelector(".chart-value"), times: [], values: [], plot: null,
  }));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function show(c, index) {
    const v = c.values[index ?? c.values.length - 1];
    if (c.out) c.out.textContent = v == null ? "" : c.unit.value(v);
  }

  function draw(c) {
    if (c.plot) c.plot.destroy();
    const stroke = colour("--c" + (c.el.dataset.color || 1));
    const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    c.plot = new uPlot({
      width: c.el.clientWidth, height: 150, padding: [10, 10, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: stroke } },
      scales: {
        x: { range: (u, min, max) => max == null ? [0, 1] : [Math.min(min, max - shortestWindow), max] },
        y: { range: (u, min, max) => [0, max > 0 ? max * 1.15 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, space: 80, size: 26, values: (u, ticks) => ticks.map(clock) },
        { ...axis, grid: { stroke: colour("--soft"), width: 1 }, size: 58, space: 36, ...c.unit.steps, values: (u, ticks) => ticks.map((t) => c.unit.axis(t)) },
      ],
      series: [{}, { stroke, width: 1.8, fill: stroke + "1c", points: { show: false } }],
      hooks: { setCursor: [(u) => show(c, u.cursor.idx)] },
    }, [c.times, c.values], c.el);
    show(c);
  }

  function addPoint(c, time, value) {
    if (c.times.length && time <= c.times[c.times.length - 1]) return;
    c.times.push(time);
    c.values.push(value);
    while (c.times.length && c.times[0] < time - windowSeconds) { c.times.shift(); c.values.shift(); }
    c.plot.setData([c.times, c.values]);
    c.el.dataset.points = c.times.length;
    if (c.plot.cursor.idx == null || c.plot.cursor.left < 0) show(c);
  }

  async function fillCharts() {
    if (!charts.length) return;
    const names = [...new Set(charts.map((c) => c.series))];
    const answer = await fetch("/api/v1/metrics/range?" + new URLSearchParams(names.map((n) => ["names", n]))).catch(() => null);
    if (!answer || !answer.ok) return;
    const range = await answer.json();
    for (const c of charts) {
      c.times = range.times.map((t) => t / 1000);
      c.values = range.series[c.series] || [];
      c.el.dataset.points = c.times.length;
      draw(c);
    }
  }

  // One stream of events a tab, only while the tab can be seen.
  const retryAfter = 1000;
  let events = null, lost = false;
  function openEvents() {
    const path = document.body.dataset.events;
    if (!path || events) return;
    events = new EventSource(path + "?" + new URLSearchParams({ series: document.body.dataset.series || "" }));
    events.addEventListener("health", (e) => setHealth(JSON.parse(e.data)));
    events.addEventListener("texts", (e) => setTexts(JSON.parse(e.data)));
    events.addEventListener("points", (e) => {
      const p = JSON.parse(e.data);
      for (const c of charts) if (c.plot) addPoint(c, p.time / 1000, p.values[c.series] ?? null);
    });
    events.onopen = () => { if (lost) fillCharts(); lost = false; };
    events.onerror = () => {
      lost = true;
      setHealth({ level: "bad", text: "The console does not answer; trying again" });
      if (events.readyState === EventSource.CLOSED) { // an answer that was no stream
        events = null;
        setTimeout(() => document.hidden || openEvents(), retryAfter);
      }
    };
  }
  function setHealth(h) {
    const el = document.querySelector("[data-health]");
    el.className = "health " + h.level;
    const text = el.querySelector("span");
    if (text.textContent !== h.text) text.textContent = h.text;
  }
  function setTexts(texts) {
    for (const el of all("[data-live]")) {
      const text = texts[el.dataset.live];
      if (text !== undefined) el.textContent = text;
    }
  }

  // The live tail.
  const rowsKept = 500;
  function startTail(box) {
    const $ = (name) => box.querySelector(`[data-tail-${name}]`);
    const rows = $("rows"), button = document.querySelector("[data-pause]");
    let source = null, paused = false, skipped = 0, history = [];

    function add(list) {
      const part = document.createDocumentFragment();
      for (const r of list) {
        const tr = document.createElement("tr");
        for (const [text, kind] of [[r.ts, "time"], [r.partition, "num"], [r.offset, "num"], [r.key, "key"], [r.value, "value"]]) {
          const td = document.createElement("td");
          td.className = kind;
          td.textContent = text;
          tr.append(td);
        }
        part.prepend(tr);
      }
      rows.prepend(part);
      while (rows.childElementCount > rowsKept) rows.lastElementChild.remove();
      if (rows.childElementCount) $("empty").hidden = true;
    }
    // Rates over the last two seconds: events come ten times a second.
    function count(e) {
      const now = performance.now();
      history.push({ at: now, seen: e.seen, matched: e.matched });
      while (history.length > 1 && history[0].at < now - 2000) history.shift();
      const seconds = Math.max(0.5, (now - history[0].at) / 1000);
      const sum = (key) => history.reduce((n, h) => n + h[key], 0) / seconds;
      $("seen").textContent = compact(sum("seen"));
      $("matched").textContent = compact(sum("matched"));
      skipped += e.skipped;
      $("skipped").textContent = compact(skipped);
      $("problem").textContent = e.reason ? (e.failed ? `the condition failed on ${e.failed}: ` : "") + e.reason.split("\n")[0] : "";
    }
    function state(text, following) {
      $("state").textContent = text;
      box.classList.toggle("following", following);
    }
    function open() {
      if (source || paused || document.hidden) return;
      source = new EventSource(box.dataset.tail);
      source.addEventListener("start", () => state("following", true));
      source.addEventListener("rows", (e) => { const d = JSON.parse(e.data); count(d); if (d.rows) add(d.rows); });
      source.onerror = () => {
        state("disconnected, trying again", false);
        if (source.readyState !== EventSource.CLOSED) return;
        source = null; // an answer that was no stream
        setTimeout(open, retryAfter);
      };
    }
    function close(text) {
      if (source) source.close();
      source = null;
      history = [];
      state(text, false);
    }
    button.addEventListener("click", () => {
      paused = !paused;
      button.textContent = paused ? "Go on" : "Pause";
      if (paused) close("paused"); else open();
    });
    document.addEventListener("visibilitychange", () => document.hidden ? close("paused") : open());
    open();
  }

  // An editor shows line numbers and marks those with problems.
  function startEditor(box) {
    const text = box.querySelector("textarea"), gutter = box.querySelector(".gutter");
    function number() {
      const marks = new Map(all("#preview [data-line]").map((el) => [Number(el.dataset.line), el.className]));
      const part = document.createDocumentFragment(), count = text.value.split("\n").length;
      for (let n = 1; n <= count; n++) {
        const line = document.createElement("span");
        line.textContent = n;
        line.className = marks.get(n) || "";
        part.append(line);
      }
      gutter.replaceChildren(part);
      gutter.scrollTop = text.scrollTop;
    }
    text.addEventListener("input", number);
    text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
    document.addEventListener("htmx:after:swap", number);
    document.addEventListener("click", (e) => {
      const button = e.target.closest("[data-goto]");
      if (!button) return;
      const lines = text.value.split("\n"), n = Number(button.dataset.goto) - 1;
      const start = lines.slice(0, n).reduce((sum, l) => sum + l.length + 1, 0);
      text.focus();
      text.setSelectionRange(start, start + (lines[n] || "").length);
      text.scrollTop = Math.max(0, n * 19 - text.clientHeight / 2);
    });
    number();
  }

  // A part that cannot be refreshed stays as it was, and the page says so.
  document.addEventListener("htmx:before:swap", (e) => {
    const response = e.detail.ctx && e.detail.ctx.response;
    let note = document.querySelector(".stale");
    if (!response || response.status < 400) {
      if (note) note.remove();
      return;
    }
    e.preventDefault();
    if (note) return;
    note = document.createElement("p");
    note.className = "stale";
    note.setAttribute("role", "alert");
    note.append(response.status === 404 ? "What this page shows is no longer there. It shows the last that was known." : "This page could not be refreshed. It shows the last that was known.");
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = "Load again";
    note.append(again);
    document.querySelector("main").before(note);
  });

  document.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  // JSON gets its colours without an element for each of its words: a table of
  // messages has thousands of them, and the first paint would wait for them.
  const word = /("(?:\\.|[^"\\])*"?)(\s*:)?|(-?\d[\d.eE+-]*)|[a-z]+/g;
  const paints = {};
  if (CSS.highlights) { // older browsers show it plain
    for (const kind of ["name", "text", "number", "word"]) CSS.highlights.set(kind, paints[kind] = new Highlight());
  }
  function paintJSON(el) {
    const startContainer = el.firstChild, endContainer = startContainer;
    if (!paints.name || !startContainer || !/^[[{]/.test(startContainer.data)) return;
    for (const m of startContainer.data.matchAll(word)) {
      const kind = m[1] ? (m[2] ? "name" : "text") : m[3] ? "number" : "word";
      paints[kind].add(new StaticRange({ startContainer, startOffset: m.index, endContainer, endOffset: m.index + (m[1] || m[0]).length }));
    }
  }

  // A line of a table of messages brings the whole record when it is opened.
  document.addEventListener("toggle", async (e) => {
    const link = e.target.open && e.target.querySelector("a[data-record]");
    if (!link) return;
    const box = link.parentElement;
    const answer = await fetch(link.href).catch(() => null);
    if (!answer) return; // the link stays
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#record");
    box.replaceChildren(...found ? found.children : page.querySelectorAll("main h2"));
    all("[data-json]", box).forEach(paintJSON);
  }, true);
  document.addEventListener("keydown", (e) => {
    const field = document.querySelector("input.filter, input[name=where]");
    if (e.key !== "/" || !field || e.target.closest("input, select, textarea")) return;
    e.preventDefault();
    field.focus();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (events) events.close();
      events = null;
    } else {
      fillCharts().then(openEvents);
    }
  });
  addEventListener("resize", () => charts.forEach((c) => c.plot && c.plot.setSize({ width: c.el.clientWidth, height: 150 })));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((c) => c.plot && draw(c)));

  fillCharts().then(openEvents);
  requestAnimationFrame(() => setTimeout(() => all("[data-json]").forEach(paintJSON)));
  all("[data-tail]").forEach(startTail);
  all("[data-editor]").forEach(startEditor);
})();
