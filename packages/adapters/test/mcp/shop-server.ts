// A server of MCP made with the official package: over standard input and output when started, over HTTP by `serveHttp`.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

/** The shop: tools that answer in each way a tool can. */
export function createShop(): McpServer {
  const server = new McpServer({ name: 'shop', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
  server.registerTool(
    'add.up',
    {
      description: 'Adds two numbers.',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    ({ a, b }) => ({ content: [{ type: 'text', text: `${a + b}` }], structuredContent: { sum: a + b } }),
  );
  server.registerTool('say', { description: 'Says it again.', inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  server.registerTool('draw', { description: 'Draws.' }, () => ({
    content: [
      { type: 'text', text: 'Here it is.' },
      { type: 'image', data: 'A'.repeat(400), mimeType: 'image/png' },
      { type: 'resource_link', uri: 'file:///x', name: 'x' },
    ],
  }));
  server.registerTool('fail', { description: 'Fails.' }, () => ({
    isError: true,
    content: [{ type: 'text', text: 'there is no such order' }],
  }));
  server.registerTool('environment', { description: 'Its environment.' }, () => ({
    content: [{ type: 'text', text: JSON.stringify(process.env) }],
  }));
  server.registerTool('wait', { description: 'Waits until it is stopped, and says how far it is.' }, async (context) => {
    const { mcpReq } = context;
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      const params = { progressToken, progress: 1, total: 2, message: 'half way' };
      await mcpReq.notify({ method: 'notifications/progress', params });
    }
    await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve, { once: true }));
    process.stderr.write('stopped waiting\n');
    return { content: [] };
  });
  server.registerTool(
    'open',
    { description: 'Opens a file.', inputSchema: z.object({ path: z.string() }) },
    async ({ path }) => ({
      content: [{ type: 'text', text: await readFile(path, 'utf8') }],
    }),
  );
  server.registerTool('reach', { description: 'Connects.', inputSchema: z.object({ url: z.string() }) }, async ({ url }) => ({
    content: [{ type: 'text', text: String((await fetch(url)).status) }],
  }));
  server.registerTool('exit', { description: 'Ends the server.' }, () => process.exit(3));
  server.registerTool('grow', { description: 'Gets one more tool.' }, () => {
    server.registerTool('grown', { description: 'New.' }, () => ({ content: [{ type: 'text', text: 'new' }] }));
    return { content: [] };
  });
  return server;
}

/** The shop over HTTP on a port the system chooses; `headers` has those of the last request. */
export async function serveHttp() {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();
  let headers: NodeJS.Dict<string | string[]> = {};
  const server = createServer(async (request, response) => {
    headers = request.headers;
    const id = request.headers['mcp-session-id'];
    let transport = typeof id === 'string' ? sessions.get(id) : undefined;
    if (transport === undefined) {
      const made = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: (session) => {
          sessions.set(session, made);
        },
      });
      transport = made;
      await createShop().connect(made);
    }
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}/mcp`,
    headers: () => headers,
    forgetSessions: () => sessions.clear(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === import.meta.filename) await createShop().connect(new StdioServerTransport());
