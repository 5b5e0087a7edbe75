import { CodeView } from '../ui/code-view.tsx';
import { useNow } from '../ui/use-now.ts';
import { formatDuration } from '../ui/words.ts';
import styles from './run-result.module.css';
import type { RunState } from './tool-run.ts';

const WORDS: Readonly<Record<RunState['type'], string>> = {
  idle: '',
  running: 'Running',
  ok: 'Done',
  failed: 'Failed',
  stopped: 'Stopped',
};

/** How a run by hand goes, or went. */
export function RunResult({ state }: { readonly state: RunState }) {
  const now = useNow(100, state.type === 'running');
  if (state.type === 'idle') return null;
  const ms = state.type === 'running' ? Math.max(0, now - state.startedAtMs) : state.ms;
  return (
    <section className={styles.result} data-state={state.type}>
      <p className={styles.state}>
        <strong role="status">{WORDS[state.type]}</strong> <span>{formatDuration(ms)}</span>
      </p>
      {state.problem !== '' && <p className={styles.problem}>{state.problem}</p>}
      {state.type === 'ok' ? (
        <CodeView label="Output" value={state.output} />
      ) : (
        state.partial !== '' && <CodeView label="Output so far" value={state.partial} />
      )}
    </section>
  );
}
