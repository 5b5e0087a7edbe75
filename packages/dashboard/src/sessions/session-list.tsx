import { Button } from '@mantine/core';
import type { SessionSummary } from '@skein/gateway';
import { plusIcon } from '../ui/icons.tsx';
import { useNow } from '../ui/use-now.ts';
import { formatAgo } from '../ui/words.ts';
import styles from './session-list.module.css';

interface SessionListProps {
  readonly sessions: readonly SessionSummary[];
  readonly currentId: string | null;
  readonly onOpen: (id: string) => void;
  readonly onNew: () => void;
}

/** Past conversations, the latest first, and the way to a new one. */
export function SessionList({ sessions, currentId, onOpen, onNew }: SessionListProps) {
  const now = useNow(30_000);
  const latestFirst = sessions.toSorted((one, other) => other.updatedAtMs - one.updatedAtMs);
  return (
    <nav aria-label="Chats" className={styles.list}>
      <Button fullWidth justify="flex-start" leftSection={plusIcon} onClick={onNew} variant="default">
        New chat
      </Button>
      {latestFirst.length === 0 ? (
        <p className={styles.empty}>Chats you had are kept here.</p>
      ) : (
        <ul className={styles.items}>
          {latestFirst.map((session) => (
            <li key={session.id}>
              <button
                aria-current={session.id === currentId ? 'true' : undefined}
                className={styles.item}
                onClick={() => session.id !== currentId && onOpen(session.id)}
                title={session.title}
                type="button"
              >
                <span className={styles.title}>{session.title === '' ? 'Untitled' : session.title}</span>
                <span className={styles.when}>{formatAgo(session.updatedAtMs, now)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </nav>
  );
}
