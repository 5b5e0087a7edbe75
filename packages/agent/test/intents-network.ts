import type { Json, ToolDescriptor, ToolExample } from '@skein/protocol';
import type { z } from 'zod';
import type { Brain, BrainPart, Message, OfferedTool, ToolCall } from '../src/brain/brain.ts';

type Properties = Record<string, z.core.util.JSONType>;

function schema(properties: Properties, required: readonly string[] = []): ToolDescriptor['input'] {
  return { type: 'object', properties, required: [...required], additionalProperties: false };
}

const text = { type: 'string' } as const;

function number(say: string, field: string, label: string, unit?: NonNullable<ToolExample['unit']>): ToolExample {
  return { say, input: {}, field, label, ...(unit === undefined ? {} : { unit }) };
}

function each(says: readonly string[], input: ToolExample['input']): ToolExample[] {
  return says.map((say) => ({ say, input }));
}

export const shellExec: ToolDescriptor = {
  name: 'shell_exec',
  description: 'Runs a command on this machine and returns its output.',
  input: schema({ command: text, argv: { type: 'array', items: text }, cwd: text }),
  effect: 'at-most-once',
  examples: [
    ...each(['run {command}', 'execute {command}', 'run the command {command}'], { command: '{command}' }),
    ...each(['list running processes', 'what processes are running'], { command: 'ps aux' }),
    { say: 'what uses the most memory', input: { command: 'ps --sort=-rss' } },
    { say: 'what time is it', input: { command: 'date' } },
    { say: 'who is logged in', input: { command: 'who' } },
  ],
};

export const systemInfo: ToolDescriptor = {
  name: 'system_info',
  description: 'Tells the host name, processors, load, uptime, memory and disk of this machine.',
  input: schema({}),
  effect: 'read',
  examples: [
    number('how full is the disk', 'disk.usedPercent', 'disk used', 'percent'),
    number('how much disk space is free', 'disk.freeBytes', 'free disk space', 'bytes'),
    number('how much free memory', 'memory.freeBytes', 'free memory', 'bytes'),
    number('how much memory is used', 'memory.usedPercent', 'memory used', 'percent'),
    number('how much memory does it have', 'memory.totalBytes', 'memory', 'bytes'),
    number('how long has it been up', 'uptimeSeconds', 'uptime', 'seconds'),
    number('what is the uptime', 'uptimeSeconds', 'uptime', 'seconds'),
    number('what is the load', 'loadAverage1', 'load average over one minute'),
    number('how many cores', 'cpuCount', 'processors', 'count'),
    number('what is the hostname', 'hostname', 'host name'),
    { say: 'show system information', input: {} },
  ],
};

export const readFile: ToolDescriptor = {
  name: 'read_file',
  description: 'Reads a text file.',
  input: schema({ path: text, offset: { type: 'integer' } }, ['path']),
  effect: 'read',
  examples: [
    ...each(['read {path}', 'show the file {path}', 'what is in the file {path}', 'what does {path} say', 'open {path}'], {
      path: '{path}',
    }),
    { say: 'show the last lines of {path}', input: { path: '{path}', offset: -20 } },
  ],
};

export const listFiles: ToolDescriptor = {
  name: 'list_files',
  description: 'Lists the files in a folder.',
  input: schema({ path: { type: 'string', default: '.' } }),
  effect: 'read',
  examples: [
    ...each(['list files', 'what files are there'], {}),
    ...each(['list files in {path}', 'what is in the folder {path}', 'list the directory {path}'], { path: '{path}' }),
    { say: 'how many files are in {path}', input: { path: '{path}' }, field: 'count', label: 'files', unit: 'count' },
  ],
};

export const httpGet: ToolDescriptor = {
  name: 'http_get',
  description: 'Gets a web page.',
  input: schema({ url: { type: 'string', format: 'uri' } }, ['url']),
  effect: 'read',
  examples: each(['fetch {url}', 'download {url}', 'what does the page {url} say'], { url: '{url}' }),
};

export const memoryWrite: ToolDescriptor = {
  name: 'memory_write',
  description: 'Remembers one fact for later conversations.',
  input: schema({ text: { type: 'string', minLength: 1 }, tags: { type: 'array', items: text } }, ['text']),
  effect: 'idempotent',
  examples: each(['remember that {text}', 'remember {text}'], { text: '{text}' }),
};

export const memorySearch: ToolDescriptor = {
  name: 'memory_search',
  description: 'Finds remembered facts by their words.',
  input: schema({ query: text }, ['query']),
  effect: 'read',
  examples: [
    ...each(['what do you remember about {query}', 'what do you know about {query}'], { query: '{query}' }),
    { say: 'what do you remember', input: { query: '' } },
  ],
};

/** A tool as a plug-in may declare it: with a choice, a number, and words of its own. */
export const boilEgg: ToolDescriptor = {
  name: 'boil_egg',
  description: 'Boils an egg for some minutes.',
  input: schema({ minutes: { type: 'integer', minimum: 1, maximum: 20 }, style: { enum: ['soft', 'hard'] } }, [
    'minutes',
    'style',
  ]),
  effect: 'at-most-once',
  examples: [{ say: 'boil a {style} egg for {minutes} minutes', input: { minutes: '{minutes}', style: '{style}' } }],
};

