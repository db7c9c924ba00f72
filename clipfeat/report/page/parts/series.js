// Pointing at a line of a plot or at its name in the legend fades the other lines.
for (const plot of document.querySelectorAll(".plot svg")) {
  for (const line of plot.querySelectorAll("[id*='-series-']")) {
    const number = line.id.match(/\d+$/)[0];
    const of = (part) => plot.querySelector(`[id$='-${part}-${number}']`);
    const parts = [line, of("key"), of("name")].filter(Boolean);
    const path = line.querySelector("path[clip-path], path");
    if (path) {
      const wide = path.cloneNode();  // easier to point at
      wide.removeAttribute("id");
      wide.style.cssText = "fill: none; stroke: transparent; stroke-width: 12";
      line.prepend(wide);
    }
    for (const part of parts) {
      part.classList.add("series");
      part.dataset.tip = of("name")?.textContent.trim() ?? "";
      part.addEventListener("pointerenter", () => emphasise(plot, parts, true));
      part.addEventListener("pointerleave", () => emphasise(plot, parts, false));
    }
  }
}
function emphasise(plot, parts, on) {
  plot.classList.toggle("dimmed", on);
  for (const part of parts) part.classList.toggle("lit", on);
}
