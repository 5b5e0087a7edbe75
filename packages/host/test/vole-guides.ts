/** A node as a guide to VoleNet has it written: the text of its `vole.config.json`, as an object. */
export type VoleGuide = Readonly<Record<string, unknown>>;

const brain = { name: '@openvole/paw-brain', allow: { network: ['*'], env: ['BRAIN_PROVIDER', 'BRAIN_MODEL'] } };
const shell = { name: '@openvole/paw-shell', allow: { filesystem: ['./'], childProcess: true } };

function net(instanceName: string, port: number, more: object) {
  return { enabled: true, instanceName, port, ...more };
}

function to(port: number, trust: 'full' | 'tool' | 'read', more: object = {}) {
  return { url: `http://localhost:${port}`, trust, ...more };
}

/** The eight ways to connect nodes, each with every node it takes. */
export const VOLE_GUIDES: Readonly<Record<string, Readonly<Record<string, VoleGuide>>>> = {
  'one brain, distributed tools': {
    coordinator: {
      brain: '@openvole/paw-brain',
      paws: [brain, '@openvole/paw-memory', '@openvole/paw-session', '@openvole/paw-compact'],
      loop: { maxIterations: 25, confirmBeforeAct: true, toolHorizon: true },
      net: net('coordinator', 9700, {
        role: 'coordinator',
        peers: [to(9701, 'full'), to(9702, 'full')],
        share: { tools: false, memory: true },
        routing: { 'shell_*': 'us-monitor', 'db_*': 'eu-monitor' },
      }),
    },
    'us-monitor': {
      paws: [shell],
      net: net('us-monitor', 9701, { role: 'worker', peers: [to(9700, 'full')], share: { tools: true, memory: false } }),
    },
    'eu-monitor': {
      paws: [shell, { name: '@openvole/paw-database', allow: { network: ['*'] } }],
      net: net('eu-monitor', 9702, { role: 'worker', peers: [to(9700, 'full')], share: { tools: true } }),
    },
  },
  'several brains': {
    backend: {
      brain: '@openvole/paw-claude',
      paws: ['@openvole/paw-claude', shell, '@openvole/paw-memory'],
      heartbeat: { enabled: true, intervalMinutes: 15, runOnStart: true },
      net: net('backend', 9700, {
        peers: [to(9701, 'full')],
        share: { tools: true, memory: true, session: true },
        heartbeatMode: 'independent',
      }),
    },
    frontend: {
      brain: '@openvole/paw-openai',
      paws: [{ name: '@openvole/paw-filesystem', allow: { filesystem: ['./site'] } }],
      heartbeat: { enabled: true, cron: '*/20 * * * *' },
      net: net('frontend', 9701, { peers: [to(9700, 'full')], share: { tools: true, memory: true, session: true } }),
    },
  },
  'load-balanced brains': {
    one: {
      brain: '@openvole/paw-brain',
      paws: [brain],
      loop: { taskConcurrency: 2 },
      net: net('one', 9700, {
        peers: [to(9701, 'full', { allowBrain: true })],
        brainMode: 'loadbalance',
        taskOverflow: 'forward',
        maxQueuedTasks: 5,
      }),
    },
    two: {
      brain: '@openvole/paw-ollama',
      net: net('two', 9701, {
        peers: [to(9700, 'full', { allowBrain: true })],
        brainMode: 'loadbalance',
        taskOverflow: 'forward',
        maxQueuedTasks: 5,
      }),
    },
  },
  'one session on several devices': {
    laptop: {
      brain: '@openvole/paw-brain',
      paws: ['@openvole/paw-session', '@openvole/paw-dashboard'],
      net: net('laptop', 9700, { peers: [to(9701, 'full')], share: { tools: true, memory: true, session: true } }),
    },
    server: {
      brain: '@openvole/paw-brain',
      paws: ['@openvole/paw-session', '@openvole/paw-mcp'],
      net: net('server', 9701, { peers: [to(9700, 'full')], share: { tools: true, memory: true, session: true } }),
    },
  },
  'a team with a shared server': {
    alice: {
      brain: '@openvole/paw-brain',
      net: net('alice', 9700, { peers: [to(9703, 'full'), to(9701, 'read')], share: { tools: false, memory: true } }),
    },
    server: {
      paws: [{ name: '@openvole/paw-database', allow: { filesystem: ['./'] } }, shell],
      net: net('server', 9703, {
        role: 'worker',
        peers: [
          to(9700, 'tool', { allowTools: ['db_*', 'shell_exec'], denyTools: ['shell_*'] }),
          to(9701, 'read'),
          to(9702, 'tool'),
        ],
        share: { tools: true, memory: false, toolAllow: ['db_*', 'shell_exec'] },
      }),
    },
  },
  'a central brain with thin clients': {
    center: {
      brain: '@openvole/paw-brain',
      paws: [brain, { name: '@openvole/paw-memory', allow: { network: ['*'] } }],
      net: net('center', 9700, {
        role: 'coordinator',
        peers: [to(9701, 'full', { allowBrain: true }), to(9702, 'full', { allowBrain: true })],
        share: { tools: false, memory: true },
      }),
    },
    client: {
      paws: [shell],
      net: net('client', 9701, { role: 'worker', peers: [to(9700, 'full')], share: { tools: true }, brainSource: 'remote' }),
    },
    other: {
      paws: [{ name: '@openvole/paw-scraper', allow: { network: ['*', 'intranet', '10.1.2.3:8080'] } }],
      net: net('other', 9702, { role: 'worker', peers: [to(9700, 'full')], share: { tools: true }, brainSource: 'center' }),
    },
  },
  'an autonomous swarm': {
    'agent-1': {
      brain: '@openvole/paw-brain',
      paws: [brain, shell],
      heartbeat: { enabled: true },
      net: net('agent-1', 9700, {
        role: 'peer',
        peers: [to(9701, 'full', { allowBrain: true }), to(9702, 'full', { allowBrain: true })],
        share: { tools: true, memory: true, session: false },
        leader: 'auto',
        heartbeatMode: 'leader',
        brainMode: 'loadbalance',
        taskOverflow: 'forward',
        maxQueuedTasks: 5,
      }),
    },
  },
  'brain sharing': {
    thinker: {
      brain: '@openvole/paw-brain',
      net: net('thinker', 9700, { role: 'coordinator', peers: [to(9701, 'full', { allowBrain: true })] }),
    },
    worker: {
      net: net('worker', 9701, { role: 'worker', peers: [to(9700, 'full')], brainSource: 'remote' }),
    },
  },
};

/** Each node of the eight, with words for a test's title. */
export const VOLE_GUIDE_NODES: readonly (readonly [title: string, guide: VoleGuide])[] = Object.entries(VOLE_GUIDES).flatMap(
  ([topology, nodes]) => Object.entries(nodes).map(([name, guide]) => [`${topology}: ${name}`, guide] as const),
);
