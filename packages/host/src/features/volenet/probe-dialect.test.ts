import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@skein/mesh';
import { expect, test } from 'vitest';
import { DialectProbe } from './probe-dialect.ts';

const vole = JSON.stringify({ status: 'ok', protocol: 'volenet', version: 1 });
const ours = JSON.stringify({ status: 'ok', protocol: 'volenet', version: 1, skein: 1 });

/** Asks a server that gives these answers, one after the other, the last for ever. */
async function probe(...answers: readonly ((response: ServerResponse) => void)[]) {
  let asked = 0;
  const server = createServer((_request, response) => {
    const answer = answers[Math.min(asked, answers.length - 1)];
    asked += 1;
    answer?.(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const problems: string[] = [];
  const known = Promise.withResolvers<void>();
  const parts = { clock: systemClock, random: () => 0, onKnown: known.resolve, onProblem: (at: string) => problems.push(at) };
  const dialects = new DialectProbe(parts);
  expect(dialects.dialectOf(url)).toBeUndefined();
  await known.promise;
  const spoken = dialects.dialectOf(url);
  dialects.close();
  server.close();
  server.closeAllConnections();
  return { spoken, problems: problems.length, asked };
}

const says = (status: number, text: string) => (response: ServerResponse) => response.writeHead(status).end(text);

test.each([
  ['an OpenVole node', says(200, vole), 'volenet'],
  ['a node of ours that speaks both', says(200, ours), 'skein'],
  ['a node of ours', says(404, 'Not found'), 'skein'],
  ['something else', says(200, '{"status":"ok"}'), 'skein'],
  [
    'one that talks without end',
    (response: ServerResponse) => response.writeHead(200).end(`"${'x'.repeat(5_000_000)}"`),
    'skein',
  ],
] as const)('%s is met as what it is', async (_who, answer, dialect) => {
  expect(await probe(answer)).toEqual({ spoken: dialect, problems: 0, asked: 1 });
});

test('an address where a proxy says that nobody is there is asked again', async () => {
  expect(await probe(says(502, '<html>Bad Gateway</html>'), says(200, vole))).toEqual({
    spoken: 'volenet',
    problems: 1,
    asked: 2,
  });
});
