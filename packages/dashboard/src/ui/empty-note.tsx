import type { ReactNode } from 'react';
import styles from './empty-note.module.css';

/** What stands where there is nothing yet, and how something comes there. */
export function EmptyNote({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <div className={styles.note}>
      <p className={styles.title}>{title}</p>
      <p className={styles.text}>{children}</p>
    </div>
  );
}
