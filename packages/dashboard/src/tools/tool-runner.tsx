import { Button, Checkbox, Textarea } from '@mantine/core';
import type { OfferedTool } from '@skein/agent';
import { type FormEvent, useEffect, useState } from 'react';
import type { Api } from '../api/api.ts';
import { useStore } from '../ui/store.ts';
import { RunResult } from './run-result.tsx';
import { fieldsOf, inputFrom, inputFromJson } from './schema-fields.ts';
import { ToolField } from './tool-field.tsx';
import { ToolRun } from './tool-run.ts';
import styles from './tool-runner.module.css';

/** Runs one tool, its input from a form made of its schema or written as JSON. */
export function ToolRunner({ api, tool }: { readonly api: Api; readonly tool: OfferedTool }) {
  const fields = fieldsOf(tool.input);
  const [asJson, setAsJson] = useState(fields.length === 0 && tool.input.additionalProperties !== false);
  const [written, setWritten] = useState<Readonly<Record<string, string>>>({});
  const [json, setJson] = useState('{}');
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const [run] = useState(() => new ToolRun({ api }));
  const state = useStore(run.store);
  useEffect(() => () => run.stop(), [run]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const result = asJson ? inputFromJson(json) : inputFrom(fields, written);
    setProblems(result.ok ? {} : result.problems);
    if (result.ok) void run.start(tool.name, result.input);
  };
  const toggle = (toJson: boolean) => {
    const current = inputFrom(fields, written);
    if (toJson && current.ok) setJson(JSON.stringify(current.input, null, 2));
    setAsJson(toJson);
    setProblems({});
  };
  return (
    <>
      <p className={styles.description}>{tool.description}</p>
      <form className={styles.form} noValidate onSubmit={submit}>
        {asJson ? (
          <Textarea
            error={problems.json ?? null}
            label="Input (JSON)"
            onChange={(event) => setJson(event.currentTarget.value)}
            rows={6}
            spellCheck={false}
            styles={{ input: { fontFamily: 'var(--mono)' } }}
            value={json}
          />
        ) : (
          fields.map((field) => (
            <ToolField
              field={field}
              key={field.name}
              onChange={(value) => setWritten({ ...written, [field.name]: value })}
              problem={problems[field.name] ?? null}
              value={written[field.name] ?? field.initial}
            />
          ))
        )}
        <div className={styles.actions}>
          <Checkbox checked={asJson} label="As JSON" onChange={(event) => toggle(event.currentTarget.checked)} />
          {state.type === 'running' ? (
            <Button color="gray" onClick={() => run.stop()} variant="default">
              Stop
            </Button>
          ) : (
            <Button type="submit">Run</Button>
          )}
        </div>
      </form>
      <RunResult state={state} />
    </>
  );
}
