import type { OfferedTool } from '@skein/agent';
import type { NodeStatus } from '@skein/gateway';
import { suggestionsFrom } from './suggestions.ts';
import styles from './welcome.module.css';

interface WelcomeProps {
  readonly tools: readonly OfferedTool[];
  readonly brain: NodeStatus['brain'];
  readonly onAsk: (text: string) => void;
}

/** An empty conversation: what could be asked here. */
export function Welcome({ tools, brain, onAsk }: WelcomeProps) {
  const suggestions = suggestionsFrom(tools);
  return (
    <section className={styles.welcome}>
      <h2 className={styles.title}>What shall your machines do?</h2>
      <p className={styles.text}>
        {tools.length === 0
          ? 'No tools yet: they appear as soon as a peer that shares some is connected.'
          : `${tools.length} tools are at hand. Each call shows here as it happens, with the machine that runs it.`}
      </p>
      {brain?.hint != null && <p className={styles.hint}>{brain.hint}</p>}
      {suggestions.length > 0 && (
        <ul aria-label="Suggestions" className={styles.suggestions}>
          {suggestions.map((suggestion) => (
            <li key={suggestion}>
              <button className={styles.suggestion} onClick={() => onAsk(suggestion)} type="button">
                {suggestion}
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
