// Replace a link to a bilibili video by its player, when the reader asks for it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("p.video > a");
  if (!link || event.ctrlKey || event.metaKey) return; // those open a new tab
  event.preventDefault();
  const id = new URL(link.href).pathname.match(/BV\w+/)[0];
  const player = document.createElement("iframe");
  player.src = `https://player.bilibili.com/player.html?bvid=${id}`;
  player.title = link.textContent;
  player.allowFullscreen = true;
  player.referrerPolicy = "no-referrer";
  link.replaceWith(player);
});
