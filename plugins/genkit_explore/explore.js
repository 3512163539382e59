"use strict";
// The page of genkit explore. `space` says all that is there from the start; `source` answers what depends on a point:
// the server, or in a page of its own a grid of decoded data. Texts are set as text alone, never as markup.
(() => {
  const space = JSON.parse(document.getElementById("space").textContent);
  const view = space.view;
  const byId = (id) => document.getElementById(id);
  // Colours that readers with any vision of colours can tell apart: on dark those of Petroff 2021 (arXiv:2107.02270).
  const PALETTES = {
    light: ["#5f75bb", "#e68c0e", "#a00007", "#91a19f", "#781fac", "#9d6754", "#e04f2f", "#b0a366", "#6a6977", "#6aabca"],
    dark: ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"],
  };
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const FRAMES = 41, SHAPES = 4, PLACES = 7;

  // Small helpers

  function element(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }
  function labelled(node, text) {
    node.setAttribute("aria-label", text);
    return node;
  }
  function bytesOf(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }
  const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
  const dataOf = (text) => (view.kind === "image" ? bytesOf(text) : floatsOf(text));
  function textOf(floats) {
    const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  }
  const pairsOf = (floats) => Array.from({ length: floats.length / 2 }, (_, i) => [floats[2 * i], floats[2 * i + 1]]);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const short = (value) => (Object.is(Number(value.toPrecision(3)), -0) ? 0 : Number(value.toPrecision(3))).toString();
  const fixed = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const sizeOfAll = (shape) => shape.reduce((a, b) => a * b, 1);
  function complain(error) {
    byId("message").textContent = error ? String(error.message || error) : "";
    byId("message").hidden = !error;
  }

  // What is shown now

  const state = {
    plane: null, z: null, at: [0, 0], x: null, near: [], original: null,
    side: {}, row: 0, group: 0, apart: null, backdrop: "dots", ends: [null, null], frames: null, frame: 0,
  };
  const groups = space.groups;
  const group = () => groups[state.group];
  const classOf = (row) => (group() ? group().values[row] : 0);
  const tint = (k) => { const palette = PALETTES[isDark.matches ? "dark" : "light"]; return palette[k % palette.length]; };
  const nameOf = (row) => (group() ? group().names[classOf(row)] : space.drawn ? `draw ${row + 1}` : `datum ${row + 1}`);

  // Sources: each answers move, plane, path and decoded

  function answered(answer) {
    return { ...answer, z: floatsOf(answer.z), x: dataOf(answer.x), original: answer.original && dataOf(answer.original) };
  }
  const server = {
    async ask(path, question) {
      const body = JSON.stringify({ plane: state.plane.name, side: state.side, row: state.row, ...question });
      const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body }).catch(() => {
        throw new Error("The server does not answer any more: start genkit explore again.");
      });
      if (!response.ok) throw new Error(await response.text());
      return response.json();
    },
    async move(question) {
      return answered(await this.ask("move", { ...question, z: textOf(state.z), noise: byId("noise").checked }));
    },
    plane(name) {
      return this.ask("plane", { plane: name, z: textOf(state.z) });
    },
    async path(start, stop) {
      const answer = await this.ask("path", { start: textOf(start), stop: textOf(stop), steps: FRAMES });
      return { z: floatsOf(answer.z), at: answer.at, x: dataOf(answer.x) };
    },
    async decoded(low, high, count) {
      return [bytesOf((await this.ask("decoded", { z: textOf(state.z), low, high, count })).thumbnails), space.thumbnail];
    },
    async thumbnails() {
      return new Uint8Array(await (await fetch("thumbnails")).arrayBuffer());
    },
  };

  function gridSource(grid) {
    const data = dataOf(grid.data), side = grid.side, size = data.length / (side * side * (grid.input ? grid.classes : 1));
    const points = floatsOf(space.plane.points);
    function between(at) { // bilinear, between the four decoded data around a place
      const [u, v] = at.map((value, k) => clamp((value - grid.low[k]) / (grid.high[k] - grid.low[k] || 1), 0, 1) * (side - 1));
      const i = Math.min(Math.floor(u), side - 2), j = Math.min(Math.floor(v), side - 2), p = u - i, q = v - j;
      const first = (grid.input ? state.side[grid.input] : 0) * side * side + j * side + i;
      const starts = [first, first + 1, first + side, first + side + 1].map((cell) => cell * size);
      const shares = [(1 - p) * (1 - q), p * (1 - q), (1 - p) * q, p * q];
      const x = new data.constructor(size);
      for (let n = 0; n < size; n++) x[n] = starts.reduce((sum, start, k) => sum + shares[k] * data[start + n], 0.5 * (view.kind === "image"));
      return x;
    }
    const placeOf = (z) => [z[grid.first], grid.first === grid.second ? 0 : z[grid.second]];
    function pointAt(at) {
      const z = Float32Array.from(state.z);
      z[grid.first] = clamp(at[0], grid.low[0], grid.high[0]);
      if (grid.first !== grid.second) z[grid.second] = clamp(at[1], grid.low[1], grid.high[1]);
      return z;
    }
    function ownOf(row) { // the datum itself, where the page has it whole
      if (view.kind === "table") return space.rows ? rowOf(row) : null;
      const size = sizeOfAll(space.thumbnail);
      return view.kind === "image" && thumbnails && size === sizeOfAll(view.shape) ? thumbnails.subarray(row * size, (row + 1) * size) : null;
    }
    return {
      async move(question) {
        const answer = {};
        if (question.datum !== undefined) {
          const own = groups.find((each) => each.name === grid.input);
          Object.assign(answer, { row: question.datum, side: own ? { ...state.side, [grid.input]: own.values[question.datum] } : state.side });
          Object.assign(state, answer);
          answer.original = ownOf(question.datum);
        }
        const goal = question.datum === undefined ? question.to : [points[2 * question.datum], points[2 * question.datum + 1]];
        const z = pointAt(goal || placeOf(state.z)), at = placeOf(z);
        const near = Array.from({ length: space.count }, (_, i) => [i, Math.hypot(points[2 * i] - at[0], points[2 * i + 1] - at[1])]);
        return { ...answer, z, at, x: between(at), near: near.sort((a, b) => a[1] - b[1]).slice(0, 6) };
      },
      async plane() {
        return space.plane;
      },
      async path(start, stop) {
        const answer = { z: new Float32Array(FRAMES * start.length), at: [], x: new data.constructor(FRAMES * size) };
        for (let k = 0; k < FRAMES; k++) {
          const z = start.map((value, i) => value + (k / (FRAMES - 1)) * (stop[i] - value));
          answer.z.set(z, k * z.length);
          answer.at.push(placeOf(z));
          answer.x.set(between(placeOf(z)), k * size);
        }
        return answer;
      },
      async decoded(low, high, count) {
        const cells = [];
        for (let j = 0; j < count; j++) for (let i = 0; i < count; i++) {
          cells.push(thumbnailOf(between([low[0] + (i / (count - 1)) * (high[0] - low[0]), low[1] + (j / (count - 1)) * (high[1] - low[1])])));
        }
        const whole = new Uint8Array(cells.length * cells[0].length);
        cells.forEach((cell, k) => whole.set(cell, k * cell.length));
        return [whole, view.kind === "image" ? [view.shape[1], view.shape[2], view.shape[0]] : space.thumbnail];
      },
      async thumbnails() {
        return bytesOf(space.thumbnails);
      },
    };
  }
  const source = space.grid ? gridSource(space.grid) : server;

  // A datum by its view

  function thumbnailOf(x) { // of a datum what the server makes of data: the same image, or a few steps of its lines
    if (view.kind !== "lines") return Uint8Array.from(x);
    const [steps, lines] = space.thumbnail, count = view.low.length, cell = new Uint8Array(steps * lines);
    for (let t = 0; t < steps; t++) for (let f = 0; f < lines; f++) {
      const value = x[Math.round((t * (view.steps - 1)) / Math.max(1, steps - 1)) * count + f];
      cell[t * lines + f] = Number.isNaN(value) ? 255 : Math.round(254 * clamp((value - view.low[f]) / (view.high[f] - view.low[f] || 1), 0, 1));
    }
    return cell;
  }
  function paintImage(canvas, pixels, height, width, channels, ink) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const rgb = ink && [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16));
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = rgb ? rgb[c] : pixels[channels * p + (channels === 3 ? c : 0)];
      image.data[4 * p + 3] = rgb ? pixels[p] : 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
  function paintSmallLines(context, values, left, top, width, height, ink) {
    const [steps, lines] = space.thumbnail;
    context.strokeStyle = ink;
    context.lineWidth = 1.2;
    for (let f = 0; f < lines; f++) {
      context.globalAlpha = f ? 0.45 : 1;
      context.beginPath();
      let joined = false;
      for (let t = 0; t < steps; t++) {
        const value = values[t * lines + f];
        if (value === 255) { joined = false; continue; }
        context[joined ? "lineTo" : "moveTo"](left + (t / Math.max(1, steps - 1)) * width, top + height * (1 - value / 254));
        joined = true;
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }
  function dense(canvas, width, height) { // a canvas with as many pixels as the screen has
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return context;
  }
  function small(values) { // a datum's thumbnail, on its own
    const canvas = element("canvas", { className: "picture small" });
    canvas.setAttribute("aria-hidden", "true");
    canvas.classList.toggle("fine", view.kind === "image" && Math.max(...space.thumbnail) <= 28);
    if (view.kind === "image") return paintImage(canvas, values, ...(values.length === sizeOfAll(view.shape) ? [view.shape[1], view.shape[2], view.shape[0]] : space.thumbnail));
    const context = dense(canvas, 56, 56);
    paintSmallLines(context, values, 3, 8, 50, 40, colour("--ink"));
    return canvas;
  }
  const thumbnail = (row) => {
    const size = sizeOfAll(space.thumbnail);
    return small(thumbnails.subarray(row * size, (row + 1) * size));
  };

  function showImage() {
    const box = byId("datum");
    if (!box.firstChild) {
      const fine = Math.max(view.shape[1], view.shape[2]) <= 128 ? " fine" : "";
      const picture = () => element("canvas", { className: "picture big" + fine });
      box.append(element("figure", { className: "decoded" }, labelled(Object.assign(picture(), { id: "image" }), "The decoded image")));
      box.append(element("figure", { className: "original", hidden: true }, labelled(picture(), "The datum itself"), element("figcaption")));
      box.querySelectorAll("canvas").forEach((canvas) => canvas.setAttribute("role", "img"));
    }
    const [decoded, original] = box.querySelectorAll("canvas");
    paintImage(decoded, state.x, view.shape[1], view.shape[2], view.shape[0]);
    original.parentNode.hidden = !state.original;
    if (state.original) paintImage(original, state.original, view.shape[1], view.shape[2], view.shape[0]);
    original.nextSibling.textContent = state.original ? `datum ${state.row + 1}${groups.length ? `, ${nameOf(state.row)}` : ""}` : "";
  }

  function showLines() {
    const box = byId("datum"), channels = view.low.length, shown = Math.min(channels, PLACES);
    if (!box.firstChild) {
      const canvas = element("canvas", { id: "image" });
      canvas.setAttribute("role", "img");
      labelled(canvas, `The decoded datum over ${view.steps} ${view.axis}s: ${view.names.slice(0, shown).join(", ") || "its values"}`);
      const more = channels > shown ? ` The first ${shown} of ${channels} channels.` : "";
      box.append(element("figure", { className: "lines" }, canvas, element("figcaption", { id: "lines-note" })));
      byId("lines-note").dataset.more = more;
    }
    byId("lines-note").textContent = (state.original ? `Grey: datum ${state.row + 1}${groups.length ? `, ${nameOf(state.row)}` : ""}.` : "") + byId("lines-note").dataset.more;
    const canvas = byId("image"), width = canvas.parentNode.clientWidth || 320;
    const each = shown === 1 ? 210 : shown < 4 ? 120 : 84, height = shown * each + 18;
    canvas.style.height = `${height}px`;
    const context = dense(canvas, width, height);
    const ink = colour("--ink"), quiet = colour("--quiet"), left = 46;
    context.font = "11px system-ui, sans-serif";
    for (let f = 0; f < shown; f++) {
      const top = f * each + (view.names.length ? 15 : 4), tall = each - (view.names.length ? 21 : 10);
      let [low, high] = [view.low[f], view.high[f]];
      for (let t = 0; t < view.steps; t++) {
        const value = state.x[t * channels + f];
        if (value < low) low = value;
        if (value > high) high = value;
      }
      const across = (t) => left + (t / Math.max(1, view.steps - 1)) * (width - left - 8), down = (value) => top + tall * (1 - (value - low) / (high - low || 1));
      context.fillStyle = quiet;
      context.textAlign = "right";
      for (const value of [low, high]) context.fillText(short(value), left - 6, down(value) + 4);
      context.textAlign = "left";
      if (view.names.length) { context.fillStyle = ink; context.fillText(view.names[f].slice(0, 60), left, top - 4); }
      context.strokeStyle = colour("--line");
      context.lineWidth = 1;
      context.strokeRect(left, top, width - left - 8, tall);
      for (const [values, style, thick] of [[state.original, colour("--ghost"), 1.3], [state.x, colour("--accent"), 2]]) {
        if (!values) continue;
        context.strokeStyle = style;
        context.lineWidth = thick;
        context.lineJoin = "round";
        context.beginPath();
        let joined = false;
        for (let t = 0; t < view.steps; t++) {
          const value = values[t * channels + f];
          if (Number.isNaN(value)) { joined = false; continue; }
          context[joined ? "lineTo" : "moveTo"](across(t), down(value));
          joined = true;
        }
        context.stroke();
      }
    }
    context.fillStyle = quiet;
    for (const [text, align, x] of [["0", "left", left], [view.axis, "center", (left + width - 8) / 2], [String(view.steps - 1), "right", width - 8]]) {
      context.textAlign = align;
      context.fillText(text, x, height - 3);
    }
  }

  function cellOf(column, x) { // the text of a column's value, and where it lies in its range, 0 to 1
    const start = column.start;
    if (column.mark !== null && x[column.mark] >= 0.5) return { text: "missing", share: null };
    if (column.kind === "constant") return { text: column.categories[0] ?? "", share: null };
    if (column.kind === "categorical") {
      let best = 0;
      column.categories.forEach((_, k) => { if (x[start + k] > x[start + best]) best = k; });
      return { text: column.categories[best], share: clamp(x[start + best], 0, 1), likely: true };
    }
    const value = x[start];
    if (column.kind === "boolean") return { text: column.categories[value >= 0.5 ? 1 : 0], share: clamp(value >= 0.5 ? value : 1 - value, 0, 1), likely: true };
    const share = clamp((value - column.low) / (column.high - column.low || 1), 0, 1);
    if (column.kind === "date") return { text: new Date(Math.round(value) * 864e5).toISOString().slice(0, 10), share };
    return { text: column.decimals === null || column.kind === "count" ? Number(value.toPrecision(4)).toString() : value.toFixed(column.decimals), share };
  }
  function tableOf(heads, data, compared) { // a table's columns down, data across
    const head = element("tr", {}, element("td"), ...heads.map((each) => {
      const cell = element("th", { scope: "col" });
      cell.append(each);
      return cell;
    }));
    const rows = view.columns.slice(0, 100).map((column) => {
      const cells = data.map((x) => cellOf(column, x).text);
      return element("tr", {}, element("th", { scope: "row", textContent: column.name }), ...cells.map((text, k) =>
        element("td", { textContent: text, className: compared && k && text !== cells[k - 1] ? "changed" : "" })));
    });
    return element("div", { className: "table" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  }
  function showTable() {
    const box = byId("datum");
    if (!box.firstChild) {
      const heads = ["column", "decoded", "", "datum"].map((text) => (text ? element("th", { scope: "col", textContent: text }) : element("td")));
      const rows = view.columns.map((column) => element("tr", {}, element("th", { scope: "row", textContent: column.name }), element("td"),
        element("td", {}, element("span", { className: "meter" }, element("i"))), element("td")));
      const body = element("tbody", { id: "image" }, ...rows);
      box.append(element("div", { className: "table" }, element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body)));
      box.append(element("p", { className: "quiet", textContent: "Bars: where a number lies between the least and the greatest of the data, or how likely the category is." }));
    }
    const own = box.querySelector("thead tr").lastChild;
    own.textContent = `datum ${state.row + 1}`;
    own.hidden = !state.original;
    [...byId("image").rows].forEach((row, k) => {
      const column = view.columns[k], { text, share, likely } = cellOf(column, state.x), meter = row.cells[2].firstChild;
      row.cells[1].textContent = text;
      row.cells[3].hidden = !state.original;
      row.cells[3].textContent = state.original ? cellOf(column, state.original).text : "";
      meter.hidden = share === null;
      meter.classList.toggle("place", !likely);
      meter.firstChild.style.width = likely ? `${100 * share}%` : "";
      meter.firstChild.style.left = likely ? "" : `calc(${100 * share}% - ${6 * share}px)`;
      if (likely) labelled(meter, `probability ${short(share)}`).setAttribute("role", "img");
    });
  }
  const showDatum = { image: showImage, lines: showLines, table: showTable }[view.kind];

  // The map: data, a grid behind them, the point

  let thumbnails = null, box = [0, 1, 0, 1], atlas = null, decodedMap = null;
  const map = byId("map"), handle = byId("handle");
  const sizeOf = () => [map.clientWidth, map.clientHeight];
  const toScreen = ([x, y]) => {
    const [width, height] = sizeOf();
    return [((x - box[0]) / (box[1] - box[0])) * width, (1 - (y - box[2]) / (box[3] - box[2])) * height];
  };
  const toPlane = (left, top) => {
    const [width, height] = sizeOf();
    return [box[0] + (left / width) * (box[1] - box[0]), box[2] + (1 - top / height) * (box[3] - box[2])];
  };
  function frame() { // the box around all data, with some room; of a grid the grid
    const ends = [0, 1].map((k) => {
      const values = state.plane.points.map((point) => point[k]), low = Math.min(...values), high = Math.max(...values), room = high - low > 1e-6 ? 0.07 * (high - low) : 0.5;
      return space.grid && space.grid.first !== space.grid.second ? [space.grid.low[k], space.grid.high[k]] : [low - room, high + room];
    });
    box = [...ends[0], ...ends[1]];
  }
  function ticks(low, high) {
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
    const values = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) values.push(Number((k * step).toPrecision(6)));
    return values;
  }
  function mark(context, x, y, k, radius, isRim) { // a circle, a square, a triangle or a diamond, for every ten classes another
    const shape = Math.floor(k / PALETTES.light.length) % SHAPES;
    context.beginPath();
    if (shape === 0) context.arc(x, y, radius, 0, 7);
    else if (shape === 1) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else {
      const corners = shape === 2 ? [[0, -1.3], [1.2, 1], [-1.2, 1]] : [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]];
      corners.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + radius * dx, y + radius * dy));
      context.closePath();
    }
    if (isRim) context.stroke();
    else context.fill();
  }
  function isInk(bytes) { // whether images are bright on dark, so that they can be drawn in the colour of their class
    let dark = 0;
    for (let i = 0; i < bytes.length; i += 11) dark += bytes[i] < 20;
    return space.thumbnail[2] === 1 && dark * 11 > 0.3 * bytes.length;
  }
  function atlasOf(bytes, inks, [height, width, channels], hasRims) { // all images in one canvas, to be drawn from
    const size = height * width * channels, count = bytes.length / size;
    const across = Math.ceil(Math.sqrt(count)), ink = isInk(bytes);
    const whole = element("canvas", { width: across * width, height: Math.ceil(count / across) * height });
    const context = whole.getContext("2d"), one = element("canvas");
    for (let i = 0; i < count; i++) {
      paintImage(one, bytes.subarray(i * size, (i + 1) * size), height, width, channels, ink ? inks(i) : undefined);
      context.drawImage(one, (i % across) * width, Math.floor(i / across) * height);
    }
    return (target, i, left, top, wide) => {
      const scale = wide / Math.max(width, height);
      const place = [left + (wide - width * scale) / 2, top + (wide - height * scale) / 2, width * scale, height * scale];
      target.drawImage(whole, (i % across) * width, Math.floor(i / across) * height, width, height, ...place);
      if (ink || !hasRims) return;
      target.strokeStyle = inks(i);
      target.lineWidth = 2;
      target.strokeRect(...place);
    };
  }
  function painterOf(bytes, inks, shape, hasRims) {
    if (view.kind === "image") return atlasOf(bytes, inks, shape, hasRims);
    const size = sizeOfAll(space.thumbnail);
    return (target, i, left, top, wide) => paintSmallLines(target, bytes.subarray(i * size, (i + 1) * size), left + 2, top + wide * 0.2, wide - 4, wide * 0.6, inks(i));
  }
  function drawMap() {
    const [width, height] = sizeOf(), context = dense(byId("base"), width, height);
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, width, height);
    drawTicks(context, width, height);
    if (state.backdrop === "decoded" && decodedMap) drawDecoded(context, width, height);
    const hasThumbnails = state.backdrop === "thumbnails" && thumbnails;
    const radius = state.backdrop === "decoded" ? 2.6 : clamp(width / 170, 2.2, 3.6);
    const last = [];
    state.plane.points.forEach((point, row) => {
      const faint = state.apart !== null && classOf(row) !== state.apart;
      if (!faint && state.apart !== null) last.push(row);
      else drawDot(context, point, row, hasThumbnails ? 1.8 : radius, faint ? 0.1 : hasThumbnails ? 0.35 : 0.8);
    });
    last.forEach((row) => drawDot(context, state.plane.points[row], row, radius, 0.9));
    if (hasThumbnails) drawThumbnails(context, width);
    drawOver();
  }
  function drawTicks(context, width, height) {
    context.font = "10.5px system-ui, sans-serif";
    context.strokeStyle = colour("--faint");
    context.fillStyle = colour("--quiet");
    context.lineWidth = 1;
    for (const value of ticks(box[0], box[1])) {
      const x = Math.round(toScreen([value, 0])[0]) + 0.5;
      context.beginPath(); context.moveTo(x, 0); context.lineTo(x, height); context.stroke();
      context.textAlign = "center";
      if (x > 24 && x < width - 12) context.fillText(String(value), x, height - 5);
    }
    for (const value of ticks(box[2], box[3])) {
      const y = Math.round(toScreen([0, value])[1]) + 0.5;
      context.beginPath(); context.moveTo(0, y); context.lineTo(width, y); context.stroke();
      context.textAlign = "left";
      if (y > 12 && y < height - 20) context.fillText(String(value), 4, y - 3);
    }
  }
  function drawDot(context, point, row, radius, alpha) {
    const [x, y] = toScreen(point);
    context.globalAlpha = alpha;
    context.fillStyle = groups.length ? tint(classOf(row)) : colour("--accent");
    if (state.backdrop === "decoded") { // with a rim, as they lie on pictures
      context.globalAlpha = Math.min(1, 1.2 * alpha);
      context.strokeStyle = colour("--panel");
      context.lineWidth = 2;
      mark(context, x, y, classOf(row), radius, true);
    }
    mark(context, x, y, classOf(row), radius);
    context.globalAlpha = 1;
  }
  function drawThumbnails(context, width) { // those that do not lie over each other
    const wide = view.kind === "lines" ? clamp(width / 13, 26, 48) : clamp(width / 20, 20, 34), placed = new Map();
    atlas = atlas || painterOf(thumbnails, (row) => (groups.length ? tint(classOf(row)) : colour("--accent")), space.thumbnail, groups.length > 0);
    state.plane.points.forEach((point, row) => {
      if (state.apart !== null && classOf(row) !== state.apart) return;
      const [x, y] = toScreen(point), i = Math.floor(x / wide), j = Math.floor(y / wide);
      for (let a = i - 1; a <= i + 1; a++) for (let b = j - 1; b <= j + 1; b++) {
        const other = placed.get(`${a},${b}`);
        if (other && Math.abs(other[0] - x) < wide * 0.92 && Math.abs(other[1] - y) < wide * 0.92) return;
      }
      placed.set(`${i},${j}`, [x, y]);
      atlas(context, row, x - wide / 2, y - wide / 2, wide);
    });
  }
  const cellsAcross = () => clamp(Math.floor(sizeOf()[0] / (view.kind === "lines" ? 48 : 36)), 6, 20);
  function drawDecoded(context, width, height) {
    const { painter, count } = decodedMap, wide = Math.min(width, height) / count, inner = wide * 0.9;
    for (let j = 0; j < count; j++) for (let i = 0; i < count; i++) {
      painter(context, j * count + i, ((i + 0.5) * width) / count - inner / 2, ((count - j - 0.5) * height) / count - inner / 2, inner);
    }
  }
  let mapTimer = 0;
  function refreshDecoded(wait = 150) {
    clearTimeout(mapTimer);
    if (state.backdrop !== "decoded") return;
    mapTimer = setTimeout(async () => {
      const count = cellsAcross(), half = [(box[1] - box[0]) / (2 * count), (box[3] - box[2]) / (2 * count)];
      try {
        const [bytes, shape] = await source.decoded([box[0] + half[0], box[2] + half[1]], [box[1] - half[0], box[3] - half[1]], count);
        const ink = colour("--ink");
        decodedMap = { count, painter: painterOf(bytes, () => ink, shape) };
        drawMap();
      } catch (error) { complain(error); }
    }, wait);
  }
  function drawOver() { // the path, its ends, and the nearest data
    const [width, height] = sizeOf(), context = dense(byId("over"), width, height);
    context.strokeStyle = colour("--ink");
    context.lineWidth = 1.5;
    for (const [row] of state.near.slice(0, 6)) {
      const [x, y] = toScreen(state.plane.points[row]);
      context.beginPath(); context.arc(x, y, 6.5, 0, 7); context.stroke();
    }
    if (state.frames) {
      context.strokeStyle = colour("--accent");
      context.lineWidth = 2.5;
      context.setLineDash([6, 4]);
      context.beginPath();
      state.frames.at.forEach((at, k) => context[k ? "lineTo" : "moveTo"](...toScreen(at)));
      context.stroke();
      context.setLineDash([]);
    }
    state.ends.forEach((end, k) => {
      if (!end) return;
      const [x, y] = toScreen(end.at);
      context.fillStyle = colour("--accent");
      context.beginPath(); context.arc(x, y, 9, 0, 7); context.fill();
      context.fillStyle = colour("--on-accent");
      context.font = "bold 12px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("AB"[k], x, y + 4.5);
    });
  }
  function placeHandle(at) {
    const [width, height] = sizeOf(), [left, top] = toScreen(at);
    handle.style.transform = `translate(${clamp(left, 0, width)}px, ${clamp(top, 0, height)}px)`;
  }

  // Moving: one question at a time, and always the newest

  let waiting = null, isAsking = false, liveTimer = 0;
  async function move(question) {
    waiting = question;
    if (isAsking) return;
    isAsking = true;
    while (waiting) {
      const asked = waiting, began = performance.now();
      waiting = null;
      try {
        const answer = await source.move(asked);
        byId("time").textContent = `${Math.max(1, Math.round(performance.now() - began))} ms`;
        complain(null);
        apply(answer, waiting === null);
      } catch (error) { complain(error); }
    }
    isAsking = false;
  }
  function apply(answer, isLast) {
    if (answer.side && answer.row !== undefined) {
      Object.assign(state, { side: answer.side, row: answer.row });
      showInputs();
    }
    Object.assign(state, { z: answer.z, x: answer.x, near: answer.near || state.near, original: answer.original || null });
    if (isLast) { state.at = answer.at; placeHandle(state.at); showSliders(); }
    showDatum();
    drawOver();
    if (isLast) showNear();
    showCode();
    clearTimeout(liveTimer);
    liveTimer = setTimeout(() => { byId("live").textContent = said(); }, 700);
    labelled(handle, `The point in latent space, at ${short(state.at[0])} across and ${short(state.at[1])} up`);
  }
  function said() {
    const [row, distance] = state.near[0] || [];
    return `The point is at ${short(state.at[0])} across, ${short(state.at[1])} up.` + (row === undefined ? "" : ` Nearest: ${nameOf(row)}, at a distance of ${short(distance)}.`);
  }
  function goTo(left, top) {
    const [width, height] = sizeOf();
    const to = toPlane(clamp(left, 0, width), clamp(top, 0, height));
    state.at = to;
    placeHandle(to);
    leavePath();
    move({ to });
  }

  let drag = null;
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (event.pointerType === "touch" && event.target !== handle)) return;
    const area = map.getBoundingClientRect();
    drag = { x: event.clientX, y: event.clientY, moved: event.target === handle };
    map.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    event.preventDefault();
    if (event.target !== handle) goTo(event.clientX - area.left, event.clientY - area.top);
  });
  map.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 4)) return;
    drag.moved = true;
    const area = map.getBoundingClientRect();
    goTo(event.clientX - area.left, event.clientY - area.top);
  });
  map.addEventListener("pointerup", (event) => {
    const pressed = drag && !drag.moved;
    drag = null;
    if (pressed) press(event);
  });
  map.addEventListener("pointercancel", () => { drag = null; });
  map.addEventListener("click", (event) => { // a tap; a mouse has had its turn by then
    if (event.pointerType === "touch" && event.target !== handle) press(event);
  });
  function press(event) {
    const area = map.getBoundingClientRect(), at = [event.clientX - area.left, event.clientY - area.top];
    let best = null, least = state.backdrop === "thumbnails" ? 14 : 8;
    state.plane.points.forEach((point, row) => {
      const [x, y] = toScreen(point), distance = Math.hypot(x - at[0], y - at[1]);
      if (distance < least && (state.apart === null || classOf(row) === state.apart)) [best, least] = [row, distance];
    });
    if (best === null) goTo(...at);
    else { leavePath(); move({ datum: best }); }
  }
  handle.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Home") { event.preventDefault(); leavePath(); move({ datum: space.move.row }); return; }
    if (!steps) return;
    event.preventDefault();
    const share = event.shiftKey ? 0.1 : 0.02;
    const at = [state.at[0] + steps[0] * share * (box[1] - box[0]), state.at[1] + steps[1] * share * (box[3] - box[2])];
    goTo(...toScreen(at));
  });

  // Choices above the map

  let planesAsked = 0;
  const sayAxes = (axes) => byId("axes").replaceChildren(
    ...axes.map((axis, k) => element("span", { textContent: `${["across", "up"][k]}: ${axis}` })));
  async function planeOf(name) {
    if (name === space.plane.name && !state.plane) return space.plane;
    byId("axes").textContent = "placing the data …"; // UMAP takes a while
    try {
      return await source.plane(name);
    } catch (error) {
      sayAxes(state.plane.axes);
      throw error;
    }
  }
  async function choosePlane(name) {
    const asked = ++planesAsked, answer = await planeOf(name);
    if (asked !== planesAsked) return; // another one was chosen meanwhile
    state.plane = { ...answer, points: pairsOf(floatsOf(answer.points)) };
    state.at = answer.at;
    sayAxes(answer.axes);
    frame();
    decodedMap = null;
    if (state.frames) await findPath();
    else if (state.ends.some(Boolean)) { state.ends = [null, null]; showPath(); }
    drawMap();
    placeHandle(state.at);
    refreshDecoded(0);
  }
  const PLANE_NAMES = { principal: "principal components", umap: "UMAP" };
  function fillChoices() {
    const two = `${space.main[0]}:${space.main[1]}`;
    byId("plane").append(...space.planes.map((name) => element("option", { value: name, textContent: PLANE_NAMES[name] || "two latents" })));
    byId("plane-label").hidden = space.planes.length < 2;
    const many = Math.min(space.dimensions, 256), pick = ["across", "up"].map(byId);
    pick.forEach((select, k) => {
      for (let i = 0; i < many; i++) select.append(element("option", { value: i, textContent: `z${i + 1}` }));
      for (const i of space.main) if (i >= many) select.append(element("option", { value: i, textContent: `z${i + 1}` }));
      select.value = space.main[k];
      select.addEventListener("change", () => {
        if (pick[0].value === pick[1].value) pick[1 - k].value = [...pick[k].options].find((each) => each.value !== pick[k].value).value;
        choosePlane(`${pick[0].value}:${pick[1].value}`).catch(complain);
      });
    });
    const showPair = () => document.querySelectorAll(".pair").forEach((label) => { label.hidden = byId("plane").value !== two || space.dimensions < 3 || Boolean(space.grid); });
    byId("plane").addEventListener("change", () => {
      showPair();
      choosePlane(byId("plane").value === two ? `${pick[0].value}:${pick[1].value}` : byId("plane").value).catch(complain);
    });
    showPair();
    const canShow = space.thumbnail.length > 0;
    const backdrops = [["dots", "data as dots"], ...(canShow ? [["thumbnails", "data as pictures"]] : []), ...(canShow && space.dimensions > 1 ? [["decoded", "what is decoded where"]] : [])];
    byId("backdrop").append(...backdrops.map(([value, textContent]) => element("option", { value, textContent })));
    byId("backdrop-label").hidden = backdrops.length < 2;
    byId("backdrop").addEventListener("change", () => { state.backdrop = byId("backdrop").value; drawMap(); refreshDecoded(0); });
    byId("group").append(...groups.map((each, value) => element("option", { value, textContent: each.name })));
    byId("group-label").hidden = groups.length < 2;
    byId("group").addEventListener("change", () => {
      Object.assign(state, { group: Number(byId("group").value), apart: null });
      atlas = null;
      showLegend();
      drawMap();
      showNear();
    });
  }
  function showLegend() {
    const present = group() ? [...new Set(group().values)].sort((a, b) => a - b) : [];
    byId("legend").hidden = !present.length;
    byId("legend").replaceChildren(...present.map((k) => {
      const swatch = element("canvas"), context = dense(swatch, 12, 12);
      context.fillStyle = tint(k);
      mark(context, 6, 6, k, 4.5);
      const button = element("button", { type: "button" }, swatch, element("span", { textContent: group().names[k] }));
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        state.apart = state.apart === k ? null : k;
        [...byId("legend").children].forEach((each) => each.setAttribute("aria-pressed", String(each === button && state.apart === k)));
        drawMap();
      });
      return button;
    }));
  }

  // Inputs, sliders, nearest data, path, code

  function redecode() {
    leavePath();
    state.original = null;
    move({});
    refreshDecoded();
  }
  function buildInputs() {
    for (const [name, choice] of Object.entries(space.inputs)) {
      const title = element("legend", { textContent: choice.kind === "steps" ? "steps" : name });
      const field = element("fieldset", {}, title);
      field.dataset.input = name;
      if (choice.kind === "class" && choice.names.length <= 20) {
        const chips = choice.names.map((text, k) => {
          const input = element("input", { type: "radio", name: `input-${name}`, value: k });
          input.addEventListener("change", () => { state.side = { ...state.side, [name]: k }; redecode(); });
          return element("label", {}, input, text);
        });
        field.append(element("div", { className: "chips" }, ...chips));
      } else if (choice.kind === "class") {
        const select = labelled(element("select", {}, ...choice.names.map((textContent, value) => element("option", { value, textContent }))), name);
        select.addEventListener("change", () => { state.side = { ...state.side, [name]: Number(select.value) }; redecode(); });
        field.append(select);
      } else {
        const step = choice.kind === "steps" ? 1 : (choice.high - choice.low) / 200 || 1;
        const input = labelled(element("input", { type: "range", min: choice.low, max: choice.high, step }), title.textContent), output = element("output");
        input.addEventListener("input", () => { output.textContent = short(Number(input.value)); state.side = { ...state.side, [name]: Number(input.value) }; redecode(); });
        field.append(element("div", { className: "slider" }, element("span"), input, output, element("span")));
      }
      byId("inputs").append(field);
    }
  }
  function showInputs() {
    for (const field of byId("inputs").children) {
      const value = state.side[field.dataset.input], output = field.querySelector("output");
      const chosen = field.querySelector(`input[type="radio"][value="${Number(value)}"]`);
      if (chosen) chosen.checked = true;
      else if (output) { field.querySelector("input").value = value; output.textContent = short(value); }
      else if (field.querySelector("select")) field.querySelector("select").value = value;
    }
  }
  const sliders = [];
  function buildSliders() {
    const most = Math.max(...space.sliders.map((each) => each.amount), 1e-9);
    const unit = space.measure === "KL" ? "KL in nats" : `variance over the ${space.drawn ? "draws" : "data"}`;
    for (const { index, low, high, amount, active } of space.sliders) {
      const input = labelled(element("input", { type: "range", min: low, max: high, step: (high - low) / 400 || 1e-3 }), `Latent z${index + 1}`);
      const output = element("output"), meter = element("span", { className: "meter", title: `${unit}: ${short(amount)}` }, element("i"));
      labelled(meter, `${unit}: ${short(amount)}`).setAttribute("role", "img");
      meter.firstChild.style.width = `${(100 * amount) / most}%`;
      input.addEventListener("input", () => {
        leavePath();
        state.z[index] = Number(input.value);
        output.textContent = fixed(state.z[index]);
        state.original = null;
        move({});
        if (!state.plane.name.split(":").includes(String(index))) refreshDecoded();
      });
      byId(active ? "sliders" : "idle-sliders").append(element("div", { className: "slider" }, element("span", { textContent: `z${index + 1}` }), input, output, meter));
      sliders.push({ index, input, output });
    }
    const idle = space.sliders.filter((each) => !each.active).length, more = space.dimensions - space.sliders.length;
    byId("folded").hidden = !idle;
    byId("folded").open = idle === space.sliders.length;
    byId("folded").firstElementChild.textContent = `${idle} latent${idle === 1 ? "" : "s"} that say${idle === 1 ? "s" : ""} nothing`;
    byId("latents-note").textContent = `bars: ${unit}` + (more > 0 && !space.grid ? `; ${more} further latents have no slider` : more > 0 ? "; the others stay as they are" : "");
  }
  function showSliders() {
    for (const { index, input, output } of sliders) {
      if (document.activeElement !== input) input.value = state.z[index];
      output.textContent = fixed(state.z[index]);
    }
  }
  const canShowNear = () => !space.thumbnail.length || thumbnails;
  function showNear() {
    if (!canShowNear() || !state.near.length) return;
    const hasRows = view.kind === "table" && space.rows, what = space.drawn ? "draw" : "datum";
    const shown = state.near.slice(0, hasRows ? 4 : 6);
    const buttons = shown.map(([row, distance]) => {
      const button = element("button", { type: "button", title: `${what} ${row + 1}`, className: hasRows ? "" : "cell" });
      if (space.thumbnail.length) button.append(thumbnail(row));
      button.append(element("span", { textContent: nameOf(row) }), " ", element("span", { className: "quiet", textContent: short(distance) }));
      button.addEventListener("click", () => { leavePath(); move({ datum: row }); });
      return button;
    });
    byId("near").replaceChildren(...(hasRows ? [tableOf(buttons, shown.map(([row]) => rowOf(row)))] : buttons));
  }
  let tableRows = null;
  function rowOf(row) {
    tableRows = tableRows || floatsOf(space.rows);
    const width = tableRows.length / space.count;
    return tableRows.subarray(row * width, (row + 1) * width);
  }

  let animation = 0;
  function leavePath() {
    cancelAnimationFrame(animation);
    animation = 0;
    byId("play").textContent = "Play";
  }
  async function findPath() {
    state.frames = await source.path(state.ends[0].z, state.ends[1].z);
    state.ends.forEach((end, k) => { end.at = state.frames.at[k ? FRAMES - 1 : 0]; });
    showPath();
  }
  const part = (values, k) => values.subarray((k * values.length) / FRAMES, ((k + 1) * values.length) / FRAMES);
  function showPath() {
    const ready = Boolean(state.frames);
    byId("play").disabled = byId("position").disabled = !ready;
    drawOver();
    if (!ready) {
      const [a, b] = state.ends;
      byId("strip").replaceChildren(element("p", { className: "quiet", textContent: a && !b ? "A is set: move the point, and press “B is here”." : b ? "B is set: move the point, and press “A is here”." : "Move the point, press “A is here”; move it on, press “B is here”." }));
      return;
    }
    const steps = view.kind === "table" ? [0, 10, 20, 30, 40] : [0, 5, 10, 15, 20, 25, 30, 35, 40];
    const names = steps.map((k) => (k === 0 ? "A" : k === 40 ? "B" : `${(100 * k) / 40}%`));
    const buttons = steps.map((k, i) => {
      const button = labelled(element("button", { type: "button", className: view.kind === "table" ? "" : "cell" }), `Go to ${names[i]} of the path`);
      if (view.kind !== "table") button.append(small(view.kind === "image" ? part(state.frames.x, k) : thumbnailOf(part(state.frames.x, k))));
      button.append(element("span", { textContent: names[i] }));
      button.addEventListener("click", () => { leavePath(); toFrame(k); });
      return button;
    });
    if (view.kind === "table") byId("strip").replaceChildren(tableOf(buttons, steps.map((k) => part(state.frames.x, k)), true));
    else byId("strip").replaceChildren(...buttons);
  }
  function toFrame(k) {
    state.frame = k;
    byId("position").value = k;
    state.at = state.frames.at[k];
    apply({ z: Float32Array.from(part(state.frames.z, k)), at: state.at, x: part(state.frames.x, k) }, true);
    if (!animation) move({});
  }
  function setEnd(k) {
    leavePath();
    state.ends[k] = { z: Float32Array.from(state.z), at: state.at };
    if (state.ends[0] && state.ends[1]) findPath().catch(complain);
    else showPath();
  }
  byId("set-a").addEventListener("click", () => setEnd(0));
  byId("set-b").addEventListener("click", () => setEnd(1));
  byId("position").addEventListener("input", () => { leavePath(); toFrame(Number(byId("position").value)); });
  byId("play").addEventListener("click", () => {
    if (animation) { leavePath(); return; }
    const began = performance.now(), from = state.frame >= FRAMES - 1 ? 0 : state.frame;
    byId("play").textContent = "Stop";
    const step = (now) => {
      const k = clamp(from + Math.floor((now - began) / 60), from, FRAMES - 1); // a frame may have begun before the press
      if (k !== state.frame || k === from) toFrame(k);
      if (k < FRAMES - 1) animation = requestAnimationFrame(step);
      else { leavePath(); move({}); }
    };
    animation = requestAnimationFrame(step);
  });

  const numbers = () => Array.from(state.z, (value) => Number(value.toPrecision(7)));
  function python() {
    const shaped = space.shape.length > 1 ? `.reshape(1, ${space.shape.join(", ")})` : "";
    const side = Object.entries(state.side).map(([name, value]) => `, ${name}=${value}`).join("");
    return `import genkit, torch\nmodel = genkit.load(${JSON.stringify(space.code)})\nz = torch.tensor([[${numbers().join(", ")}]])${shaped}\nx = model.decode(z${side})`;
  }
  function showCode() {
    byId("code").textContent = space.dimensions <= 64 ? python() : `z: ${space.dimensions} numbers`;
  }
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      byId("copied").textContent = "copied";
    } catch {
      byId("code").textContent = text;
      getSelection().selectAllChildren(byId("code"));
      byId("copied").textContent = "selected: copy it with Ctrl-C";
    }
  }
  byId("copy-python").addEventListener("click", () => copy(python()));
  byId("copy-json").addEventListener("click", () => copy(JSON.stringify({ model: space.code, z: numbers(), side: state.side })));
  byId("noise").addEventListener("change", () => move({}));

  // The start

  async function start() {
    const what = space.drawn ? "draws from the prior" : `data of ${space.split}`;
    byId("facts").textContent = `${space.count.toLocaleString("en")} ${what} in a latent space of ${space.dimensions} dimension${space.dimensions === 1 ? "" : "s"}` + (space.grid ? ". Decoded beforehand on a grid; between its places the page interpolates." : "");
    byId("near-title").textContent = space.drawn ? "Nearest draws" : "Nearest data";
    byId("noise-label").hidden = Boolean(space.grid);
    fillChoices();
    buildInputs();
    buildSliders();
    showLegend();
    state.z = floatsOf(space.move.z);
    await choosePlane(space.plane.name);
    apply(answered(space.move), true);
    if (space.thumbnail.length) {
      thumbnails = await source.thumbnails();
      state.backdrop = byId("backdrop").value = "thumbnails";
      drawMap();
      showNear();
    }
    document.documentElement.dataset.ready = "yes";
  }
  new ResizeObserver(() => { if (state.plane) { drawMap(); placeHandle(state.at); if (view.kind === "lines") showDatum(); } }).observe(map);
  isDark.addEventListener("change", () => { atlas = null; showLegend(); drawMap(); showDatum(); refreshDecoded(0); });
  start().catch(complain);
})();
