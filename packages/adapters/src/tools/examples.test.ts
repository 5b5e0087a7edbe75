import { createIntentsBrain, type OfferedTool } from '@skein/agent';
import { expect, test } from 'vitest';
import { createLocalTools, LOCAL_TOOL_NAMES, toolsConfig } from './local-tools.ts';

const LOCAL = createLocalTools({ config: toolsConfig.parse({ enabled: LOCAL_TOOL_NAMES }), hidden: [] }).map(
  ({ descriptor }) => descriptor,
);
const TOOLS: readonly OfferedTool[] = ['alpha', 'beta-1'].flatMap((peer) =>
  LOCAL.map((tool) => ({ ...tool, name: `${peer}/${tool.name}`, peer })),
);

/** The calls that a request leads to when it is all that was said, without the node in front. */
async function callsFor(request: string): Promise<string[]> {
  const messages = [{ role: 'user', text: request } as const];
  const stream = createIntentsBrain().respond({ system: '', messages, tools: TOOLS }, { signal: new AbortController().signal });
  const calls: string[] = [];
  for await (const part of stream) {
    if (part.type === 'tool-call') calls.push(`${part.call.name} ${JSON.stringify(part.call.input)}`);
  }
  return calls;
}

const SYSTEM = 'alpha/system_info {}';
const run = (command: string) => `alpha/shell_exec ${JSON.stringify({ command })}`;
const read = (input: object) => `alpha/read_file ${JSON.stringify(input)}`;
const list = (input: object) => `alpha/list_files ${JSON.stringify(input)}`;
const get = (url: string) => `alpha/http_get ${JSON.stringify({ url })}`;

/** Ways of asking one node for one thing, as people word them. */
const ASKED: readonly [call: string, ...requests: string[]][] = [
  [
    SYSTEM,
    'how full is the disk on alpha?',
    'Please show me the disk usage of alpha',
    'could you tell me how full the disk is on alpha, please?',
    "what's the disk usage on alpha",
    'whats the disk usage on alpha',
    'DISK ON ALPHA',
    'how much space is left on alpha?!',
    'is the disk on alpha full',
    'can you tell me the memory of alpha?',
    'how much ram does alpha have',
    'how much memory is being used on alpha',
    'whats the load on alpha',
    'how busy is alpha?',
    "what's the cpu usage on alpha",
    'how many cpus does alpha have',
    'cores of alpha',
    'uptime alpha',
    'how long has alpha been up for?',
    'how long has alpha been running',
    'which operating system does alpha run',
    'what os is alpha running',
  ],
  [
    list({}),
    'list files on alpha',
    'what files are there on alpha?',
    'what files do you have on alpha',
    'show the files on alpha',
  ],
  [list({ path: '/tmp' }), 'list /tmp on alpha', 'ls /tmp on alpha', 'what files are in /tmp on alpha?'],
  [
    list({ path: '/tmp' }),
    'show me the files in /tmp on alpha',
    "what's in the folder /tmp on alpha",
    'files in /tmp on alpha',
  ],
  [list({ path: '/tmp' }), 'count the files in /tmp on alpha', 'how many files are in /tmp on alpha?'],
  [read({ path: '/etc/hosts' }), 'read /etc/hosts on alpha', 'Please show /etc/hosts on alpha', 'cat /etc/hosts on alpha'],
  [read({ path: '/etc/hosts' }), "what's in /etc/hosts on alpha?", 'what does /etc/hosts say on alpha'],
  [read({ path: '/etc/hosts' }), 'display the contents of /etc/hosts on alpha', 'could you open the file /etc/hosts on alpha'],
  [
    read({ path: '/etc/passwd', limit: 5 }),
    'show the first 5 lines of /etc/passwd on alpha',
    'first 5 lines of /etc/passwd on alpha',
  ],
  [
    read({ path: 'notes.txt' }),
    'what does notes.txt say on alpha?',
    'show notes.txt on alpha',
    'what is in notes.txt on alpha',
    'open notes.txt on alpha',
  ],
  [run('df -h'), 'run df -h on alpha', 'can you run df -h on alpha?', 'alpha, run df -h please', 'alpha: run `df -h`'],
  [run('df -h'), 'could you execute the command "df -h" on alpha, please', 'run df -h for me on alpha'],
  [get('https://example.com'), 'fetch https://example.com on alpha', 'please get example.com on alpha'],
  [get('https://example.com'), 'show me https://example.com on alpha', "what's on https://example.com on alpha"],
  [
    get('https://example.com'),
    'go to example.com on alpha',
    'what does https://example.com say on alpha',
    'open https://example.com on alpha',
  ],
  [get('https://example.com'), 'is example.com up on alpha?', 'is example.com reachable on alpha'],
];

test.each(ASKED.flatMap(([call, ...requests]) => requests.map((request) => [request, call] as const)))(
  '%s',
  async (request, call) => expect(await callsFor(request)).toEqual([call]),
);

test.each([
  'show me the biggest files on alpha',
  "what's the largest file in /tmp on alpha",
  'sort the files by size on alpha',
  'count the sheep on alpha',
  'delete the file /etc/hosts on alpha',
])('no example fits: %s', async (request) => expect(await callsFor(request)).toEqual([]));

test('no tool declares more than may cross the wire', () => {
  for (const { examples } of LOCAL) expect(examples.length).toBeLessThanOrEqual(16);
});
