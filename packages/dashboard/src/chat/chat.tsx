import type { OfferedTool } from '@skein/agent';
import type { NodeStatus } from '@skein/gateway';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { downIcon } from '../ui/icons.tsx';
import { useStore } from '../ui/store.ts';
import styles from './chat.module.css';
import type { ChatSession } from './chat-session.ts';
import { Composer } from './composer.tsx';
import { TurnView } from './turn-view.tsx';
import { Welcome } from './welcome.tsx';

interface ChatProps {
  readonly chat: ChatSession;
  readonly tools: readonly OfferedTool[];
  readonly brain: NodeStatus['brain'];
  readonly isLive: boolean;
}

/** How near to its end a reader must be for the page to follow. */
const FOLLOW_PX = 80;

/** The conversation and what to say next. */
export function Chat({ chat, tools, brain, isLive }: ChatProps) {
  const { turns, running, loading, problem, announcement } = useStore(chat.store);
  const scroller = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);

  // A running turn grows under the reader's eyes; whoever scrolled up to read stays where they are.
  useLayoutEffect(() => {
    const box = scroller.current;
    const content = box?.firstElementChild;
    if (!follows || box === null || content == null) return;
    const observer = new ResizeObserver(() => box.scrollTo({ top: box.scrollHeight }));
    observer.observe(content);
    observer.observe(box);
    return () => observer.disconnect();
  }, [follows]);

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || !chat.store.get().running) return;
      // A dialog that is open is what Escape closes.
      if (document.querySelector('[role="dialog"]') !== null) return;
      event.preventDefault();
      void chat.stop();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [chat]);

  const send = (text: string) => {
    setFollows(true);
    void chat.send(text);
  };
  return (
    <div className={styles.chat}>
      <div
        className={styles.scroller}
        onScroll={({ currentTarget: box }) => setFollows(box.scrollHeight - box.scrollTop - box.clientHeight < FOLLOW_PX)}
        ref={scroller}
      >
        <div aria-busy={running} aria-label="Conversation" className={styles.turns} role="log" aria-live="off">
          {turns.length === 0 && !loading && problem === null && <Welcome brain={brain} onAsk={send} tools={tools} />}
          {loading && <p className={styles.note}>Opening…</p>}
          {problem !== null && (
            <p className={styles.problem} role="alert">
              {problem}
            </p>
          )}
          {turns.map((turn) => (
            <TurnView key={turn.key} onConfirm={(id, approve) => void chat.confirm(id, approve)} turn={turn} />
          ))}
        </div>
      </div>
      {!follows && turns.length > 0 && (
        <button aria-label="To the latest" className={styles.latest} onClick={() => setFollows(true)} type="button">
          {downIcon}
        </button>
      )}
      <Composer isLive={isLive} isRunning={running} onSend={send} onStop={() => void chat.stop()} />
      <div aria-live="polite" className="visually-hidden" role="status">
        {announcement}
      </div>
    </div>
  );
}
