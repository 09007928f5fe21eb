// Where the token is kept: in this tab, or in this browser for those who asked for it. Never in an address or a cookie.

const KEY = "teleclaude.token";

export function known() {
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
}

export function keep(token, remember) {
  forget();
  sessionStorage.setItem(KEY, token);
  if (remember) localStorage.setItem(KEY, token);
}

export function forget() {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}
