import { ChaosProxy } from '@skein/testing';
import { z } from 'zod';
import type { ConfigInput } from '../../src/config/schema.ts';
import { openStores } from '../sync-nodes.ts';
import { type SkeinNode, SkeinNodes, until } from './skein-node.ts';

/** The conversation that goes on everywhere. */
const SESSION = 'shared';
/** So that a catch-up takes long enough to be cut in the middle. */
const SLOW = { bytesPerSecond: 250_000 };
const SHARING: ConfigInput = { brain: { provider: 'intents' }, net: { share: { memory: true, session: true } } };

const written = z.object({ added: z.literal(true) });
const found = z.object({ facts: z.array(z.object({ text: z.string(), foundAt: z.string().optional() })) });

/** A node that writes, and what became of what it was asked to write. */
export class Writer {
  readonly node: SkeinNode;
  /** The way to the hub, which it dials; the hub has none. */
  readonly line: ChaosProxy | undefined;
  /** It said that these are written, in this order. */
  readonly facts: string[] = [];
  readonly turns: string[] = [];
  /** It did not say whether. */
  readonly doubtful: string[] = [];
  #count = 0;

  constructor(node: SkeinNode, line?: ChaosProxy) {
    this.node = node;
    this.line = line;
  }

  /** Writes so many facts, and says so much in the conversation. */
  async write(facts: number, turns: number): Promise<void> {
    const { client, name } = this.node;
    const tell = async (kept: string[], write: (text: string) => Promise<void>) => {
      this.#count += 1;
      const text = `${name} says word${this.#count}`;
      try {
        await write(text);
        kept.push(text);
      } catch {
        this.doubtful.push(text);
      }
    };
    for (let at = 0; at < facts; at += 1) {
      await tell(this.facts, async (text) => void written.parse(await client.call({ name: 'memory_write', input: { text } })));
    }
    for (let at = 0; at < turns; at += 1) {
      await tell(this.turns, async (text) => {
        const last = await this.node.ask(text, SESSION);
        if (last?.type !== 'answer') throw new Error('It was not answered');
      });
    }
  }

  /** The facts that it has itself and that fit, the latest first. */
  async own(query: string): Promise<readonly string[]> {
    const answer = await this.node.client.call({ name: 'memory_search', input: { query, limit: 50 } });
    return found.parse(answer).facts.flatMap(({ text, foundAt }) => (foundAt === undefined ? [plain(text)] : []));
  }

  /** The conversation as it stands. */
  async history(): Promise<readonly string[]> {
    return (await this.node.client.history(SESSION)).map(({ role, text }) => `${role}: ${text}`);
  }
}

/** A hub that remembers much, and nodes that begin to catch up with it, each over a line of its own. */
export class SyncStar implements AsyncDisposable {
  readonly hub: Writer;
  readonly around: readonly Writer[];
  readonly #before: number;
  readonly #stack: AsyncDisposableStack;

  private constructor(hub: Writer, around: readonly Writer[], before: number, stack: AsyncDisposableStack) {
    this.hub = hub;
    this.around = around;
    this.#before = before;
    this.#stack = stack;
  }

  static async start(names: readonly string[], before: number): Promise<SyncStar> {
    await using stack = new AsyncDisposableStack();
    const nodes = stack.use(new SkeinNodes());
    const hub = nodes.make('hub', SHARING);
    const others = names.map((name) => nodes.make(name, SHARING));
    hub.trusts(...others.map((other) => [other, { trust: 'full' }] as const));
    await remember(hub, before);
    await hub.start();
    const around = await Promise.all(
      others.map(async (node) => {
        const line = stack.use(await ChaosProxy.start(hub.port));
        line.weather = SLOW;
        // What one wrote is taken from the hub by those alone who trust its author.
        const rest = others.filter((other) => other !== node).map((other) => [other, { trust: 'full' }] as const);
        node.trusts([hub, { trust: 'full', url: line.url }], ...rest);
        await node.start();
        return new Writer(node, line);
      }),
    );
    return new SyncStar(new Writer(hub), around, before, stack.move());
  }

  get all(): readonly Writer[] {
    return [this.hub, ...this.around];
  }

  writer(name: string): Writer {
    const writer = this.all.find(({ node }) => node.name === name);
    if (writer === undefined) throw new Error(`There is no ${name}`);
    return writer;
  }

  /** Resolves in the middle of a node's catch-up, with how far it is. */
  async halfway(writer: Writer): Promise<number> {
    let number = 0;
    await until(`${writer.node.name} has something of the hub`, async () => {
      const [latest = ''] = await writer.own('');
      number = Number(/^before (\d+)$/.exec(latest)?.[1] ?? 0);
      return number > this.#before / 5;
    });
    return number;
  }

  /** Resolves when every node has the end of every other's chain, which it takes in order, and the whole conversation. */
  async inStep(): Promise<void> {
    for (const { node, facts } of this.all) {
      const last = facts.at(-1);
      if (last === undefined) throw new Error(`${node.name} has written nothing`);
      for (const reader of this.all) {
        await until(`${reader.node.name} has "${last}"`, async () => (await reader.own(last)).includes(last));
      }
    }
    for (const reader of this.around) {
      await until(`${reader.node.name} has the conversation`, async () => {
        const [one, other] = await Promise.all([reader.history(), this.hub.history()]);
        return one.length >= 2 * this.turns.length && JSON.stringify(one) === JSON.stringify(other);
      });
    }
  }

  /** What was surely said in the conversation. */
  get turns(): readonly string[] {
    return this.all.flatMap(({ turns }) => turns);
  }

  /** Kills every node and reads what is on its disk. */
  async onDisk() {
    return Promise.all(
      this.all.map(async ({ node }) => {
        await node.kill();
        const { database, memoryLog, sessionLog, sessions } = openStores({
          identity: node.identity,
          path: node.file('node.db'),
        });
        using _ = database;
        return {
          name: node.name,
          facts: database
            .all(`SELECT body ->> 'text' AS text FROM facts WHERE forgotten_at_ms IS NULL`)
            .map(({ text }) => String(text)),
          heads: [memoryLog, sessionLog].map((log) =>
            log
              .heads()
              .map((head) => JSON.stringify(head))
              .sort(),
          ),
          quarantined: [...memoryLog.quarantined(), ...sessionLog.quarantined()],
          conversation: sessions.read(SESSION, { maxChars: 1e9 }).map(({ message }) => JSON.stringify(message)),
        };
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Facts in the memory of a node that has not started yet, each a millisecond after the one before. */
async function remember(node: SkeinNode, count: number): Promise<void> {
  let nowMs = Date.now() - 3_600_000;
  const now = () => {
    nowMs += 1;
    return nowMs;
  };
  const { database, memory } = openStores({ identity: node.identity, path: node.file('node.db'), now });
  using _ = database;
  for (let from = 0; from < count; from += 250) {
    const numbers = Array.from({ length: Math.min(250, count - from) }, (__, at) => from + at + 1);
    await Promise.all(
      numbers.map((number) => memory.write({ text: `before ${number}`, author: 'me', source: 'test', trusted: true })),
    );
  }
}

/** The text of a fact without the marks that set apart what others wrote. */
function plain(text: string): string {
  return /(before \d+|\w+ says word\d+)/.exec(text)?.[1] ?? text;
}
