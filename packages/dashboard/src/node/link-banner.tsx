import { Button } from '@mantine/core';
import { useNow } from '../ui/use-now.ts';
import styles from './link-banner.module.css';
import type { Link } from './node-watch.ts';

/** Says that the node is gone and when it is tried again. */
export function LinkBanner({ link, onRetry }: { readonly link: Link; readonly onRetry: () => void }) {
  const isGone = link.type === 'gone';
  const now = useNow(1_000, isGone);
  if (!isGone) return null;
  const seconds = Math.max(0, Math.ceil((link.retryAtMs - now) / 1_000));
  return (
    <div className={styles.banner} role="alert">
      <span>
        <strong>The node is gone.</strong> {link.problem}.{' '}
        <span aria-hidden="true">{seconds === 0 ? 'Trying again…' : `Next try in ${seconds} s.`}</span>
      </span>
      <Button color="gray" onClick={onRetry} size="compact-sm" variant="default">
        Try now
      </Button>
    </div>
  );
}
