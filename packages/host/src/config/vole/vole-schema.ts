import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { formatPath } from '../explain.ts';
import { uncover } from '../schema-walk.ts';

/** A key this near to a known one was meant to be that; in a short word, one letter makes another word. */
const TYPO_DISTANCE = 2;
const SHORT_WORD = 4;

const pawName = z.string().min(1).max(214);
const grants = z.looseObject({
  network: z.union([z.array(z.string()), z.boolean()]).optional(),
  listen: z.unknown().optional(),
  filesystem: z.union([z.array(z.string()), z.boolean()]).optional(),
  env: z.array(z.string()).optional(),
  childProcess: z.boolean().optional(),
});
/** What a VoleNet configuration lets one of its paws do. */
export type PawGrants = z.infer<typeof grants>;

const paw = z.union([pawName, z.looseObject({ name: pawName, allow: grants.optional(), hooks: z.unknown().optional() })]);

const peer = z.looseObject({
  url: z.string(),
  trust: z.enum(['full', 'tool', 'read']).optional(),
  allowTools: z.array(z.string()).optional(),
  denyTools: z.array(z.string()).optional(),
  allowBrain: z.boolean().optional(),
});

const share = z.looseObject({
  tools: z.boolean().optional(),
  memory: z.boolean().optional(),
  session: z.boolean().optional(),
  toolAllow: z.array(z.string()).optional(),
});

const net = z.looseObject({
  enabled: z.boolean().default(false),
  instanceName: z.string().optional(),
  role: z.enum(['coordinator', 'worker', 'peer']).optional(),
  port: z.number().optional(),
  hostname: z.string().optional(),
  publicUrl: z.string().optional(),
  keyPath: z.string().min(1).optional(),
  peers: z.array(peer).default([]),
  share: share.prefault({}),
  routing: z.record(z.string(), z.string()).optional(),
  brainSource: z.string().optional(),
  leader: z.string().optional(),
  heartbeatMode: z.enum(['leader', 'independent']).optional(),
  brainMode: z.enum(['local', 'loadbalance']).optional(),
  taskOverflow: z.enum(['reject', 'forward']).optional(),
  maxQueuedTasks: z.number().optional(),
  tls: z.looseObject({ cert: z.string(), key: z.string() }).optional(),
  maxConnections: z.number().optional(),
  authTimeoutMs: z.number().optional(),
  maxMessagesPerSecond: z.number().optional(),
  discovery: z.string().optional(),
  publicJoin: z
    .looseObject({
      enabled: z.boolean().optional(),
      trustLevel: z.unknown().optional(),
      allowBrain: z.unknown().optional(),
      maxPeers: z.unknown().optional(),
      ratePerMinute: z.unknown().optional(),
      requireApproval: z.unknown().optional(),
    })
    .optional(),
  relay: z
    .looseObject({
      enabled: z.boolean().optional(),
      maxPerMinutePerPair: z.unknown().optional(),
      maxBytes: z.unknown().optional(),
      acceptFrom: z.unknown().optional(),
    })
    .optional(),
  encrypt: z.boolean().optional(),
  publishNames: z.unknown().optional(),
  chatRetention: z.looseObject({ maxMessages: z.number().optional(), maxAgeDays: z.number().optional() }).optional(),
  files: z.unknown().optional(),
});

const loop = z.looseObject({
  maxIterations: z.number().optional(),
  confirmBeforeAct: z.boolean().optional(),
  taskConcurrency: z.number().optional(),
  compactThreshold: z.unknown().optional(),
  toolHorizon: z.unknown().optional(),
  maxContextTokens: z.unknown().optional(),
  responseReserve: z.unknown().optional(),
  costTracking: z.unknown().optional(),
  costAlertThreshold: z.unknown().optional(),
  rateLimits: z.unknown().optional(),
});

const heartbeat = z.looseObject({
  enabled: z.boolean().optional(),
  intervalMinutes: z.number().optional(),
  cron: z.string().optional(),
  runOnStart: z.boolean().optional(),
});

const toolProfile = z.looseObject({ allow: z.array(z.string()).optional(), deny: z.array(z.string()).optional() });

/** What `vole.config.json` holds; its own program takes anything beside it, so this does too, and `unknownKeys` tells of it. */
export const voleConfig = z.looseObject({
  brain: pawName.optional(),
  paws: z.array(paw).default([]),
  skills: z.array(z.unknown()).default([]),
  loop: loop.prefault({}),
  heartbeat: heartbeat.prefault({}),
  toolProfiles: z.record(z.string(), toolProfile).default({}),
  security: z
    .looseObject({
      sandboxFilesystem: z.boolean().optional(),
      allowedPaths: z.array(z.string()).optional(),
      docker: z.unknown().optional(),
    })
    .prefault({}),
  agents: z.unknown().optional(),
  demo: z.unknown().optional(),
  net: net.prefault({}),
});
export type VoleConfig = z.infer<typeof voleConfig>;

/** A key nothing is known of. */
export interface UnknownKey {
  readonly path: readonly PropertyKey[];
  /** The known key that was meant, where one is near. */
  readonly meant: string | undefined;
}

/** The keys of a value that its schema does not know, objects and arrays looked into. */
export function unknownKeys(schema: unknown, value: unknown, at: readonly PropertyKey[] = []): readonly UnknownKey[] {
  const bare = uncover(schema);
  if (bare instanceof z.ZodUnion) {
    const inner = bare.options.find((option) => uncover(option) instanceof z.ZodObject);
    return isObject(value) ? unknownKeys(inner, value, at) : [];
  }
  if (bare instanceof z.ZodArray && Array.isArray(value)) {
    return value.flatMap((entry, index) => unknownKeys(bare.element, entry, [...at, index]));
  }
  if (!(bare instanceof z.ZodObject) || !isObject(value)) return [];
  const known = Object.keys(bare.shape);
  return Object.entries(value).flatMap(([key, inner]) => {
    if (known.includes(key)) return unknownKeys(Reflect.get(bare.shape, key), inner, [...at, key]);
    return [{ path: [...at, key], meant: meantBy(key, known) }];
  });
}

/** `net.prot: unknown key; did you mean "port"?` */
export function describeUnknown({ path, meant }: UnknownKey): string {
  return `${formatPath(path)}: unknown key${meant === undefined ? ', left out' : `; did you mean "${meant}"?`}`;
}

function meantBy(key: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const word = key.toLowerCase();
  const near = closest(word, [...known]);
  const steps = distance(word, near.toLowerCase());
  const isSwapped = [...word].sort().join('') === [...near.toLowerCase()].sort().join('');
  return steps < TYPO_DISTANCE || (steps === TYPO_DISTANCE && (isSwapped || key.length > SHORT_WORD)) ? near : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
