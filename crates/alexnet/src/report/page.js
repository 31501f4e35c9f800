"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  // Charts: SVG, a cursor that follows the pointer or the arrow keys, and a line of values above.
  const WIDEST = 520, H = 250, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 28;
  const svgTag = (parent, name, attributes) => {
    const tag = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) tag.setAttribute(key, attributes[key]);
    return parent.appendChild(tag);
  };
  const tag = (parent, name, text = "", className = "") => {
    const it = document.createElement(name);
    it.textContent = text;
    it.className = className;
    return parent.appendChild(it);
  };
  const stepOf = (range, most) => {
    const power = 10 ** Math.floor(Math.log10(range / most));
    return power * ([1, 2, 5].find((it) => range / (it * power) <= most) || 10);
  };
  const ticks = (low, high, most) => {
    const step = stepOf(high - low, most), all = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) all.push(+(i * step).toPrecision(12));
    return all;
  };
  const short = (value) => {
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential().replace("-", "−");
    return value.toLocaleString("en", { maximumSignificantDigits: 4 });
  };

  function chart(id, title, axis, series, { format = short, log = false } = {}) {
    const figure = document.getElementById(id);
    series = series.map((it) => ({ ...it, points: it.points.filter(([, y]) => y !== null && (!log || y > 0)) }));
    series = series.filter((it) => it.points.length);
    if (!series.length) return figure.remove();
    tag(figure, "h3", title);
    const readout = tag(figure, "p", "", "readout");
    readout.setAttribute("aria-live", "polite");
    // As wide as the figure is now, so that labels have their size on a phone, too.
    const W = Math.min(WIDEST, Math.max(240, figure.clientWidth - 32));
    const svg = svgTag(figure, "svg", { viewBox: `0 0 ${W} ${H}`, tabindex: 0, role: "img", "aria-label": title });

    const scale = log ? Math.log10 : (y) => y;
    const xs = [...new Set(series.flatMap((it) => it.points.map(([x]) => x)))].sort((a, b) => a - b);
    const ys = series.flatMap((it) => it.points.map(([, y]) => scale(y)));
    let [low, high] = [Math.min(...ys), Math.max(...ys)];
    if (!log && low > 0 && low < 0.7 * high) low = 0;
    if (high - low < 1e-9) {
      const margin = log ? 1 : 0.05 * Math.abs(high || 10);
      [low, high] = [low - margin, high + margin];
    }
    const unit = log ? 1 : stepOf(high - low, 5);
    [low, high] = [Math.floor(low / unit + 1e-9) * unit, Math.ceil(high / unit - 1e-9) * unit];
    const [first, last] = [Math.min(xs[0], id === "steps" ? 0 : 1), Math.max(xs[xs.length - 1], xs[0] + 1)];
    const px = (x) => LEFT + ((x - first) / (last - first)) * (W - LEFT - RIGHT);
    const py = (y) => H - BOTTOM - ((scale(y) - low) / (high - low)) * (H - TOP - BOTTOM);

    const levels = log ? ticks(low, high, 6).filter(Number.isInteger).map((it) => 10 ** it) : ticks(low, high, 6);
    for (const level of levels) {
      svgTag(svg, "line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: py(level), y2: py(level) });
      svgTag(svg, "text", { x: LEFT - 7, y: py(level) + 4, "text-anchor": "end" }).textContent = short(level);
    }
    for (const x of ticks(first, last, 6).filter(Number.isInteger)) {
      svgTag(svg, "text", { x: px(x), y: H - 10, "text-anchor": "middle" }).textContent = x.toLocaleString("en");
    }
    for (const { points, color } of series) {
      const line = points.map(([x, y]) => `${px(x).toFixed(1)} ${py(y).toFixed(1)}`);
      svgTag(svg, "path", { d: `M${line.join("L")}${line.length === 1 ? "h.01" : ""}`, style: `stroke:var(--${color})` });
    }
    const cursor = svgTag(svg, "line", { class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden" });
    const dots = series.map(({ color }) => svgTag(svg, "circle", { r: 3.5, style: `fill:var(--${color})`, visibility: "hidden" }));

    let at = xs.length - 1;
    const show = (active) => {
      const x = xs[at];
      readout.textContent = "";
      tag(readout, "span", `${axis} ${x.toLocaleString("en")}`);
      cursor.setAttribute("x1", px(x));
      cursor.setAttribute("x2", px(x));
      cursor.setAttribute("visibility", active ? "visible" : "hidden");
      series.forEach(({ name, color, points }, index) => {
        const point = points.find((it) => it[0] === x);
        dots[index].setAttribute("visibility", active && point ? "visible" : "hidden");
        if (!point) return;
        dots[index].setAttribute("cx", px(x));
        dots[index].setAttribute("cy", py(point[1]));
        const value = tag(readout, "span");
        tag(value, "i").style.background = `var(--${color})`;
        value.append(`${name} `);
        tag(value, "b", format(point[1]));
      });
    };
    const leave = () => { at = xs.length - 1; show(false); };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = first + (((event.clientX - box.left) / box.width) * W - LEFT) / (W - LEFT - RIGHT) * (last - first);
      at = xs.reduce((best, it, index) => (Math.abs(it - x) < Math.abs(xs[best] - x) ? index : best), 0);
      show(true);
    });
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("blur", leave);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length }[event.key];
      if (!move) return;
      event.preventDefault();
      at = Math.min(Math.max(at + move, 0), xs.length - 1);
      show(true);
    });
    show(false);
  }

  const of = (name, field, color, factor = 1) => ({
    name, color, points: data.epochs.map((it, index) => [index + 1, it[field] === null ? null : it[field] * factor]),
  });
  const digits = (count) => (value) => value.toFixed(count);
  chart("loss", "loss (cross-entropy, nats)", "epoch",
    [of("training", "train_loss", "blue"), of("validation", "val_loss", "orange")], { format: digits(3) });
  chart("error", "error (%): top-1, and top-5 in validation", "epoch",
    [of("training", "train_top1", "blue", 100), of("validation", "val_top1", "orange", 100),
      of("top-5", "val_top5", "green", 100)], { format: digits(1) });
  chart("steps", "training loss over steps", "step", [{ name: "loss", color: "blue", points: data.losses }], { format: digits(3) });
  chart("rate", "learning rate of weights", "epoch", [of("rate", "rate", "blue")], { log: true });
  chart("speed", "images per second in training", "epoch", [{ name: "images/s", color: "blue", points: data.speeds }],
    { format: (value) => Math.round(value).toLocaleString("en") });
  chart("wait", "waiting for images (% of the time)", "epoch",
    [{ name: "wait", color: "orange", points: data.waits.map(([x, y]) => [x, 100 * y]) }],
    { format: (value) => short(+value.toPrecision(2)) });

  // The confusion matrix: cells as dark as their share of the row.
  const canvas = document.querySelector(".matrix canvas"), said = document.querySelector(".matrix .readout");
  const { classes, confusion } = data, n = classes.length;
  const cell = Math.min(Math.max(Math.floor(720 / n), 1), 44), named = cell >= 14;
  const totals = confusion.map((row) => row.reduce((sum, [, count]) => sum + count, 0));
  const context = canvas.getContext("2d");
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  context.font = font;
  const names = named ? Math.min(Math.ceil(Math.max(...classes.map((it) => context.measureText(it).width))), 240) + 44 : 0;
  const top = named ? 24 : 0;
  function draw() {
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const [width, height, ratio] = [names + cell * n + 1, top + cell * n + 1, window.devicePixelRatio || 1];
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    canvas.style.width = `${width}px`;
    canvas.style.aspectRatio = `${width} / ${height}`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = font;
    context.textBaseline = "middle";
    const [panel, right, wrong, muted, ink] = ["panel", "blue", "orange", "muted", "ink"].map(color);
    context.fillStyle = panel;
    context.fillRect(names, top, cell * n, cell * n);
    confusion.forEach((row, truth) => row.forEach(([guess, count]) => {
      const share = count / totals[truth];
      context.globalAlpha = Math.sqrt(share);
      context.fillStyle = truth === guess ? right : wrong;
      context.fillRect(names + guess * cell, top + truth * cell, cell, cell);
      context.globalAlpha = 1;
      if (cell < 30) return;
      context.fillStyle = share > 0.5 ? panel : ink;
      context.textAlign = "center";
      context.fillText(count, names + (guess + 0.5) * cell, top + (truth + 0.5) * cell);
    }));
    context.strokeStyle = color("line");
    context.strokeRect(names + 0.5, top + 0.5, cell * n, cell * n);
    if (!named) return;
    classes.forEach((name, index) => {
      const middle = (index + 0.5) * cell;
      context.fillStyle = muted;
      context.textAlign = "right";
      context.fillText(index + 1, names - 8, top + middle);
      context.textAlign = "center";
      context.fillText(index + 1, names + middle, top / 2);
      context.fillStyle = ink;
      context.textAlign = "right";
      context.fillText(name, names - 36, top + middle, names - 36);
    });
  }
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), scale = (names + cell * n + 1) / box.width;
    const guess = Math.floor(((event.clientX - box.left) * scale - names) / cell);
    const truth = Math.floor(((event.clientY - box.top) * scale - top) / cell);
    if (!(guess in classes && truth in classes)) return;
    const count = (confusion[truth].find((it) => it[0] === guess) || [0, 0])[1];
    const share = totals[truth] ? ` (${((100 * count) / totals[truth]).toFixed(1)} %)` : "";
    said.textContent = "";
    tag(said, "b", classes[truth]);
    tag(said, "span", truth === guess ? "recognised" : "taken for");
    if (truth !== guess) tag(said, "b", classes[guess]);
    tag(said, "span", `${count} of ${totals[truth]}${share}`);
  });
  canvas.addEventListener("pointerleave", () => { said.textContent = ""; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
