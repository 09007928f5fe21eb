"use strict";

// Shows a page of the API that wants a token. The token stays in this tab.
const KEY = "teleclaude.token";

async function show(token) {
  const reply = await fetch(location.pathname, {headers: {Authorization: `Bearer ${token}`, Accept: "text/html"}});
  if (!reply.ok) throw new Error(reply.status === 401 ? "This token is not accepted." : `Refused (${reply.status}).`);
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  sessionStorage.setItem(KEY, token);
  document.replaceChild(document.adoptNode(page.documentElement), document.documentElement);
}

document.getElementById("signin").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  show(token).catch((error) => { document.getElementById("refusal").textContent = error.message; });
});

const known = sessionStorage.getItem(KEY);
if (known) show(known).catch(() => sessionStorage.removeItem(KEY));
