// Show the title of a bar or a cell beside the pointer at once. Without JavaScript it stays a title.
{
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const one of document.querySelectorAll(".summary [title]")) {
    one.dataset.tip = one.title;
    one.removeAttribute("title");
  }
  const hide = () => { tip.hidden = true; };
  document.addEventListener("pointermove", (event) => {
    const one = event.target.closest?.("[data-tip]");
    if (!one?.dataset.tip) return hide();
    tip.textContent = one.dataset.tip;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18;
    const fits = below + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${fits ? below : event.clientY - tip.offsetHeight - 10}px`;
  });
  document.addEventListener("pointerleave", hide);
  addEventListener("scroll", hide, { passive: true });
}
