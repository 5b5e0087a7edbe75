import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TaskDetail, TurnEvent } from '@skein/gateway';
import { ChaosProxy, type LlmRequest, type LlmTurn, startLlmServer } from '@skein/testing';
import type { ConfigInput } from '../../src/config/schema.ts';
import { type SkeinNode, SkeinNodes, until } from './skein-node.ts';

/**
 * Where a delegated task is when something happens to its line or its nodes. Each acts once, with a tool that must never be
 * repeated: in `announcing` it is about to, in `acting` the tool runs until the line is well again, in `acted` it ends
 * meanwhile; in `thinking` the model thinks on after it, in `telling` it answers meanwhile. `submitting` is asked meanwhile.
 */
export const MOMENTS = ['submitting', 'announcing', 'acting', 'acted', 'thinking', 'telling'] as const;
export type Moment = (typeof MOMENTS)[number];

/** One task after all is over. */
export interface Ended {
  readonly moment: Moment;
  /** What whoever asked was told last. */
  readonly told: TurnEvent | undefined;
  /** In ms after it was asked. */
  readonly tookMs: number;
  /** As it is in the journal of the node that was asked, and in that of the one it was given to. */
  readonly origin: TaskDetail;
  readonly worker: TaskDetail | undefined;
  /** How often the tool took effect. */
  readonly effects: number;
}

/** One task for each moment, under way at once. */
export class TaskRound {
  readonly #pair: TaskPair;
  readonly #name: string;
  readonly #begun = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  readonly #asked = new Map<Moment, Promise<{ readonly told: TurnEvent | undefined; readonly tookMs: number }>>();
  readonly #thought = new Set<Moment>();

  constructor(pair: TaskPair, name: string) {
    this.#pair = pair;
    this.#name = name;
  }

