import { Drawer, TextInput } from '@mantine/core';
import type { OfferedTool } from '@skein/agent';
import { useState } from 'react';
import type { Api } from '../api/api.ts';
import { EmptyNote } from '../ui/empty-note.tsx';
import { ToolName } from '../ui/tool-name.tsx';
import styles from './tool-list.module.css';
import { ToolRow } from './tool-row.tsx';
import { ToolRunner } from './tool-runner.tsx';

interface ToolListProps {
  readonly api: Api;
  readonly tools: readonly OfferedTool[];
}

/** The tools at hand by the machine that runs them; each can be run from here. */
export function ToolList({ api, tools }: ToolListProps) {
  const [filter, setFilter] = useState('');
  const [chosen, setChosen] = useState<OfferedTool | null>(null);
  const wanted = filter.trim().toLowerCase();
  const shown = tools.filter((tool) => `${tool.name} ${tool.description}`.toLowerCase().includes(wanted));
  return (
    <div className={styles.list}>
      <TextInput
        aria-label="Find a tool"
        onChange={(event) => setFilter(event.currentTarget.value)}
        placeholder="Find a tool"
        type="search"
        value={filter}
      />
      {shown.length === 0 && (
        <EmptyNote title="No tools">
          {tools.length === 0
            ? 'Tools of this node and of connected peers show here.'
            : 'None is called or described like that.'}
        </EmptyNote>
      )}
      {byPeer(shown).map(([peer, own]) => (
        <section key={peer ?? ''}>
          <h3 className={styles.peer}>{peer ?? 'This node'}</h3>
          <ul className={styles.tools}>
            {own.map((tool) => (
              <ToolRow key={tool.name} onRun={() => setChosen(tool)} tool={tool} />
            ))}
          </ul>
        </section>
      ))}
      <Drawer
        closeButtonProps={{ 'aria-label': 'Close' }}
        lockScroll={false}
        onClose={() => setChosen(null)}
        opened={chosen !== null}
        position="right"
        size="min(100vw, 480px)"
        title={chosen === null ? null : <ToolName name={chosen.name} peer={chosen.peer ?? null} />}
      >
        {chosen !== null && <ToolRunner api={api} key={chosen.name} tool={chosen} />}
      </Drawer>
    </div>
  );
}

/** This node's own first, then the peers by name. */
function byPeer(tools: readonly OfferedTool[]): (readonly [string | null, readonly OfferedTool[]])[] {
  const groups = Map.groupBy(tools, (tool) => tool.peer ?? null);
  return [...groups].toSorted(([one], [other]) => (one ?? '').localeCompare(other ?? ''));
}
