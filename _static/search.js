// Fill search.html: the theme's search box brings the query here as ?q=...
const field = document.querySelector(".bd-search-container input[name=q]");
const status = document.getElementById("search-status");
const list = document.getElementById("search-results");

function link(url, text) {
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.textContent = text;
  return anchor;
}

function excerpt(html) {
  const paragraph = document.createElement("p");
  paragraph.innerHTML = html; // Pagefind escapes the text and marks the hits
  return paragraph;
}

function result(page) {
  const item = document.createElement("li");
  item.append(link(page.url, page.meta.title));
  const sections = page.sub_results.filter((part) => part.url !== page.url);
  if (sections.length === 0) item.append(excerpt(page.excerpt));
  for (const section of sections.slice(0, 3)) {
    const heading = document.createElement("h3");
    heading.append(link(section.url, section.title));
    item.append(heading, excerpt(section.excerpt));
  }
  return item;
}

async function show(pagefind) {
  const query = field.value.trim();
  const found = await pagefind.debouncedSearch(query, {}, 150);
  if (found === null) return; // the reader has typed on: a later call answers
  const pages = await Promise.all(found.results.slice(0, 20).map((hit) => hit.data()));
  const count = found.results.length;
  status.textContent = query && (count ? `找到 ${count} 页` : "没有找到");
  list.replaceChildren(...pages.map(result));
}

async function start() {
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.focus();
  if (location.protocol === "file:") {
    status.textContent = "直接打开的文件不能搜索：请运行 make serve，再打开它给出的网址。";
    return;
  }
  const pagefind = await import(new URL("pagefind/pagefind.js", document.baseURI));
  field.addEventListener("input", () => show(pagefind));
  await show(pagefind);
}

start();
