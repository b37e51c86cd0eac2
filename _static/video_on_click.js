// Show the player of a bilibili video when the reader asks for it: in place of a link
// that stands alone, below a bar of links.
document.addEventListener("click", (event) => {
  const link = event.target.closest("p.video > a, p.lesson-bar a.video");
  if (!link || event.ctrlKey || event.metaKey) return; // those open a new tab
  event.preventDefault();
  const bar = link.closest(".lesson-bar");
  if (bar?.nextElementSibling?.matches("iframe")) return;
  const id = new URL(link.href).pathname.match(/BV\w+/)[0];
  const player = document.createElement("iframe");
  player.className = "video-player";
  player.src = `https://player.bilibili.com/player.html?bvid=${id}`;
  player.title = link.textContent;
  player.allowFullscreen = true;
  player.referrerPolicy = "no-referrer";
  if (bar) bar.after(player);
  else link.replaceWith(player);
});
