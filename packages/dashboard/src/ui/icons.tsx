import type { ReactNode } from 'react';

function icon(paths: ReactNode) {
  return (
    <svg
      aria-hidden="true"
      fill="none"
      height="18"
      stroke="currentColor"
      strokeLinecap="round"
      strokeLinejoin="round"
      strokeWidth="1.7"
      viewBox="0 0 24 24"
      width="18"
    >
      {paths}
    </svg>
  );
}

export const sendIcon = icon(<path d="M12 19V5m-6.5 6.5L12 5l6.5 6.5" />);
export const stopIcon = icon(<rect fill="currentColor" height="11" rx="2" width="11" x="6.5" y="6.5" />);
export const plusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const menuIcon = icon(<path d="M4 7h16M4 12h16M4 17h10" />);
export const sunIcon = icon(
  <>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v1.5m0 15V21M3 12h1.5m15 0H21M5.6 5.6l1.1 1.1m10.6 10.6 1.1 1.1m0-12.8-1.1 1.1M6.7 17.3l-1.1 1.1" />
  </>,
);
export const moonIcon = icon(<path d="M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5Z" />);
export const screenIcon = icon(
  <>
    <rect height="12" rx="2" width="18" x="3" y="4.5" />
    <path d="M9 20h6" />
  </>,
);
export const chatIcon = icon(
  <path d="M5 5h14a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 19 17h-7l-5 4v-4H5a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 5 5Z" />,
);
export const peersIcon = icon(
  <>
    <circle cx="12" cy="5.5" r="2.5" />
    <circle cx="5.5" cy="17.5" r="2.5" />
    <circle cx="18.5" cy="17.5" r="2.5" />
    <path d="m10.8 7.8-4 7.4m6.4-7.4 4 7.4M8 17.5h8" />
  </>,
);
export const toolsIcon = icon(
  <path d="M14.5 6.5a4 4 0 0 0-5.2 5.1L4 17l3 3 5.4-5.3a4 4 0 0 0 5.1-5.2l-2.6 2.6-2.9-.8-.8-2.9Z" />,
);
export const eventsIcon = icon(<path d="M3 12h4l3-7 4 14 3-7h4" />);
export const chevronIcon = icon(<path d="m9 6 6 6-6 6" />);
export const checkIcon = icon(<path d="m5 12.5 4.5 4.5L19 7.5" />);
export const crossIcon = icon(<path d="m6.5 6.5 11 11m0-11-11 11" />);
export const playIcon = icon(<path d="M8 5.5v13l10.5-6.5Z" />);
export const shieldIcon = icon(<path d="M12 3.5 5 6v5.5c0 4.3 2.9 7.3 7 9 4.1-1.7 7-4.7 7-9V6Zm0 5v4m0 3v.1" />);
export const downIcon = icon(<path d="M12 5v14m-6-6 6 6 6-6" />);
export const brainIcon = icon(
  <path d="M12 3.5 13.8 9a2 2 0 0 0 1.2 1.2l5.5 1.8-5.5 1.8a2 2 0 0 0-1.2 1.2L12 20.500l-1.8-5.500A2 2 0 0 0 9 13.800L3.500 12 9 10.200A2 2 0 0 0 10.200 9Z" />,
);

/** The mark: three strands that cross and go on together. */
export function Mark() {
  return (
    <svg aria-hidden="true" fill="none" height="28" strokeLinecap="round" strokeWidth="2.6" viewBox="0 0 32 32" width="28">
      <rect fill="var(--accent)" height="32" rx="9" width="32" />
      <path d="M7 11c6 0 5 10 18 10" stroke="#fff" />
      <path d="M7 16h18" stroke="#fff" strokeOpacity="0.55" />
      <path d="M7 21c6 0 5-10 18-10" stroke="#fff" />
    </svg>
  );
}