  /** Asks for every task that is to be under way before, and resolves when each has come to its moment. */
  async reach(moments: readonly Moment[] = MOMENTS): Promise<void> {
    const before = moments.filter((moment) => moment !== 'submitting');
    for (const moment of before) this.#ask(moment);
    await Promise.all(before.map((moment) => until(`${this.#name} is ${moment}`, () => this.#isAt(moment))));
  }

  /** It has happened: what was to go on meanwhile goes on. */
  begun({ submits = true } = {}): void {
    this.#begun.resolve();
    this.#release('acted');
    if (submits) this.#ask('submitting');
  }

  /** All is well again. */
  over(): void {
    this.#over.resolve();
    this.#release('acting');
  }

  /** Resolves when everybody who asked was told. */
  told(): Promise<readonly Pick<Ended, 'moment' | 'told' | 'tookMs'>[]> {
    return Promise.all([...this.#asked].map(async ([moment, asked]) => ({ moment, ...(await asked) })));
  }

  /** Resolves when everybody who asked was told, and neither node has anything left to do. */
  async ended(): Promise<readonly Ended[]> {
    const { origin, worker } = this.#pair;
    const told = await this.told();
    for (const node of [origin, worker]) {
      await until(`${node.name} has nothing left to do`, async () => (await openTasks(node)).length === 0);
    }
    return Promise.all(
      told.map(async (answer) => {
        const { moment } = answer;
        const [own, theirs] = await Promise.all([this.#detail(origin, moment), this.#detail(worker, moment)]);
        if (own === undefined) throw new Error(`${moment} is not known to the node that was asked`);
        return { ...answer, origin: own, worker: theirs, effects: this.effects(moment) };
      }),
    );
  }

  effects(moment: Moment): number {
    const file = this.#file(moment);
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  }

  /** What the model says. */
  async answer(moment: Moment, hasActed: boolean): Promise<LlmTurn> {
    this.#thought.add(moment);
    if (!hasActed) {
      if (moment === 'announcing') await this.#begun.promise;
      return { toolCalls: [{ name: 'shell_exec', input: { command: this.#command(moment) } }] };
    }
    if (moment === 'thinking') await this.#over.promise;
    if (moment === 'telling') await this.#begun.promise;
    return { text: 'Done.' };
  }

  #command(moment: Moment): string {
    const effect = `echo effect >> ${this.#file(moment)}`;
    if (moment !== 'acting' && moment !== 'acted') return effect;
    // It leaves with the folder, whatever becomes of the test.
    return `${effect}; while [ -f ${this.#file(moment)} ] && [ ! -f ${this.#file(moment)}.released ]; do sleep 0.1; done`;
  }

  #ask(moment: Moment): void {
    const startedMs = performance.now();
    const asked = this.#pair.origin.ask(`act in ${this.#name}/${moment}`, `${this.#name}-${moment}`);
    this.#asked.set(
      moment,
      asked.then((told) => ({ told, tookMs: performance.now() - startedMs })),
    );
  }

  async #isAt(moment: Moment): Promise<boolean> {
    if (moment === 'announcing') return this.#thought.has(moment);
    if (moment === 'acting' || moment === 'acted') return this.effects(moment) > 0;
    const steps = (await this.#detail(this.#pair.origin, moment))?.steps ?? [];
    return JSON.stringify(steps.map(({ event }) => event)).includes('"role":"tool"');
  }

  async #detail(node: SkeinNode, moment: Moment): Promise<TaskDetail | undefined> {
    const found = (await node.client.tasks()).find(({ session }) => session === `${this.#name}-${moment}`);
    return found === undefined ? undefined : node.client.task(found.id);
  }

  #release(moment: Moment): void {
    writeFileSync(`${this.#file(moment)}.released`, '');
  }

  #file(moment: Moment): string {
    return path.join(this.#pair.folder, `${this.#name}-${moment}`);
  }
}

/** Two `skein start`s and the line between them; the origin has no brain of its own, so all its tasks are the worker's. */
export interface TaskPair extends AsyncDisposable {
  readonly origin: SkeinNode;
  readonly worker: SkeinNode;
  /** The origin dials: what goes to the target goes to the worker. */
  readonly line: ChaosProxy;
  readonly folder: string;
  round(name: string): TaskRound;
}

export async function startTaskPair(agent: ConfigInput['agent'] = {}, empty = new SkeinNodes()): Promise<TaskPair> {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(empty);
  const rounds = new Map<string, TaskRound>();
  const script = (request: LlmRequest): LlmTurn | Promise<LlmTurn> => {
    const [, round = '', name] = /act in (\w+)\/(\w+)/.exec(JSON.stringify(request.body.messages)) ?? [];
    const moment = MOMENTS.find((known) => known === name);
    if (moment === undefined) return { text: `Heard: ${request.last}` };
    return rounds.get(round)?.answer(moment, !request.last.startsWith('act in')) ?? { text: 'Of no round.' };
  };
  const llm = stack.use(await startLlmServer({ script }));
  const worker = nodes.make('worker', {
    brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
    tools: { shell: { allow: ['*'], allowShell: true } },
    tasks: { concurrency: MOMENTS.length },
    agent,
    net: { share: { tools: true } },
  });
  const origin = nodes.make('origin', { brain: { provider: 'none' }, agent, net: { brainSource: 'worker' } });
  worker.trusts([origin, { trust: 'tool', allowBrain: true }]);
  await worker.start();
  const line = stack.use(await ChaosProxy.start(worker.port));
  origin.trusts([worker, { trust: 'tool', url: line.url }]);
  await origin.start();
  await untilWilling(origin);
  const kept = stack.move();
  const pair: TaskPair = {
    ...{ origin, worker, line, folder: nodes.root },
    round: (name) => {
      const round = new TaskRound(pair, name);
      rounds.set(name, round);
      return round;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
  return pair;
}

/** Resolves when the peer of this node lets it use its brain. */
export function untilWilling(node: SkeinNode): Promise<void> {
  return until('its peer lets it use its brain', async () => ((await node.client.peers())[0]?.brain ?? null) !== null);
}

async function openTasks(node: SkeinNode) {
  return (await node.client.tasks()).filter(({ state }) => ['queued', 'running', 'forwarded'].includes(state));
}
