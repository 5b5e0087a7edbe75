import { describe, expect, it } from 'vitest';
import { authorized, send, startGateway } from './start-gateway.ts';

describe('the page', () => {
  it('runs nothing inline, is framed by nobody and keeps only hashed files', async () => {
    await using net = await startGateway();
    const page = await send(net.port, { path: '/' });
    const policy = page.headers['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-cache',
    });
    const script = await send(net.port, { path: '/assets/page-abc123.js' });
    expect(script.headers['cache-control']).toContain('immutable');
    const kept = await send(net.port, { path: '/', headers: { 'if-none-match': page.headers.etag ?? '' } });
    expect([kept.status, kept.text]).toEqual([304, '']);
    expect((await send(net.port, { headers: authorized })).headers['cache-control']).toBe('no-store');
  });

  it('that is not built says how to build it', async () => {
    await using net = await startGateway({ assets: new Map() });
    const reply = await send(net.port, { path: '/' });
    expect(reply.status).toBe(503);
    expect(reply.text).toContain('npm run build');
  });
});
