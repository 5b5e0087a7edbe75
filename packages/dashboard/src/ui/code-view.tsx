import { useState } from 'react';
import styles from './code-view.module.css';
import { formatJson } from './words.ts';

const SHORT = 4_000;

/** A value or text as it is, in a box that scrolls; the rest of a long one on request. */
export function CodeView({ value, label }: { readonly value: unknown; readonly label: string }) {
  const [whole, setWhole] = useState(false);
  const text = formatJson(value);
  const shown = whole || text.length <= SHORT ? text : text.slice(0, SHORT);
  return (
    <section aria-label={label} className={styles.box}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
      <pre className={styles.code} tabIndex={0}>
        {shown}
      </pre>
      {shown.length < text.length && (
        <button className={styles.more} onClick={() => setWhole(true)} type="button">
          Show all {text.length.toLocaleString('en')} characters
        </button>
      )}
    </section>
  );
}
