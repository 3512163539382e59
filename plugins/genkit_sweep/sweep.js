// A sweep: one choice of options is highlighted in the table and in both plots; drags along an axis keep some lines.
"use strict";
(() => {
  const chooser = document.getElementById("chosen");
  const about = document.getElementById("about");
  const parts = [...document.querySelectorAll("[data-group]")];
  const ways = [...document.querySelectorAll(".way")];
  const texts = new Map(ways.map((way) => [way.dataset.group, way.querySelector("title").textContent]));
  if (!chooser) return;

  const show = (group) => {
    for (const part of parts) part.classList.toggle("active", part.dataset.group === group);
    about.textContent = group === "" ? "" : texts.get(group) ?? chooser.options[Number(group) + 1].textContent;
  };
  chooser.addEventListener("change", () => show(chooser.value));
  for (const part of parts) {
    part.addEventListener("pointerenter", () => show(part.dataset.group));
    part.addEventListener("pointerleave", () => show(chooser.value));
    part.addEventListener("click", () => {
      chooser.value = chooser.value === part.dataset.group ? "" : part.dataset.group;
      show(chooser.value);
    });
  }

  const brushes = new Map(); // the places that are kept, by the number of the axis
  const keep = () => {
    const kept = new Map(ways.map((way) => {
      const places = JSON.parse(way.dataset.places);
      const passes = ([axis, [top, bottom]]) => places[axis] !== null && places[axis] >= top && places[axis] <= bottom;
      return [way.dataset.group, [...brushes].every(passes)];
    }));
    for (const part of parts) part.classList.toggle("out", kept.get(part.dataset.group) === false);
  };
  const brush = (axis, top, bottom) => {
    const mark = document.querySelector(`[data-axis="${axis}"] .brush`);
    mark.setAttribute("y", top);
    mark.setAttribute("height", bottom - top);
    if (bottom - top < 3) brushes.delete(axis);
    else brushes.set(axis, [top, bottom]);
    keep();
  };
  for (const element of document.querySelectorAll(".axis")) {
    const axis = Number(element.dataset.axis);
    const grip = element.querySelector(".grip");
    const place = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(element.getScreenCTM().inverse());
      const low = Number(grip.getAttribute("y"));
      return Math.min(Math.max(point.y, low), low + Number(grip.getAttribute("height")));
    };
    let start = null;
    grip.addEventListener("pointerdown", (event) => {
      grip.setPointerCapture(event.pointerId);
      start = place(event);
      brush(axis, start, start);
    });
    grip.addEventListener("pointermove", (event) => {
      if (start !== null) brush(axis, Math.min(start, place(event)), Math.max(start, place(event)));
    });
    for (const end of ["pointerup", "pointercancel"]) grip.addEventListener(end, () => { start = null; });
  }
  document.getElementById("clear")?.addEventListener("click", () => {
    for (const axis of [...brushes.keys()]) brush(axis, 0, 0);
    keep();
  });
})();
