import { isIP } from 'node:net';
import { brainConfig, PROVIDER_IDS, toolsConfig } from '@skein/adapters';
import { AGENT_DEFAULTS, heartbeatConfig, schedulesConfig, TASK_RUNNER_DEFAULTS } from '@skein/agent';
import { z } from 'zod';
import { netConfig, nodeName } from './net.ts';

/** The folder of a node's files where the config names none. */
export const DATA_DIR = '.skein';

const timeoutMs = z.int().min(1_000).max(86_400_000);

const agentConfig = z.strictObject({
  instructions: z
    .string()
    .max(20_000)
    .default(AGENT_DEFAULTS.instructions)
    .describe('More for the model: who the agent is, how it should answer.'),
  maxIterations: z.int().min(1).max(200).default(AGENT_DEFAULTS.maxSteps).describe('Rounds of brain and tools in one turn.'),
  maxToolCalls: z.int().min(1).max(1_000).default(AGENT_DEFAULTS.maxToolCalls).describe('Tool calls in one turn.'),
  maxTurnTokens: z
    .int()
    .min(1)
    .default(AGENT_DEFAULTS.maxTurnTokens)
    .describe('Tokens in one turn, read and written; past it, the model is not asked again.'),
  confirmBeforeAct: z
    .boolean()
    .default(AGENT_DEFAULTS.confirmBeforeAct)
    .describe('Ask a person before every tool that changes something.'),
  allowAfterUntrusted: z
    .array(z.string().min(1).max(200))
    .max(256)
    .default([...AGENT_DEFAULTS.allowAfterUntrusted])
    .describe(
      'Tools that may change something, or read any address, without asking, even after the turn read text from outside.',
    ),
  turnTimeoutMs: timeoutMs.default(AGENT_DEFAULTS.turnTimeoutMs).describe('The longest a turn may take.'),
  toolTimeoutMs: timeoutMs
    .default(AGENT_DEFAULTS.toolTimeoutMs)
    .describe('The longest one tool call may take: of the agent, of a person, or of a peer.'),
  confirmTimeoutMs: timeoutMs.default(AGENT_DEFAULTS.confirmTimeoutMs).describe('How long a person has to say yes.'),
  paused: z
    .boolean()
    .default(AGENT_DEFAULTS.paused)
    .describe('Ask the model nothing, for nobody: what it works on ends at once, and nothing begins.'),
});

const tasksConfig = z.strictObject({
  concurrency: z
    .int()
    .min(1)
    .max(256)
    .default(TASK_RUNNER_DEFAULTS.capacity)
    .describe('Requests worked on at once; of any one peer one less, where there are several; more wait (net.maxQueuedTasks).'),
  maxTokensPerPeerHour: z
    .int()
    .min(1)
    .default(TASK_RUNNER_DEFAULTS.maxTokensPerPeerHour)
    .describe('Tokens that one peer may have this brain use in an hour.'),
});

const pageConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('Serve the page and its API.'),
  host: z
    .string()
    .refine((host) => host === 'localhost' || isIP(host) !== 0, { error: 'expected an IP address or "localhost"' })
    .default('127.0.0.1')
    .describe('Address to serve it on, at the port of the node; 0.0.0.0 for every address of this machine.'),
  allowedHosts: z
    .array(z.string().min(1).max(255))
    .max(64)
    .default([])
    .describe('Further host names a browser may use for it, besides localhost and the address itself.'),
});

const logConfig = z.strictObject({
  level: z.enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info').describe('How much to write.'),
  file: z
    .string()
    .min(1)
    .optional()
    .describe('Where to write it; absent, the standard error stream.')
    .meta({ example: 'skein.log' }),
});

/** Keys that say something of a model. */
const MODEL_KEYS = ['model', 'apiKeyEnv', 'apiKeyFile', 'baseUrl', 'temperature', 'maxOutputTokens'] as const;

/** A provider's model, the built-in brain, or none at all. */
const nodeBrainConfig = brainConfig
  .extend({ provider: z.enum(['intents', 'none', ...PROVIDER_IDS]) })
  .superRefine((brain, context) => {
    if (brain.provider !== 'none' && brain.provider !== 'intents') return;
    const unused = MODEL_KEYS.filter((key) => brain[key] !== undefined);
    for (const key of unused) {
      context.addIssue({ code: 'custom', path: [key], message: `means nothing with the provider "${brain.provider}"` });
    }
  });

/** What `skein.config.json` may hold, with its defaults. */
export const config = z.strictObject({
  name: nodeName.optional().describe("What this node is called; absent, the machine's name.").meta({ example: 'my-node' }),
  dataDir: z.string().min(1).default(DATA_DIR).describe('The folder of its key, trust, sessions and memory.'),
  net: netConfig.prefault({}).describe('The network of peers.'),
  brain: nodeBrainConfig
    .optional()
    .describe(
      'The model; absent, one is looked for: a key in the environment, Ollama, else the built-in intents brain. "intents" is that one, "none" is no brain.',
    )
    .meta({
      example: {
        provider: 'openai-compatible',
        model: 'my-model',
        baseUrl: 'http://127.0.0.1:8000/v1',
        apiKeyEnv: 'MY_MODEL_KEY',
        temperature: 0.2,
        maxOutputTokens: 4_096,
        timeoutMs: 120_000,
        fallbacks: [
          { provider: 'anthropic', model: 'claude-sonnet-4-5', apiKeyFile: 'anthropic.key' },
          { provider: 'ollama', model: 'llama3.2' },
        ],
      },
    }),
  tools: toolsConfig.prefault({}).describe('The tools of this node.'),
  agent: agentConfig.prefault({}).describe('How a turn runs.'),
  tasks: tasksConfig.prefault({}).describe('How much is worked on.'),
  heartbeat: heartbeatConfig.prefault({}).describe('Let the agent act now and then without being asked.'),
  schedules: schedulesConfig
    .default([])
    .describe('What the agent is asked again and again; put the same on every node.')
    .meta({ example: [{ name: 'morning-report', cron: '0 8 * * 1-5', text: 'Summarise what happened since yesterday.' }] }),
  page: pageConfig.prefault({}).describe('The page in a browser.'),
  log: logConfig.prefault({}).describe('The log.'),
});
export type Config = z.infer<typeof config>;
export type ConfigInput = z.input<typeof config>;

/** Keys of `net` that are read anew each time they count. */
export const LIVE_NET_KEYS = [
  'peers',
  'share',
  'routing',
  'brainSource',
  'brainMode',
  'taskOverflow',
  'maxQueuedTasks',
] as const;

/**
 * Paths, with all below them, whose change a running node takes up at once. A change of any other waits for a restart.
 */
export const APPLIED_LIVE: readonly string[] = ['agent', 'log.level', ...LIVE_NET_KEYS.map((key) => `net.${key}`)];
