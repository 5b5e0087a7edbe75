import type { TaskDetail, TaskSummary } from '@skein/host';
import { Command, InvalidArgumentError } from 'commander';
import { openNodeOf } from '../node-access.ts';
import { plainLine, plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

const SHOWN = 50;
const TITLE_CHARACTERS = 70;
const STEP_CHARACTERS = 200;

/** `skein tasks …` */
export function tasksCommand(shell: Shell): Command {
  const tasks = new Command('tasks').description('work this node accepted: its steps, costs and results').helpCommand(false);
  tasks.addCommand(list(shell), { isDefault: true });
  for (const command of [show(shell), cancel(shell), retry(shell)]) tasks.addCommand(command);
  return tasks.addHelpText('after', '\nExample:\n  $ skein tasks list');
}

function list(shell: Shell): Command {
  return new Command('list')
    .description('list the tasks, the latest first')
    .option('-n, --limit <count>', 'how many at most', parseCount, SHOWN)
    .addHelpText('after', '\nExample:\n  $ skein tasks list --limit 10')
    .action(async ({ limit }: { readonly limit: number }) => {
      await using node = await openNodeOf(shell);
      const tasks = (await node.client.tasks({ signal: shell.signal })).slice(0, limit);
      if (shell.json) for (const task of tasks) shell.event({ type: 'task', ...task });
      else
        shell.line(
          tasks.length === 0 ? shell.typed('No tasks yet. Give one with: skein ask "…"') : tasks.map(lineOf(shell)).join('\n'),
        );
    });
}

function show(shell: Shell): Command {
  return new Command('show')
    .description('show one task with its steps, what it cost and how it ended')
    .argument('<id>', 'its id, or the beginning of it')
    .addHelpText('after', '\nExample:\n  $ skein tasks show 0f3c')
    .action(async (id: string) => {
      await using node = await openNodeOf(shell);
      const task = await node.client.task(id, { signal: shell.signal });
      shell.result({ type: 'task', ...task }, () => describeTask(shell, task));
    });
}

function cancel(shell: Shell): Command {
  return change(shell, {
    verb: 'cancel',
    description: 'end a task, wherever it runs',
    run: (client, id, signal) => client.cancelTask(id, { signal }),
  });
}

function retry(shell: Shell): Command {
  return change(shell, {
    verb: 'retry',
    description: 'run a task that failed, was canceled or is unknown once more',
    run: (client, id, signal) => client.retryTask(id, { signal }),
  });
}

type Client = Awaited<ReturnType<typeof openNodeOf>>['client'];

function change(
  shell: Shell,
  {
    verb,
    description,
    run,
  }: {
    readonly verb: string;
    readonly description: string;
    readonly run: (client: Client, id: string, signal: AbortSignal) => Promise<string>;
  },
): Command {
  return new Command(verb)
    .description(description)
    .argument('<id>', 'its id, or the beginning of it')
    .addHelpText('after', `\nExample:\n  $ skein tasks ${verb} 0f3c`)
    .action(async (id: string) => {
      await using node = await openNodeOf(shell);
      const state = await run(node.client, id, shell.signal);
      shell.result({ type: 'task-state', id, state }, () => `The task ${id} is ${state}`);
    });
}

function lineOf(shell: Shell): (task: TaskSummary) => string {
  const { bold, dim, green, red, yellow } = shell.colors;
  const colors = {
    queued: yellow,
    running: yellow,
    forwarded: yellow,
    done: green,
    failed: red,
    canceled: dim,
    unknown: red,
  } as const;
  return (task) => {
    const where = [
      ...(task.origin === null ? [] : [`for ${task.origin.name}`]),
      ...(task.owner === null ? [] : [`at ${task.owner.name}`]),
      ...(task.tokens === 0 ? [] : [`${task.tokens} tokens`]),
    ];
    const at = new Date(task.acceptedAtMs).toISOString().slice(0, 16).replace('T', ' ');
    const facts = where.length === 0 ? '' : dim(`  ${plainLine(where.join(', '), 150)}`);
    return `${bold(task.id.slice(0, 8))}  ${at}  ${colors[task.state](task.state.padEnd(9))}  ${plainLine(task.title, TITLE_CHARACTERS)}${facts}`;
  };
}

function describeTask(shell: Shell, task: TaskDetail): string {
  const { dim } = shell.colors;
  const steps = task.steps.map(({ atMs, event }) => `  ${dim(new Date(atMs).toISOString().slice(11, 19))}  ${words(event)}`);
  const { outcome } = task;
  const calls = outcome?.toolCalls.map(({ name, ms, ok }) => `${name} ${ok ? 'done' : 'failed'} in ${Math.round(ms)} ms`) ?? [];
  return [
    lineOf(shell)(task),
    `  id ${task.id}, conversation ${plainLine(task.session, 130)}, priority ${task.priority}, attempt ${task.attempt}`,
    ...steps,
    ...(calls.length === 0 ? [] : [`  calls: ${plainLine(calls.join(', '), 1_000)}`]),
    ...(outcome?.error === undefined ? [] : [`  ${outcome.error.code}: ${plainText(outcome.error.message)}`]),
    ...(outcome?.text === undefined ? [] : ['', plainText(outcome.text)]),
  ].join('\n');
}

function words(event: TaskDetail['steps'][number]['event']): string {
  if (event.type === 'intent') return `about to run ${plainLine(event.name, 130)}, which must not run twice`;
  if (event.type !== 'step') return event.type;
  return event.entries
    .map(({ message }) => {
      if (message.role === 'tool') {
        return `${plainLine(message.name, 130)} ${message.ok ? 'gave' : 'failed with'} ${plainLine(JSON.stringify(message.output), STEP_CHARACTERS)}`;
      }
      if (message.role === 'user') return `asked: ${plainLine(message.text, STEP_CHARACTERS)}`;
      const calls = message.toolCalls.map(({ name }) => name).join(', ');
      return [message.text, calls === '' ? '' : `calls ${calls}`]
        .filter((part) => part !== '')
        .map((part) => plainLine(part, STEP_CHARACTERS))
        .join('; ');
    })
    .join('\n            ');
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 to 99999');
  return Number(text);
}
