import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { llmScriptFile } from './script.ts';
import { startLlmServer } from './server.ts';

// node --conditions=skein-source packages/testing/src/llm-server/main.ts --script file.json [--port N]
const { values } = parseArgs({ options: { script: { type: 'string' }, port: { type: 'string', default: '0' } } });
if (values.script === undefined) throw new Error('Say which script: --script file.json');
const { turns, repeat = false, models = [], apiKey } = llmScriptFile.parse(JSON.parse(await readFile(values.script, 'utf8')));
const server = await startLlmServer({
  script: turns,
  repeat,
  models,
  port: Number(values.port),
  ...(apiKey === undefined ? {} : { apiKey }),
});
process.stdout.write(`${JSON.stringify({ type: 'ready', port: server.port, url: server.url })}\n`);

const stop = () => void server[Symbol.asyncDispose]();
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
