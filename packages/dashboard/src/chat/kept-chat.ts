const KEY = 'skein-chat';

/** The chat this tab was in: a reload opens it again. */
export function keptChat(): string | null {
  return window.sessionStorage.getItem(KEY);
}

/** Keeps which chat this tab is in for as long as the tab lives; null for a new one. */
export function keepChat(sessionId: string | null): void {
  if (sessionId === null) window.sessionStorage.removeItem(KEY);
  else window.sessionStorage.setItem(KEY, sessionId);
}
