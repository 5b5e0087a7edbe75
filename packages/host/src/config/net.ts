import { parseKeyLine, SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** A node's label, as it stands in a key line. */
export const nodeName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-", a letter or digit first');

const port = z.int().min(0).max(65_535);
const toolPattern = z
  .string()
  .regex(/^([^*]{1,200}|[^*]{0,199}\*)$/, 'expected a tool\'s name, "*", or a start of one and "*"');

const peerUrl = z.string().refine(
  (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && ['ws:', 'wss:', 'http:', 'https:'].includes(url.protocol) && url.username === '';
  },
  { error: 'expected an address such as "ws://192.168.1.20:9700"' },
);

const keyLine = z.string().superRefine((text, context) => {
  try {
    parseKeyLine(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: SkeinError.from(error).message });
  }
});

const peer = z.strictObject({
  url: peerUrl.describe('Where to reach it.').meta({ example: 'ws://192.168.1.20:9700' }),
  key: keyLine.optional().describe('Its key line; a peer with another key is not talked to at this address.'),
  trust: z
    .enum(['full', 'tool', 'read'])
    .optional()
    .describe('What it may do here; absent, what authorized_peers says of its key.'),
  allowTools: z.array(toolPattern).optional().describe('The only tools it may call here; absent, all that are shared.'),
  denyTools: z.array(toolPattern).optional().describe('Tools it may never call here.'),
});

const share = z.strictObject({
  tools: z.boolean().default(false).describe('Let trusted peers call the tools of this node.'),
  toolAllow: z.array(toolPattern).max(256).default(['*']).describe('Which of them: names, or a start of a name and "*".'),
});

/** The `net` section. Names are VoleNet's; what this version lacks stands in `UNAVAILABLE_KEYS`. */
export const netConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('Listen for peers and dial them.'),
  instanceName: nodeName.optional().describe('VoleNet\'s word for "name"; give one of the two.').meta({ example: 'my-node' }),
  role: z
    .enum(['coordinator', 'worker', 'peer'])
    .default('peer')
    .describe('A note for people; it grants nothing, and nothing depends on it.'),
  host: z.string().min(1).default('0.0.0.0').describe('Address to listen on; 127.0.0.1 keeps the node to this machine.'),
  port: port.default(9700).describe('Port to listen on; 0 lets the system choose.'),
  hostname: z.string().min(1).optional().describe('Host name told to peers.').meta({ example: 'node.example.org' }),
  publicUrl: peerUrl
    .optional()
    .describe('Whole address told to peers, where it differs: behind a proxy or a port forward.')
    .meta({ example: 'wss://node.example.org' }),
  keyPath: z
    .string()
    .min(1)
    .optional()
    .describe('The file of the private key; absent, "key" in dataDir.')
    .meta({ example: '.skein/key' }),
  peers: z.array(peer).max(1_000).default([]).describe('Nodes to dial, and to keep connected.'),
  share: share.prefault({}).describe('What this node offers.'),
  maxConnections: z.int().min(1).max(100_000).default(1_000).describe('Inbound connections at one time.'),
  authTimeoutMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(5_000)
    .describe('How long a connection may take to prove its key; 5 seconds at most count.'),
  maxMessagesPerSecond: z
    .int()
    .min(1)
    .default(100_000)
    .describe('Messages taken from one peer a second; over it, it is told to wait.'),
});

/** Keys people know from VoleNet that this version cannot honour. A row goes when its feature comes. */
export const UNAVAILABLE_KEYS: ReadonlySet<string> = new Set([
  'net.peers[].allowBrain',
  'net.share.memory',
  'net.share.session',
  'net.routing',
  'net.brainSource',
  'net.leader',
  'net.heartbeatMode',
  'net.brainMode',
  'net.taskOverflow',
  'net.maxQueuedTasks',
  'net.tls',
  'net.discovery',
  'net.publicJoin',
  'net.relay',
  'net.encrypt',
  'net.publishNames',
  'net.chatRetention',
  'net.files',
]);
