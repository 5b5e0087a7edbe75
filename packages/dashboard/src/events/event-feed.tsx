import type { NumberedEvent } from '../node/node-watch.ts';
import { EmptyNote } from '../ui/empty-note.tsx';
import styles from './event-feed.module.css';
import { eventWords } from './event-words.ts';

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** What happened on the node since this page was opened, the latest first. */
export function EventFeed({ events }: { readonly events: readonly NumberedEvent[] }) {
  if (events.length === 0) {
    return <EmptyNote title="Nothing happened yet">Peers that come and go and tools they use show here, live.</EmptyNote>;
  }
  return (
    <ol aria-label="Events" className={styles.feed} reversed>
      {events.map(({ number, event }) => {
        const { tone, subject, text } = eventWords(event);
        return (
          <li className={styles.event} data-tone={tone} key={number}>
            <time className={styles.time} dateTime={new Date(event.atMs).toISOString()}>
              {CLOCK.format(event.atMs)}
            </time>
            <p className={styles.text}>
              {subject !== null && <strong>{subject}</strong>} {text}
            </p>
          </li>
        );
      })}
    </ol>
  );
}
