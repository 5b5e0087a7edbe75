import { asName } from '@skein/dialects';
import { SkeinError } from '@skein/protocol';
import type { ConfigText } from '../config-text.ts';
import type { Environment } from '../environment.ts';
import { explain } from '../explain.ts';
import { invalidConfig } from '../problems.ts';
import { type ConfigInput, config as configSchema } from '../schema.ts';
import { convertPaws, isPaw, type Paw } from './paws.ts';
import { readVoleEnvironment, voleVariableOf } from './vole-environment.ts';
import { describeUnknown, unknownKeys, type VoleConfig, voleConfig } from './vole-schema.ts';

/** The name of the file the VoleNet guide has people write. */
export const VOLE_CONFIG_FILE = 'vole.config.json';

/** A VoleNet configuration as one of ours. */
export interface ConvertedVole {
  readonly config: ConfigInput;
  /** `net.keyPath` as it is written. */
  readonly keyPath: string | undefined;
  /** What a trusted key may do that no entry of `net.peers` is known to speak of. */
  readonly trustUnlisted: 'tool' | 'read';
  /** What differs here, for people; one line each. */
  readonly notes: readonly string[];
  /** What cannot be run, and what to do; `config` is the rest. */
  readonly refused: readonly string[];
}

/** What of `net` and `loop` is left out, when it is there. */
const LEFT_OUT = {
  net: {
    publishNames: 'names are told to nobody who has not proven a key',
    files: 'files are not sent between nodes in this version',
  },
  loop: {
    compactThreshold: 'conversations are fitted to the model without it',
    toolHorizon: 'the model is always shown its tools',
    maxContextTokens: 'see agent.maxTurnTokens of skein.config.json',
    responseReserve: 'see brain.maxOutputTokens of skein.config.json',
    costTracking: 'tokens are counted, prices are not',
    costAlertThreshold: 'see agent.maxTurnTokens of skein.config.json',
    rateLimits: 'see agent.maxToolCalls, agent.maxTurnTokens and tasks of skein.config.json',
  },
} as const;

/** Names that mean something else than a node. */
const WORDS: ReadonlySet<string> = new Set(['local', 'remote', 'auto', 'quorum']);
/** What our own schema takes of numbers that are free there. */
const BOUNDS = { maxIterations: [1, 200], authTimeoutMs: [100, 5_000] } as const;

/** Sources of tasks that this version does not have: what a profile says of them restricts nothing. */
const ABSENT_SOURCES: ReadonlySet<string> = new Set([
  'telegram',
  'slack',
  'discord',
  'whatsapp',
  'msteams',
  'voice-call',
  'paw',
]);

/**
 * Reads what the VoleNet guide has people write, with its defaults, and makes a configuration of ours of it.
 * @throws SkeinError `invalid` naming file, line and key, and for a mistyped key the one that was meant.
 */
export function convertVoleConfig(source: ConfigText, env: Environment = {}): ConvertedVole {
  const { value } = source;
  const unknown = unknownKeys(voleConfig, value);
  const typos = unknown.filter(({ meant }) => meant !== undefined);
  if (typos.length > 0) throw invalidConfig(typos.map((typo) => `${source.locate(typo.path)}: ${describeUnknown(typo)}`));
  const parsed = voleConfig.safeParse(value);
  if (!parsed.success) {
    const problems = explain(voleConfig, parsed.error.issues, value);
    throw invalidConfig(problems.map(({ path, text }) => `${source.locate(path)}: ${text}`));
  }
  const vole = parsed.data;
  const listed = pawsOf(vole);
  const paws = convertPaws(listed);
  const said = readVoleEnvironment(env);
  const config = paws.parts.reduce<ConfigInput>(over, {
    ...(vole.net.instanceName === undefined ? {} : { name: nameOf(vole.net.instanceName) }),
    net: { ...netOf(vole.net), ...said.net },
    tools: { enabled: [...new Set(paws.tools)] },
    agent: defined({
      maxIterations: bounded('maxIterations', vole.loop.maxIterations),
      confirmBeforeAct: vole.loop.confirmBeforeAct,
    }),
    ...(vole.loop.taskConcurrency === undefined ? {} : { tasks: { concurrency: vole.loop.taskConcurrency } }),
    heartbeat: heartbeatOf(vole.heartbeat),
    ...brainOf(listed, paws.hasBrain, said.brain),
  });
  checkConverted(config, source, env);
  const unlisted = trustUnlisted(vole.net);
  return {
    config,
    keyPath: vole.net.keyPath,
    trustUnlisted: unlisted,
    notes: [...paws.notes, ...notesOf(vole), ...noteTrust(vole.net, unlisted), ...said.notes, ...unknown.map(describeUnknown)],
    refused: [...paws.refused, ...refusedOf(vole)],
  };
}

