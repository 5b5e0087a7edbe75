import { ActionIcon } from '@mantine/core';
import type { OfferedTool } from '@skein/agent';
import { playIcon } from '../ui/icons.tsx';
import styles from './tool-row.module.css';

/** What a call of each kind does, in the fewest words. */
const EFFECTS: Readonly<Record<OfferedTool['effect'], string>> = {
  read: 'reads only',
  transactional: 'changes things',
  idempotent: 'changes things',
  'at-most-once': 'acts',
};

/** A tool: its name and what it is for. */
export function ToolRow({ tool, onRun }: { readonly tool: OfferedTool; readonly onRun: () => void }) {
  const name = tool.name.slice(tool.name.lastIndexOf('/') + 1);
  return (
    <li className={styles.row}>
      <div className={styles.words}>
        <p className={styles.name}>
          {name}
          <span className={styles.effect} data-effect={tool.effect}>
            {EFFECTS[tool.effect]}
          </span>
        </p>
        <p className={styles.description}>{tool.description}</p>
      </div>
      <ActionIcon aria-label={`Run ${tool.name}`} onClick={onRun} size="lg" variant="light">
        {playIcon}
      </ActionIcon>
    </li>
  );
}
