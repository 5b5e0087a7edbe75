import { ActionIcon } from '@mantine/core';
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { sendIcon, stopIcon } from '../ui/icons.tsx';
import styles from './composer.module.css';

/** As many as the gateway takes; the module that says so is not the browser's to load. */
const REQUEST_CHARS_MAX = 32_000;

interface ComposerProps {
  readonly isRunning: boolean;
  readonly isLive: boolean;
  readonly onSend: (text: string) => void;
  readonly onStop: () => void;
}

/** Where a request is written. Enter sends, Shift+Enter begins a line, Escape stops, `/` comes here from anywhere. */
export function Composer({ isRunning, isLive, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const input = useRef<HTMLTextAreaElement>(null);
  const canSend = text.trim() !== '' && !isRunning && isLive;

  useEffect(() => {
    const onKeyDown = (event: globalThis.KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: as tall as its text, up to the style's bound
  useLayoutEffect(() => {
    const box = input.current;
    if (box === null) return;
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);

  const send = () => {
    if (!canSend) return;
    onSend(text.trim());
    setText('');
    input.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method is composing, Enter is its own.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <div className={styles.composer}>
      <div className={styles.box}>
        <textarea
          aria-label="Message"
          className={styles.input}
          id="message"
          maxLength={REQUEST_CHARS_MAX}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          placeholder="Ask your machines anything"
          ref={input}
          rows={1}
          value={text}
        />
        {isRunning ? (
          <ActionIcon aria-label="Stop" color="gray" onClick={onStop} radius="xl" size={38} variant="light">
            {stopIcon}
          </ActionIcon>
        ) : (
          <ActionIcon aria-label="Send" disabled={!canSend} onClick={send} radius="xl" size={38}>
            {sendIcon}
          </ActionIcon>
        )}
      </div>
      <p className={styles.keys}>
        <kbd>Enter</kbd> sends · <kbd>Shift</kbd>+<kbd>Enter</kbd> new line · <kbd>Esc</kbd> stops · <kbd>/</kbd> write
      </p>
    </div>
  );
}

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
