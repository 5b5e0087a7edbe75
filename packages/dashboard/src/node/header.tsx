import { ActionIcon, Tooltip } from '@mantine/core';
import { Mark, menuIcon } from '../ui/icons.tsx';
import { BrainButton } from './brain-button.tsx';
import styles from './header.module.css';
import type { NodeState } from './node-watch.ts';
import { ThemeButton } from './theme-button.tsx';

interface HeaderProps {
  readonly node: NodeState;
  /** Null where the chats are always on the page. */
  readonly onMenu: (() => void) | null;
}

/** Which node this is, by what to recognise it, and what it thinks with. */
export function Header({ node, onMenu }: HeaderProps) {
  const { status, link } = node;
  return (
    <header className={styles.header}>
      {onMenu === null ? (
        <Mark />
      ) : (
        <ActionIcon aria-label="Chats" color="gray" onClick={onMenu} size="lg" variant="subtle">
          {menuIcon}
        </ActionIcon>
      )}
      <div className={styles.names}>
        <h1 className={styles.name}>
          {status?.name ?? 'Skein'}
          <span className={styles.dot} data-link={link.type} />
          <span className="visually-hidden">{link.type === 'live' ? 'connected' : 'not connected'}</span>
        </h1>
        {status !== null && (
          <Tooltip label="Fingerprint of this node’s key. Both sides of a pairing show the same words." multiline w={260}>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: its explanation must be reachable by keyboard */}
            <span className={styles.fingerprint} tabIndex={0}>
              {status.fingerprint}
            </span>
          </Tooltip>
        )}
      </div>
      {status !== null && <BrainButton brain={status.brain} />}
      <ThemeButton />
    </header>
  );
}
