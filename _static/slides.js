// One slide at a time; without this script all of them stand below each other.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".slides-viewer").forEach((viewer) => {
    const bar = viewer.querySelector(".slides-bar");
    const slides = [...viewer.querySelectorAll(".slide")];
    const pictures = slides.map((slide) => slide.querySelector("img"));
    let shown = 0;

    const show = (number) => {
      shown = Math.max(0, Math.min(slides.length - 1, number));
      slides.forEach((slide, i) => { slide.hidden = i !== shown; });
      bar.querySelector("output").value = `${shown + 1} / ${slides.length}`;
      bar.querySelectorAll("[data-step]").forEach((button) => {
        const last = Number(button.dataset.step) < 0 ? 0 : slides.length - 1;
        button.setAttribute("aria-disabled", shown === last);
      });
      const next = pictures[shown + 1];
      if (next && viewer.closest("details").open) next.loading = "eager";
    };
    const fill = () => document.fullscreenElement
      ? document.exitFullscreen() : viewer.requestFullscreen();

    viewer.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.step) show(shown + Number(button.dataset.step));
      else fill();
    });
    viewer.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const to = {
        ArrowLeft: shown - 1, ArrowUp: shown - 1, PageUp: shown - 1, Home: 0,
        ArrowRight: shown + 1, ArrowDown: shown + 1, PageDown: shown + 1,
        End: slides.length - 1,
      }[event.key];
      if (to === undefined && event.key !== "f") return;
      event.preventDefault();
      event.stopPropagation(); // the theme turns the page of the book
      if (to === undefined) fill();
      else show(to);
    });
    viewer.closest("details").addEventListener("toggle", () => show(shown));
    bar.hidden = !document.fullscreenEnabled && slides.length < 2;
    bar.querySelector("[data-full]").hidden = !document.fullscreenEnabled;
    show(0);
  });
});