/** @throws SkeinError `unsupported` naming each thing that cannot be run, and what to do. */
export function refuseLacking(refused: readonly string[], file: string): void {
  if (refused.length === 0) return;
  throw new SkeinError(
    [
      `${file} asks for what this version cannot run:`,
      ...refused.map((line) => `  ${line}`),
      'Take that out of the file, or go on without it: skein import vole --without-missing',
    ].join('\n'),
    { code: 'unsupported' },
  );
}

function pawsOf({ brain, paws }: VoleConfig): readonly Paw[] {
  const listed = paws.map(
    (paw): Paw => (typeof paw === 'string' ? { name: paw, allow: {} } : { name: paw.name, allow: paw.allow ?? {} }),
  );
  const isListed = brain === undefined || listed.some(({ name }) => name === brain);
  return isListed ? listed : [{ name: brain, allow: {} }, ...listed];
}

function netOf(vole: VoleConfig['net']): NonNullable<ConfigInput['net']> {
  const { enabled, role, port, hostname, publicUrl, routing, brainSource, leader, heartbeatMode, tls, authTimeoutMs } = vole;
  const { brainMode, taskOverflow, maxQueuedTasks, maxConnections, maxMessagesPerSecond, encrypt, chatRetention, peers } = vole;
  return defined({
    enabled,
    role,
    port,
    hostname,
    publicUrl,
    routing: routing && Object.fromEntries(Object.entries(routing).map(([glob, name]) => [glob, nameOf(name)])),
    brainSource: brainSource && nameOf(brainSource),
    leader: leader && nameOf(leader),
    heartbeatMode,
    brainMode,
    taskOverflow,
    maxQueuedTasks,
    ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    maxConnections,
    maxMessagesPerSecond,
    authTimeoutMs: bounded('authTimeoutMs', authTimeoutMs),
    encrypt,
    chatRetention: chatRetention && defined({ maxMessages: chatRetention.maxMessages, maxAgeDays: chatRetention.maxAgeDays }),
    volenet: true,
    share: shareOf(vole),
    // Who answers there may be an OpenVole node or one of ours; it is asked.
    peers: peers.map(({ url, trust = 'full' as const, allowTools, denyTools, allowBrain }) =>
      defined({ url, trust, allowTools, denyTools, allowBrain, dialect: 'auto' as const }),
    ),
  });
}

/** There, a peer entry of `full` or `tool` may call tools though nothing is said of sharing; what is written as false stays so. */
function shareOf({ share, peers }: VoleConfig['net']) {
  const { memory, session, toolAllow, tools = peers.some(({ trust }) => trust === 'full' || trust === 'tool') } = share;
  return { ...defined({ memory, session, toolAllow }), tools };
}

/**
 * A key is joined to an entry of `peers` only when it has answered at that address. Until then it may not have more than
 * any entry gives; and what is only inferred of sharing is for the entries alone.
 */
function trustUnlisted({ share, peers }: VoleConfig['net']): 'tool' | 'read' {
  const restricts = peers.some(
    ({ trust, allowTools, denyTools }) => trust === 'read' || allowTools !== undefined || denyTools !== undefined,
  );
  return share.tools === true && !restricts ? 'tool' : 'read';
}

function heartbeatOf({ enabled, intervalMinutes, cron, runOnStart }: VoleConfig['heartbeat']) {
  return defined({ enabled, intervalMinutes, cron, runOnStart });
}

/** BRAIN_PROVIDER is for the paw that takes any; a model that is its own paw stands. */
function brainOf(paws: readonly Paw[], hasBrain: boolean, said: ConfigInput['brain']): ConfigInput {
  if (!hasBrain) return { brain: { provider: 'none' } };
  return said !== undefined && paws.some(({ name }) => isPaw(name, 'brain')) ? { brain: said } : {};
}

