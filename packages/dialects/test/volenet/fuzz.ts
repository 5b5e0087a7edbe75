import type { SpecVole, Wire } from '@skein/testing';

const VALID: Readonly<Record<string, unknown>> = {
  ping: { timestamp: 1 },
  pong: { timestamp: 1, echo: 'x' },
  discover: {
    name: 'x',
    publicKey: 'vole-ed25519 AAAA x',
    endpoint: 'http://10.0.0.1',
    capabilities: ['a'],
    role: 'peer',
    version: '3',
  },
  'discover:response': {
    name: 'x',
    publicKey: 'vole-ed25519 AAAA x',
    endpoint: '',
    capabilities: [],
    role: 'peer',
    version: '3',
  },
  'tool:list': {},
  'tool:list:response': [{ name: 'a', description: 'b', pawName: 'c', instanceId: 'd', instanceName: 'e' }],
  'tool:call': { callId: 'c', toolName: 'touch', params: { a: 1 } },
  'tool:result': { callId: 'c', success: true, output: 1 },
  'task:delegate': { taskId: 't', input: 'i', maxIterations: 1, context: 'c', fromName: 'f' },
  'task:result': { taskId: 't', status: 'completed', result: 'r' },
  'task:status': { taskId: 't', status: 'running' },
  'memory:sync': { file: 'f', source: 's', content: 'c', mode: 'append', timestamp: 1, instanceId: 'i', version: 1 },
  'memory:search': { query: 'q', source: 's', limit: 5, requestId: 'r' },
  'memory:results': {
    requestId: 'r',
    instanceId: 'i',
    instanceName: 'n',
    results: [{ file: 'f', source: 's', score: 1, snippet: 'x' }],
  },
  'session:sync': { sessionId: 's', role: 'user', content: 'c', timestamp: 1, instanceId: 'i' },
  'leader:heartbeat': { timestamp: 1 },
  'leader:claim': {},
  'leader:ack': { accepted: true },
  'chat:message': { text: 't', fromName: 'f' },
  'sealed:direct': { box: { epk: 'AAAA', kem: 'AAAA', n: 'AAAA', c: 'AAAA' } },
  sealed: { to: 'x', box: {} },
  'relay:deliver': { from: 'x', box: {} },
  roster: { members: [null] },
  'file:offer': { transferId: 't' },
  'auth:challenge': null,
  nonsense: {},
};
const TYPES = Object.keys(VALID);

/** Reproducible numbers from 0 to 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One message as text: of a kind that exists, with something wrong in it more often than not. */
export function fuzzed(vole: SpecVole, to: string, random: () => number, earlier: readonly string[]): string {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const type = pick(TYPES);
  const payload = random() < 0.3 ? VALID[type] : mutate(VALID[type], random, 0);
  const message: Wire = vole.make(type, random() < 0.8 ? to : pick(['*', 'nobody', vole.id]), payload);
  const kind = random();
  if (kind < 0.7) return JSON.stringify(message);
  if (kind < 0.75 && earlier.length > 0) return pick(earlier);
  if (kind < 0.85) {
    const field = pick(Object.keys(message));
    return JSON.stringify({ ...message, [field]: junk(random) });
  }
  if (kind < 0.9) return JSON.stringify(junk(random));
  const text = JSON.stringify(message);
  const at = Math.floor(random() * text.length);
  if (kind < 0.93) return text.slice(0, at);
  if (kind < 0.96)
    return `${text.slice(0, at)}${pick(['"', '{', '[', ',', '\\u0000', '1e999', '\ud800', 'null'])}${text.slice(at + 1)}`;
  if (kind < 0.98) return text.replace('"payload":', '"payload":null,"payload":');
  return `${'['.repeat(Math.floor(random() * 2_000))}${text}`;
}

function mutate(value: unknown, random: () => number, depth: number): unknown {
  if (random() < 0.25 || depth > 4) return junk(random);
  if (Array.isArray(value))
    return [...value.map((item) => mutate(item, random, depth + 1)), ...(random() < 0.2 ? [junk(random)] : [])];
  if (typeof value !== 'object' || value === null) return random() < 0.5 ? value : junk(random);
  const entries = Object.entries(value).filter(() => random() < 0.9);
  const mutated = Object.fromEntries(entries.map(([key, member]) => [key, mutate(member, random, depth + 1)]));
  if (random() < 0.1) Object.defineProperty(mutated, '__proto__', { value: junk(random), enumerable: true });
  return mutated;
}

function junk(random: () => number): unknown {
  switch (Math.floor(random() * 16)) {
    case 0:
      return null;
    case 1:
      return [null];
    case 2:
      return {};
    case 3:
      return [];
    case 4:
      return '';
    case 5:
      return 'x'.repeat(Math.floor(random() * 3_000));
    case 6:
      return -1;
    case 7:
      return 1e308;
    case 8:
      return true;
    case 9:
      return JSON.parse(`${'['.repeat(28)}${']'.repeat(28)}`);
    case 10:
      return JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":null}');
    case 11:
      return JSON.parse('{"length":1e9,"then":1,"toJSON":"x"}');
    case 12:
      return '\u0000\ud800‮';
    case 13:
      return 0.1 + random();
    case 14:
      return Array.from({ length: 50 }, () => ({}));
    default:
      return '../../etc/passwd';
  }
}
