// The program in which one plug-in runs: it imports the file, shows its tools and runs them for the node at the other end
// of its standard input and output.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { SkeinError } from '@skein/protocol';
import { faultPlace } from './fault-place.ts';
import { LineReader } from './line-reader.ts';
import { PluginCalls } from './plugin-calls.ts';
import { collectTools } from './plugin-exports.ts';
import { type FromPlugin, MAX_LINE_BYTES, parseMessage, toPlugin } from './plugin-messages.ts';

/** What a plug-in imports without having it installed beside it: ours is taken. */
const SHARED_PACKAGES = /^(@skein\/(agent|protocol)|zod)(\/|$)/;

class ChangedError extends Error {}

const [file = '', digest = ''] = process.argv.slice(2);
const send = takeOutput();
const tools = await load().catch((error: unknown) => {
  const place = error instanceof SkeinError ? undefined : faultPlace(error, file);
  const message = `${error instanceof Error ? error.message : String(error)}${place === undefined ? '' : ` (${place})`}`;
  send({ type: 'refused', reason: error instanceof ChangedError ? 'changed' : 'broken', message: message.slice(0, 4_000) });
  return undefined;
});
if (tools !== undefined) serve();

/** The standard output is the node's; what the plug-in prints goes to the error stream. */
function takeOutput(): (message: FromPlugin) => void {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  return (message) => {
    write(`${JSON.stringify(message)}\n`);
  };
}

async function load() {
  const url = pathToFileURL(file).href;
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!SHARED_PACKAGES.test(specifier)) throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
    load(loaded, context, next) {
      if (loaded !== url) return next(loaded, context);
      // What is checked here is what runs: the file is read once.
      const source = readFileSync(file);
      if (createHash('sha256').update(source).digest('hex') !== digest) {
        throw new ChangedError('it is not the file it was');
      }
      return { format: file.endsWith('.ts') ? 'module-typescript' : 'module', source, shortCircuit: true };
    },
  });
  const module: Record<string, unknown> = await import(url);
  return collectTools(module);
}

function serve(): void {
  if (tools === undefined) return;
  const calls = new PluginCalls({ tools, send });
  const lines = new LineReader({ maxBytes: MAX_LINE_BYTES });
  process.stdin.on('data', (chunk: Buffer) => {
    for (const line of lines.take(chunk)) {
      if (line === undefined) throw new SkeinError('The node sent a line that is too long', { code: 'too-large' });
      calls.take(parseMessage(toPlugin, line));
    }
  });
  // The node is gone, or has no use for this any more; what the plug-in left running must not keep it.
  process.stdin.once('end', () => process.exit(0));
  send({ type: 'ready', tools: tools.map(({ descriptor, untrusted }) => ({ descriptor, untrusted })) });
}
