import { Button } from '@mantine/core';
import { useEffect, useId, useRef } from 'react';
import { CodeView } from '../ui/code-view.tsx';
import { shieldIcon } from '../ui/icons.tsx';
import { ToolName } from '../ui/tool-name.tsx';
import styles from './confirm-card.module.css';
import type { ConfirmPart } from './conversation.ts';

interface ConfirmCardProps {
  readonly request: ConfirmPart;
  readonly onDecide: (approve: boolean) => void;
}

const DECIDED: Readonly<Record<Exclude<ConfirmPart['decision'], 'open'>, string>> = {
  approved: 'Approved',
  refused: 'Refused',
  expired: 'No longer waiting',
};

/** A call that runs only if a person says so, with exactly what it would run. */
export function ConfirmCard({ request, onDecide }: ConfirmCardProps) {
  const titleId = useId();
  const card = useRef<HTMLElement>(null);
  const isOpen = request.decision === 'open';
  // The card takes the focus, but neither button does: a stray Enter must decide nothing.
  useEffect(() => {
    if (isOpen) card.current?.focus();
  }, [isOpen]);
  return (
    <section aria-labelledby={titleId} className={styles.card} data-decision={request.decision} ref={card} tabIndex={-1}>
      <h3 className={styles.title} id={titleId}>
        {shieldIcon}
        {isOpen ? 'May this run?' : DECIDED[request.decision]}
        <ToolName name={request.name} peer={request.peer} />
      </h3>
      {isOpen && <p className={styles.reason}>{request.reason}</p>}
      <CodeView label="Exact arguments" value={request.input} />
      {isOpen && (
        <div className={styles.buttons}>
          <Button color="gray" onClick={() => onDecide(false)} variant="default">
            Refuse
          </Button>
          <Button onClick={() => onDecide(true)}>Approve</Button>
        </div>
      )}
    </section>
  );
}