function notesOf({ net: vole, loop, skills, security, agents, toolProfiles }: VoleConfig): readonly string[] {
  const leftOut = (section: 'net' | 'loop', values: Readonly<Record<string, unknown>>) =>
    Object.entries(LEFT_OUT[section]).flatMap(([key, why]) =>
      values[key] === undefined ? [] : [`${section}.${key}: left out; ${why}`],
    );
  const profiles = Object.keys(toolProfiles).filter((source) => ABSENT_SOURCES.has(source));
  return [
    'tools: those every OpenVole node has (workspace, vault, schedules, web_fetch, messages) are not here',
    ...(vole.instanceName === undefined ? ["net.instanceName: absent, so this node is called by the machine's name"] : []),
    ...[...new Set([vole.instanceName, vole.brainSource, vole.leader, ...Object.values(vole.routing ?? {})])].flatMap(noteName),
    ...leftOut('net', vole),
    ...leftOut('loop', loop),
    ...noteBound('loop', 'maxIterations', loop.maxIterations),
    ...noteBound('net', 'authTimeoutMs', vole.authTimeoutMs),
    ...(vole.encrypt === false
      ? ['net.encrypt: false holds with OpenVole nodes; between Skein nodes everything is always encrypted']
      : []),
    ...(vole.discovery === 'mdns' ? ['net.discovery: nothing is looked for on the local network; name the peers'] : []),
    ...(skills.length === 0 ? [] : ['skills: left out; this version has none']),
    ...(agents === undefined ? [] : ['agents: left out; this version has no agents within an agent']),
    ...(security.allowedPaths === undefined ? [] : ['security.allowedPaths: left out; tools work in one folder (tools.root)']),
    ...(security.sandboxFilesystem === false ? ['security.sandboxFilesystem: tools stay in their folder all the same'] : []),
    ...(security.docker === undefined ? [] : ['security.docker: left out; foreign code runs in processes of its own']),
    ...profiles.map((source) => `toolProfiles.${source}: nothing comes from there in this version`),
    ...(vole.share.tools === undefined && shareOf(vole).tools
      ? ['net.share.tools: true, since an entry of net.peers is trusted with tools']
      : []),
  ];
}

/** Names are free there; what a name may not hold here becomes a dash, as in the key lines that are read. */
function nameOf(text: string): string {
  return WORDS.has(text) ? text : asName(text, 'vole');
}

function noteName(text: string | undefined): readonly string[] {
  if (text === undefined || nameOf(text) === text) return [];
  return [`"${text.slice(0, 100)}": is "${nameOf(text)}" here, where a name has letters, digits, ".", "_" and "-" alone`];
}

/** Beyond a bound, the bound; zero, less, and what is no whole number is still told as wrong. */
function bounded(key: keyof typeof BOUNDS, value: number | undefined): number | undefined {
  const [least, most] = BOUNDS[key];
  if (value === undefined || value <= 0) return value;
  return Math.min(Math.max(value, least), most);
}

function noteBound(section: 'net' | 'loop', key: keyof typeof BOUNDS, value: number | undefined): readonly string[] {
  const used = bounded(key, value);
  return used === value ? [] : [`${section}.${key}: ${value} is ${used} here, from ${BOUNDS[key].join(' to ')} being possible`];
}

function noteTrust({ enabled, share }: VoleConfig['net'], unlisted: 'tool' | 'read'): readonly string[] {
  if (!enabled) return ['net.enabled: not true, so no peers are met'];
  if (share.tools !== true || unlisted === 'tool') return [];
  return [
    'authorized_voles: a key may only read until it has answered at its address in net.peers, since one of those is restricted; more for a key: skein net trust "<key line>" --level tool',
  ];
}

/** What would let people in, or keep them out, and cannot be done here. */
function refusedOf({ net: vole, toolProfiles }: VoleConfig): readonly string[] {
  const profiles = Object.entries(toolProfiles).filter(
    ([source, { allow, deny = [] }]) => !ABSENT_SOURCES.has(source) && (allow !== undefined || deny.length > 0),
  );
  return [
    ...(vole.publicJoin?.enabled === true ? ['net.publicJoin: strangers join by invitation alone: skein invite'] : []),
    ...(vole.relay?.enabled === true ? ['net.relay: this version has no hub'] : []),
    ...profiles.map(
      ([source]) => `toolProfiles.${source}: tools are the same whoever asks; leave those out of "paws" that it must not have`,
    ),
  ];
}

/** What our own schema refuses of it is told by the name it has there. */
function checkConverted(converted: ConfigInput, source: ConfigText, env: Environment): void {
  const result = configSchema.safeParse(converted);
  if (result.success) return;
  const issues = result.error.issues.map((issue) => ({ ...issue, path: [...pathThere(issue.path)] }));
  const problems = explain(voleConfig, issues, source.value);
  throw invalidConfig(problems.map(({ path, text }) => `${voleVariableOf(env, path) ?? source.locate(path)}: ${text}`));
}

function pathThere(path: readonly PropertyKey[]): readonly PropertyKey[] {
  const [section, key, ...rest] = path;
  switch (section) {
    case 'name':
      return ['net', 'instanceName'];
    case 'agent':
      return ['loop', ...(key === undefined ? [] : [key]), ...rest];
    case 'tasks':
      return ['loop', 'taskConcurrency'];
    case 'net':
    case 'heartbeat':
      return path;
    default:
      return ['paws'];
  }
}

function over(under: ConfigInput, part: ConfigInput): ConfigInput {
  const { tools, ...rest } = part;
  return { ...under, ...rest, ...(tools === undefined ? {} : { tools: { ...under.tools, ...tools } }) };
}

/** Without the keys that are undefined. */
function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  // Proven: what is left has no undefined among its values.
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
