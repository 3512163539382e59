// Charts: each <figure class="chart"> holds its values as JSON, and becomes a plot with a cursor, zoom and a legend.
"use strict";
(() => {
  const MARGIN = { top: 10, right: 10, bottom: 34, left: 56 };
  const HEIGHT = 250;

  const make = (tag, attributes, parent, text) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const draw = (tag, attributes, parent, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const shown = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
    return text.replaceAll("-", "−");
  };
  const style = (index) => `line s${index % 8} d${(index + Math.floor(index / 8)) % 4}`;

  // Round values that divide an interval into about so many steps.
  const ticks = (low, high, count) => {
    const raw = (high - low) / count;
    if (!(raw > 0)) return [low];
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999);
    const values = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) values.push(index * step);
    return values;
  };
  const logTicks = (low, high) => {
    const values = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
      for (const each of [1, 2, 5]) if (each * 10 ** power >= low && each * 10 ** power <= high) values.push(each * 10 ** power);
    }
    if (values.length < 2) return ticks(low, high, 4);
    return values.length > 8 ? values.filter((each) => each.toExponential(0).startsWith("1e")) : values;
  };

  class Chart {
    constructor(figure) {
      const data = JSON.parse(figure.querySelector("script").textContent);
      Object.assign(this, { x: data.x, lines: data.lines, label: data.x_label, hidden: new Set(), log: false });
      this.title = figure.querySelector("h3").textContent;
      this.place = this.x.length - 1;
      this.moved = false; // until the cursor moves, the legend has the last value of each line
      this.from = this.start();
      this.to = this.x.length - 1;
      const box = document.createElement("div");
      figure.querySelector("figcaption").after(box);
      this.addTools(box);
      this.plot = make("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": `Cursor of ${this.title}, along ${this.label}` }, box);
      this.addLegend(box);
      this.listen();
      this.render();
      new ResizeObserver(() => this.plot.clientWidth !== this.width && this.render()).observe(this.plot);
    }

    // The place from which the lines are shown at first: beyond the first ones, where these squash all others.
    start() {
      const least = Math.max(1, Math.ceil(this.x.length * 0.05));
      if (this.label !== "epoch" || this.x.length < 8) return 0;
      const extent = (from) => {
        const values = this.lines.flatMap((line) => line.y.slice(from)).filter((value) => value !== null);
        return values.length ? Math.max(...values) - Math.min(...values) : 0;
      };
      return extent(least) < 0.4 * extent(0) ? least : 0;
    }

    addTools(box) {
      const tools = make("div", { class: "tools", role: "group", "aria-label": `View of ${this.title}` }, box);
      const button = (text, label, act) => {
        const one = make("button", { type: "button", "aria-label": label, title: label }, tools, text);
        one.addEventListener("click", act);
        return one;
      };
      button("+", "Zoom in", () => this.zoom(0.5));
      button("−", "Zoom out", () => this.zoom(2));
      this.all = button("All", "Show all", () => this.window(0, this.x.length - 1));
      this.logButton = button("Log", "Log scale", () => this.toggleLog());
      this.logButton.setAttribute("aria-pressed", "false");
      this.range = make("span", { class: "range" }, tools);
      const values = this.lines.flatMap((line) => line.y).filter((value) => value !== null);
      if (!values.length || Math.min(...values) <= 0) {
        this.logButton.disabled = true;
        this.logButton.title = "A log scale needs values above 0";
      }
    }

    addLegend(box) {
      const legend = make("div", { class: "legend", role: "group", "aria-label": `Lines of ${this.title}` }, box);
      this.where = make("span", { class: "place" }, legend);
      this.outputs = this.lines.map((line, index) => {
        const one = make("button", { type: "button", "aria-pressed": "true", title: "Show or hide this line" }, legend);
        const swatch = draw("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, one);
        draw("path", { d: "M0 4H22", class: style(line.style) }, swatch);
        make("span", {}, one, line.name);
        one.addEventListener("click", () => {
          if (!this.hidden.delete(index)) this.hidden.add(index);
          one.setAttribute("aria-pressed", String(!this.hidden.has(index)));
          this.render();
        });
        return make("output", {}, one);
      });
    }

    listen() {
      const nearest = (event) => {
        const at = event.clientX - this.plot.getBoundingClientRect().left;
        let best = this.from;
        for (let place = this.from; place <= this.to; place += 1) {
          if (Math.abs(this.across(this.x[place]) - at) < Math.abs(this.across(this.x[best]) - at)) best = place;
        }
        return best;
      };
      this.plot.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "mouse" && event.button === 0) this.dragged = nearest(event);
      });
      this.plot.addEventListener("pointermove", (event) => this.move(nearest(event)));
      window.addEventListener("pointerup", () => {
        if (this.dragged === undefined) return;
        const ends = [this.dragged, this.place].sort((one, other) => one - other);
        this.dragged = undefined;
        if (ends[1] - ends[0] > 1) this.window(...ends);
        else this.move(this.place);
      });
      this.plot.addEventListener("dblclick", () => this.window(0, this.x.length - 1));
      const leap = () => Math.max(1, Math.round((this.to - this.from) / 10));
      const keys = {
        ArrowLeft: () => this.move(this.place - 1),
        ArrowRight: () => this.move(this.place + 1),
        ArrowDown: () => this.move(this.place - 1),
        ArrowUp: () => this.move(this.place + 1),
        PageDown: () => this.move(this.place - leap()),
        PageUp: () => this.move(this.place + leap()),
        Home: () => this.move(this.from),
        End: () => this.move(this.to),
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        0: () => this.window(0, this.x.length - 1),
        Escape: () => this.window(0, this.x.length - 1),
        l: () => this.toggleLog(),
      };
      this.plot.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
        event.preventDefault();
        keys[event.key]();
      });
    }

    toggleLog() {
      if (this.logButton.disabled) return;
      this.log = !this.log;
      this.logButton.setAttribute("aria-pressed", String(this.log));
      this.render();
    }

    // Show so many times as many places, around the cursor.
    zoom(factor) {
      const span = Math.max(2, (this.to - this.from) * factor);
      const from = Math.max(0, Math.round(this.place - span / 2));
      this.window(from, Math.min(this.x.length - 1, Math.round(from + span)));
    }

    window(from, to) {
      this.from = Math.max(0, from);
      this.to = Math.min(this.x.length - 1, Math.max(to, from + 1));
      this.place = Math.min(Math.max(this.place, this.from), this.to);
      this.render();
    }

    move(place) {
      this.place = Math.min(Math.max(place, this.from), this.to);
      this.moved = true;
      this.point();
    }

    value(line) {
      return this.moved ? line.y[this.place] : line.y.findLast((y) => y !== null);
    }

    across(x) {
      const [low, high] = [this.x[this.from], this.x[this.to]];
      const room = this.width - MARGIN.left - MARGIN.right;
      return MARGIN.left + (high > low ? ((x - low) / (high - low)) * room : room / 2);
    }

    // The least and the largest value that is shown, with some room around.
    limits() {
      const visible = this.lines.filter((_, index) => !this.hidden.has(index));
      const values = visible.flatMap((line) => line.y.slice(this.from, this.to + 1)).filter((value) => value !== null);
      if (!values.length) return this.log ? [1, 10] : [0, 1];
      let [low, high] = [Math.min(...values), Math.max(...values)];
      if (this.log) return low < high ? [low / (high / low) ** 0.04, high * (high / low) ** 0.04] : [low / 2, high * 2];
      const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
      return [low - room, high + room];
    }

    render() {
      this.width = this.plot.clientWidth || 480;
      const [low, high] = this.limits();
      const scale = this.log ? Math.log10 : Number;
      const room = HEIGHT - MARGIN.top - MARGIN.bottom;
      const up = (y) => MARGIN.top + room * (1 - (scale(y) - scale(low)) / (scale(high) - scale(low)));
      const picture = draw("svg", { viewBox: `0 0 ${this.width} ${HEIGHT}`, height: HEIGHT, "aria-hidden": "true" });
      for (const tick of this.log ? logTicks(low, high) : ticks(low, high, 5)) {
        draw("path", { class: "grid-line", d: `M${MARGIN.left} ${up(tick)}H${this.width - MARGIN.right}` }, picture);
        draw("text", { x: MARGIN.left - 6, y: up(tick) + 4, "text-anchor": "end" }, picture, shown(tick));
      }
      const whole = (tick) => Number.isInteger(tick);
      for (const tick of ticks(this.x[this.from], this.x[this.to], Math.max(2, this.width / 90)).filter(whole)) {
        draw("text", { x: this.across(tick), y: HEIGHT - 18, "text-anchor": "middle" }, picture, shown(tick));
      }
      draw("text", { x: this.width - MARGIN.right, y: HEIGHT - 3, "text-anchor": "end" }, picture, this.label);
      this.lines.forEach((line, index) => {
        if (!this.hidden.has(index)) this.path(picture, line, up);
      });
      this.drag = draw("rect", { class: "drag", y: MARGIN.top, height: room, width: 0 }, picture);
      this.cursor = draw("path", { class: "cursor" }, picture);
      this.plot.replaceChildren(picture);
      this.all.disabled = this.from === 0 && this.to === this.x.length - 1;
      const ends = [this.from, this.to].map((place) => shown(this.x[place]));
      this.range.textContent = this.all.disabled ? "" : `${this.label} ${ends[0]} to ${ends[1]} of ${shown(this.x[this.x.length - 1])}`;
      this.point();
    }

    path(picture, line, up) {
      let steps = "";
      let isOpen = false;
      for (let place = this.from; place <= this.to; place += 1) {
        const y = line.y[place];
        if (y !== null) steps += `${isOpen ? "L" : "M"}${this.across(this.x[place]).toFixed(1)} ${up(y).toFixed(1)}`;
        isOpen = y !== null;
      }
      draw("path", { class: style(line.style), d: steps }, picture);
      const alone = line.y.slice(this.from, this.to + 1).filter((y) => y !== null).length === 1;
      if (alone) {
        const place = line.y.findIndex((y, at) => y !== null && at >= this.from);
        draw("circle", { class: style(line.style), cx: this.across(this.x[place]), cy: up(line.y[place]), r: 3 }, picture);
      }
    }

    // Show the values at the cursor.
    point() {
      const x = this.x[this.place];
      this.cursor.setAttribute("d", `M${this.across(x)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}`);
      if (this.dragged === undefined) this.drag.setAttribute("width", 0);
      else {
        const ends = [this.x[this.dragged], x].map((each) => this.across(each)).sort((one, other) => one - other);
        this.drag.setAttribute("x", ends[0]);
        this.drag.setAttribute("width", ends[1] - ends[0]);
      }
      this.cursor.setAttribute("visibility", this.moved ? "visible" : "hidden");
      const where = this.moved ? `${this.label} ${shown(x)}` : "last";
      this.where.textContent = where;
      this.outputs.forEach((output, index) => {
        output.textContent = shown(this.value(this.lines[index]));
      });
      const said = this.lines.map((line) => `${line.name} ${shown(this.value(line))}`).join(", ");
      const ends = { now: x, min: this.x[this.from], max: this.x[this.to], text: `${where}: ${said}` };
      for (const [name, value] of Object.entries(ends)) this.plot.setAttribute(`aria-value${name}`, String(value));
    }
  }

  for (const figure of document.querySelectorAll("figure.chart")) new Chart(figure);
})();
