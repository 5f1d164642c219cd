// Every page works without this script. It follows Airflow's choice of light or dark, keeps figures live, presses what is next.
"use strict";

const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;

// <div data-live="/…/api/v1/…" data-seen="state" data-every="seconds">: asks the API, and fills in [data-field], [data-value] and [data-max] by the
// names of its answer. When its `mark` (or `state`) is no longer the one that the page was made with, the page is loaded anew.
async function refresh(part) {
  try {
    const reply = await fetch(part.dataset.live, { headers: { Accept: "application/json" } });
    if (reply.status === 401) return location.reload();
    if (reply.ok) {
      const answer = await reply.json();
      if (String(answer.mark ?? answer.state) !== part.dataset.seen) return location.reload();
      show(part, answer);
    }
  } catch {
    // The next try tells more.
  }
  again(part);
}

function again(part) {
  setTimeout(refresh, 1000 * (part.dataset.every || 2), part);
}

function show(part, answer) {
  for (const each of part.querySelectorAll("[data-field]")) {
    const value = answer[each.dataset.field];
    each.textContent = typeof value === "number" ? value.toLocaleString("en-US") : (value ?? "–");
  }
  for (const bar of part.querySelectorAll("progress")) {
    const total = answer[bar.dataset.max];
    if (total) {
      bar.max = total;
      bar.value = answer[bar.dataset.value];
    }
  }
}

// A log-in opens beside the page, which goes on by itself once the other window says that it is done; that one then closes. The other
// window does not know the page that opened it: on its way it shows pages of others. Where it may not open, the link itself goes there.
const told = new BroadcastChannel("crm-sync");
const READABLE = 1500; // milliseconds for which "Connected" stays in sight

function openBeside(event) {
  const beside = window.open("about:blank", "_blank", "popup,width=640,height=820");
  if (!beside) return;
  event.preventDefault();
  beside.opener = null;
  beside.location = event.currentTarget.href;
  told.onmessage = () => location.reload();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-live]").forEach(again);
  document.querySelectorAll("a[data-popup]").forEach((link) => link.addEventListener("click", openBeside));
  if (document.querySelector("[data-connected]")) {
    told.postMessage("connected");
    setTimeout(() => window.close(), READABLE); // does nothing in a window that no page opened
  }
  const next = document.querySelector("form[data-auto]");
  if (next) setTimeout(() => next.requestSubmit(), 300);
});
