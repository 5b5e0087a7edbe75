const KEY = 'skein-token';

/**
 * The token from `#token=…`, which a browser never sends to a server, or from this tab's storage. The address bar is
 * cleared at once, so that the token is in no history, bookmark or screenshot.
 */
export function takeToken(): string | null {
  const fragment = new URLSearchParams(window.location.hash.slice(1)).get('token');
  if (fragment !== null) {
    window.history.replaceState(null, '', window.location.pathname);
    if (fragment !== '') keepToken(fragment);
  }
  return window.sessionStorage.getItem(KEY);
}

/** Keeps the token for as long as this tab lives. */
export function keepToken(token: string): void {
  window.sessionStorage.setItem(KEY, token);
}

export function forgetToken(): void {
  window.sessionStorage.removeItem(KEY);
}
