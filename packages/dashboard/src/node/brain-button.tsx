import { Button, Popover } from '@mantine/core';
import type { NodeStatus } from '@skein/gateway';
import { brainIcon } from '../ui/icons.tsx';
import styles from './brain-button.module.css';

/** The brain in use, and how to get another. */
export function BrainButton({ brain }: { readonly brain: NodeStatus['brain'] }) {
  return (
    <Popover position="bottom-end" returnFocus shadow="md" trapFocus width={300} withArrow>
      <Popover.Target>
        <Button
          aria-label={`Brain: ${brain?.name ?? 'none'}`}
          classNames={{ root: styles.button ?? '', label: styles.label ?? '', section: styles.section ?? '' }}
          color="gray"
          leftSection={brainIcon}
          variant="light"
        >
          {brain?.name ?? 'No brain'}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <strong>{brain === null ? 'This node has no brain' : brain.name}</strong>
        <p className={styles.hint}>
          {brain === null
            ? 'It shares tools, but cannot answer by itself. Ask a node that has one.'
            : (brain.hint ?? 'Answers on this node come from it.')}
        </p>
      </Popover.Dropdown>
    </Popover>
  );
}
