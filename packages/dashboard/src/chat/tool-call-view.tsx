import { useState } from 'react';
import { CodeView } from '../ui/code-view.tsx';
import { checkIcon, chevronIcon, crossIcon } from '../ui/icons.tsx';
import { ToolName } from '../ui/tool-name.tsx';
import { useNow } from '../ui/use-now.ts';
import { formatDuration } from '../ui/words.ts';
import type { ToolPart } from './conversation.ts';
import styles from './tool-call-view.module.css';

interface ToolCallViewProps {
  readonly call: ToolPart;
  readonly isTurnRunning: boolean;
}

/** A tool call: who runs what, for how long, and how it went; its input and output on request. */
export function ToolCallView({ call, isTurnRunning }: ToolCallViewProps) {
  const [isOpen, setOpen] = useState(false);
  const { result } = call;
  const isRunning = result === null && isTurnRunning;
  const now = useNow(100, isRunning);
  const state = isRunning ? 'running' : result === null ? 'stopped' : result.ok ? 'ok' : 'failed';
  const time = result?.ms ?? Math.max(0, now - call.startedAtMs);
  const detailId = `call-${call.id}`;
  return (
    <section className={styles.call} data-state={state}>
      <button
        aria-controls={isOpen ? detailId : undefined}
        aria-expanded={isOpen}
        className={styles.head}
        onClick={() => setOpen(!isOpen)}
        type="button"
      >
        <span className={styles.state}>{state === 'ok' ? checkIcon : state === 'running' ? null : crossIcon}</span>
        <ToolName name={call.name} peer={call.peer} />
        {!isOpen && <span className={styles.brief}>{brief(call.input)}</span>}
        <span className={styles.time}>
          {state === 'stopped' ? 'stopped' : formatDuration(time)}
          {state === 'failed' && ' · failed'}
          <span className="visually-hidden">, {state}</span>
        </span>
        <span className={styles.chevron}>{chevronIcon}</span>
      </button>
      {isOpen && (
        <div className={styles.detail} id={detailId}>
          <h3 className={styles.label}>Input</h3>
          <CodeView label={`Input of ${call.name}`} value={call.input} />
          {result === null && call.partial !== '' && (
            <>
              <h3 className={styles.label}>Output so far</h3>
              <CodeView label={`Output of ${call.name} so far`} value={call.partial} />
            </>
          )}
          {result !== null && (
            <>
              <h3 className={styles.label}>{result.ok ? 'Output' : 'Failure'}</h3>
              <CodeView label={`Output of ${call.name}`} value={result.output} />
            </>
          )}
        </div>
      )}
    </section>
  );
}

/** An input in a line. */
function brief(input: unknown): string {
  if (input === null || typeof input !== 'object') return String(input ?? '');
  return Object.values(input)
    .map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
    .join(' ')
    .slice(0, 120);
}
