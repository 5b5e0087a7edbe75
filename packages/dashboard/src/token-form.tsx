import { Button, PasswordInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import styles from './token-form.module.css';
import { Mark } from './ui/icons.tsx';

interface TokenFormProps {
  readonly problem: string | null;
  readonly onEnter: (token: string) => void;
}

/** Asks for the node's token, for those who came without its link. */
export function TokenForm({ problem, onEnter }: TokenFormProps) {
  const [token, setToken] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim() !== '') onEnter(token.trim());
  };
  return (
    <main className={styles.page}>
      <form className={styles.card} onSubmit={submit}>
        <Mark />
        <h1 className={styles.title}>Open this node</h1>
        <p className={styles.text}>
          <code>skein page</code> prints the link with its token, on the machine and in the folder of the node; a terminal that
          runs the node shows it too. Open that link, or paste the token here. It stays in this tab.
        </p>
        <PasswordInput
          autoComplete="off"
          autoFocus
          error={problem}
          label="Token"
          onChange={(event) => setToken(event.currentTarget.value)}
          spellCheck={false}
          value={token}
        />
        <Button disabled={token.trim() === ''} fullWidth mt="md" type="submit">
          Open
        </Button>
      </form>
    </main>
  );
}