/** One whose texts are told apart only by the words between them. */
export const translate: ToolDescriptor = {
  name: 'translate',
  description: 'Translates a text.',
  input: schema({ text, language: text }, ['text', 'language']),
  effect: 'read',
  examples: [{ say: 'translate {text} to {language}', input: { text: '{text}', language: '{language}' } }],
};

/** A tool that declares no example. */
export const weather: ToolDescriptor = {
  name: 'weather',
  description: 'Current weather and temperature in a city.',
  input: schema({ city: text }, ['city']),
  effect: 'read',
  examples: [],
};

/** Descriptors as a brain is offered them: this node's own without `peer`. */
export function offer(tools: readonly ToolDescriptor[], peer?: string): OfferedTool[] {
  return tools.map((tool) => (peer === undefined ? tool : { ...tool, name: `${peer}/${tool.name}`, peer }));
}

const MONITOR = [shellExec, systemInfo, readFile, listFiles];

/** This node with a memory and the web, and two monitors. */
export const NETWORK: readonly OfferedTool[] = [
  ...offer([httpGet, memoryWrite, memorySearch]),
  ...offer(MONITOR, 'us-monitor'),
  ...offer(MONITOR, 'eu-monitor'),
];

const GIB = 1024 ** 3;

function systemOf(label: string): Json {
  const isUs = label === 'us-monitor';
  const free = label === '' ? 1 : isUs ? 3 : 5;
  return {
    hostname: `host-${label === '' ? 'here' : label}`,
    platform: 'linux',
    uptimeSeconds: isUs ? 90_061 : 3_700,
    loadAverage1: isUs ? 0.5 : 1.25,
    cpuCount: isUs ? 2 : 4,
    memory: { totalBytes: 8 * GIB, freeBytes: free * GIB, usedPercent: 100 - free * 12.5 },
    disk: { path: '/', totalBytes: 40 * GIB, freeBytes: (isUs ? 10 : 20) * GIB, usedPercent: isUs ? 75 : 50 },
  };
}

export type Runner = (name: string, input: unknown) => { readonly output: Json; readonly ok: boolean };

/** Answers as the tools above would. */
export const runTool: Runner = (name, input) => {
  const [base = '', label = ''] = name.split('/').toReversed();
  const given = JSON.stringify(input);
  const outputs: Readonly<Record<string, Json>> = {
    system_info: systemOf(label),
    shell_exec: { exitCode: 0, signal: null, stdout: `ran ${given}\n`, stderr: '', truncated: false, ms: 3 },
    read_file: { path: given, sizeBytes: 12, encoding: 'utf8', content: 'first line\nsecond line\n', truncated: false },
    list_files: {
      path: '.',
      count: label === 'us-monitor' ? 3 : 7,
      entries: [{ path: 'a.txt', type: 'file', sizeBytes: 2048 }],
    },
  };
  return { output: outputs[base] ?? { done: true }, ok: true };
};

/** What a brain did with one request. */
export interface Reply {
  /** `name` or `name {…}` for each call, in order. */
  readonly calls: readonly string[];
  readonly text: string;
  readonly parts: readonly BrainPart[];
}

/** A conversation with a brain, run as a turn loop would. */
export class Conversation {
  readonly #brain: Brain;
  readonly #tools: readonly OfferedTool[];
  readonly #run: Runner;
  readonly messages: Message[] = [];

  constructor(parts: { readonly brain: Brain; readonly tools?: readonly OfferedTool[]; readonly run?: Runner }) {
    this.#brain = parts.brain;
    this.#tools = parts.tools ?? NETWORK;
    this.#run = parts.run ?? runTool;
  }

  async ask(request: string): Promise<Reply> {
    this.messages.push({ role: 'user', text: request });
    const calls: ToolCall[] = [];
    const parts: BrainPart[] = [];
    for (let step = 0; step < 4; step += 1) {
      const { said, made } = await this.#step(parts);
      this.messages.push({ role: 'assistant', text: said, toolCalls: made });
      if (made.length === 0) return { calls: calls.map(showCall), text: said, parts };
      calls.push(...made);
      for (const call of made) {
        this.messages.push({ role: 'tool', callId: call.id, name: call.name, ...this.#run(call.name, call.input) });
      }
    }
    throw new Error(`No answer after four steps to ${JSON.stringify(request)}`);
  }

  async #step(parts: BrainPart[]): Promise<{ readonly said: string; readonly made: readonly ToolCall[] }> {
    const request = { system: '', messages: [...this.messages], tools: this.#tools };
    const made: ToolCall[] = [];
    let said = '';
    for await (const part of this.#brain.respond(request, { signal: new AbortController().signal })) {
      parts.push(part);
      if (part.type === 'text-delta') said += part.text;
      if (part.type === 'tool-call') made.push(part.call);
    }
    return { said, made };
  }
}

function showCall({ name, input }: ToolCall): string {
  const given = JSON.stringify(input);
  return given === '{}' ? name : `${name} ${given}`;
}
