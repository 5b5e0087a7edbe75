import { Loader } from '@mantine/core';
import { memo } from 'react';
import { Markdown } from '../markdown/markdown.tsx';
import { ConfirmCard } from './confirm-card.tsx';
import type { Turn, TurnPart } from './conversation.ts';
import { ToolCallView } from './tool-call-view.tsx';
import styles from './turn-view.module.css';

interface TurnViewProps {
  readonly turn: Turn;
  readonly onConfirm: (id: string, approve: boolean) => void;
}

/** A question, the tool calls it led to, and the answer, in the order they happened. */
export const TurnView = memo(
  function TurnView({ turn, onConfirm }: TurnViewProps) {
    const last = turn.parts.at(-1);
    const isThinking = turn.state === 'running' && (last === undefined || (last.type === 'tool' && last.result !== null));
    return (
      <article className={styles.turn}>
        {turn.question !== '' && (
          <div className={styles.question}>
            <h2 className="visually-hidden">You asked</h2>
            {turn.question}
          </div>
        )}
        <div className={styles.answer}>
          <h2 className="visually-hidden">Answer</h2>
          {turn.parts.map((part, place) => (
            <PartView
              isRunning={turn.state === 'running'}
              key={part.type === 'text' ? `text-${place}` : `${part.type}-${part.id}`}
              onConfirm={onConfirm}
              part={part}
            />
          ))}
          {isThinking && (
            <p className={styles.thinking}>
              <Loader aria-hidden="true" color="teal" size={18} type="dots" />
              Thinking
            </p>
          )}
          {turn.state === 'done' && turn.parts.length === 0 && (
            <p className={styles.stopped}>No answer: this was stopped, failed, or is being worked on elsewhere.</p>
          )}
          {turn.state === 'stopped' && <p className={styles.stopped}>Stopped.</p>}
          {turn.error !== null && (
            <p className={styles.error} role="alert">
              {turn.error.message}
            </p>
          )}
        </div>
      </article>
    );
  },
  (before, after) => before.turn === after.turn,
);

interface PartViewProps {
  readonly part: TurnPart;
  readonly isRunning: boolean;
  readonly onConfirm: (id: string, approve: boolean) => void;
}

function PartView({ part, isRunning, onConfirm }: PartViewProps) {
  switch (part.type) {
    case 'text':
      return <Markdown text={part.text} />;
    case 'tool':
      return <ToolCallView call={part} isTurnRunning={isRunning} />;
    case 'confirm':
      return <ConfirmCard onDecide={(approve) => onConfirm(part.id, approve)} request={part} />;
  }
}
