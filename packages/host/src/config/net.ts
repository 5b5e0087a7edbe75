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
    .describe(
      'What it may do here; absent, what authorized_peers says of its key. A level stated there is raised only with "key" or where its line has this address.',
    ),
  allowTools: z.array(toolPattern).optional().describe('The only tools it may call here; absent, all that are shared.'),
  denyTools: z.array(toolPattern).optional().describe('Tools it may never call here.'),
  allowBrain: z
    .boolean()
    .optional()
    .describe("Let it have this node's brain work for it; absent, what authorized_peers says of its key."),
  dialect: z
    .enum(['skein', 'volenet', 'auto'])
    .default('skein')
    .describe('The protocol it speaks: "volenet" for an OpenVole node, "auto" to ask it.'),
});

const share = z.strictObject({
  tools: z.boolean().default(false).describe('Let trusted peers call the tools of this node.'),
  toolAllow: z.array(toolPattern).max(256).default(['*']).describe('Which of them: names, or a start of a name and "*".'),
  memory: z
    .boolean()
    .default(false)
    .describe('Share what is remembered with the peers that may read it, and take from those that may write.'),
  session: z.boolean().default(false).describe('Keep conversations the same on all peers that share theirs.'),
});

/** The `net` section. Names are VoleNet's; what this version lacks stands in `UNAVAILABLE_KEYS`. */
export const netConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('Listen for peers and dial them.'),
  instanceName: nodeName.optional().describe('VoleNet\'s word for "name"; give one of the two.').meta({ example: 'my-node' }),
  role: z
    .enum(['coordinator', 'worker', 'peer'])
    .default('peer')
    .describe(
      'What this node is for. It grants nothing; where any brain will do (brainSource "remote"), coordinators come first.',
    ),
  host: z.string().min(1).default('0.0.0.0').describe('Address to listen on; 127.0.0.1 keeps the node to this machine.'),
  port: port.default(9700).describe('Port to listen on; 0 lets the system choose.'),
  hostname: z.string().min(1).optional().describe('Host name told to peers.').meta({ example: 'node.example.org' }),
  publicUrl: peerUrl
    .optional()
    .describe('Whole address told to peers, where it differs: behind a proxy or a port forward.')
    .meta({ example: 'wss://node.example.org' }),
  tls: z
    .strictObject({
      cert: z.string().min(1).describe('The file of the certificate and those behind it, PEM.'),
      key: z.string().min(1).describe('The file of its private key, PEM.'),
    })
    .optional()
    .describe(
      'Speak TLS on the port, to peers and for the page: https and wss. Peers trust the key inside, whatever the certificate; plain HTTP stays for this machine, and for sessions of peers, which are sealed anyway.',
    )
    .meta({ example: { cert: 'tls/cert.pem', key: 'tls/key.pem' } }),
  keyPath: z
    .string()
    .min(1)
    .optional()
    .describe('The file of the private key; absent, "key" in dataDir.')
    .meta({ example: '.skein/key' }),
  keyPassphraseFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The file of the key's passphrase, for its owner only (mode 0600); absent, an encrypted key is asked for on the terminal.",
    )
    .meta({ example: '/run/secrets/skein-passphrase' }),
  peers: z
    .array(peer)
    .max(1_000)
    .default([])
    .describe(
      'Nodes to dial, and to keep connected. "key" is the key line another prints with skein net show-key; what is left out holds as authorized_peers says.',
    )
    .meta({
      example: [
        { url: 'ws://192.168.1.20:9700' },
        {
          url: 'wss://node.example.org',
          key: 'skein-ed25519 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= eu-monitor',
          trust: 'tool',
          allowTools: ['system_info', 'disk_*'],
          denyTools: ['shell_exec'],
          allowBrain: false,
          dialect: 'skein',
        },
      ],
    }),
  share: share.prefault({}).describe('What this node offers.'),
  routing: z
    .record(z.string().min(1).max(200), nodeName)
    .default({})
    .describe('Which peer a plain tool name means: {"shell_*": "us-monitor"}; the first pattern that fits counts.')
    .meta({ example: { 'shell_*': 'us-monitor' } }),
  brainSource: z
    .union([z.enum(['local', 'remote']), nodeName])
    .default('local')
    .describe('Whose brain does the work asked for here: "local", "remote" (any peer that lets this node), or a peer\'s name.'),
  brainMode: z
    .enum(['local', 'loadbalance'])
    .default('local')
    .describe(
      'Where tasks go: "local" to this node, "loadbalance" to the least busy brain, here or at a peer that lets this node.',
    ),
  taskOverflow: z
    .enum(['reject', 'forward'])
    .default('reject')
    .describe('What happens to a task beyond maxQueuedTasks: told to come again, or forwarded to a peer with room.'),
  maxQueuedTasks: z
    .int()
    .min(1)
    .max(100_000)
    .default(10)
    .describe('Tasks of this node that wait at one time, and as many of its peers, none of which takes all the places.'),
  leader: z
    .union([z.enum(['auto', 'quorum']), nodeName])
    .default('auto')
    .describe(
      'Who leads: "auto" (the lowest id that answers), "quorum" (elected by most of the voters that every node names: skein net trust … --voter; safe), or a node\'s name.',
    ),
  voter: z.boolean().default(true).describe('Vote where the leader is elected by "quorum"; peers name this node as a voter.'),
  heartbeatMode: z
    .enum(['leader', 'independent'])
    .default('leader')
    .describe('Who runs the heartbeat and the schedules: the leader for all, or each node for itself.'),
  volenet: z.boolean().default(false).describe('Let OpenVole nodes in on the same port, with the VoleNet protocol.'),
  encrypt: z
    .union([z.boolean(), z.literal('require')])
    .default(true)
    .describe(
      'Seal what goes to an OpenVole node, as far as it announced keys to seal to; "require" sends and takes nothing unsealed; false sends it readable to whoever carries it. Between Skein nodes everything is always encrypted, whatever stands here.',
    ),
  chatRetention: z
    .strictObject({
      maxMessages: z.int().min(1).max(100_000).default(1_000).describe('Messages kept of each peer; beyond, the oldest goes.'),
      maxAgeDays: z.int().min(1).max(3_650).default(90).describe('Older ones go, those that still wait to be sent too.'),
    })
    .prefault({})
    .describe('How long the messages between people at this node and at its peers are kept (skein net messages).'),
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
    .describe('Requests taken from one peer a second, 5000 at most from an OpenVole node; over it, it is told to wait.'),
});

/** Keys people know from VoleNet that this version cannot honour. A row goes when its feature comes. */
export const UNAVAILABLE_KEYS: ReadonlySet<string> = new Set([
  'net.discovery',
  'net.publicJoin',
  'net.relay',
  'net.publishNames',
  'net.files',
]);
