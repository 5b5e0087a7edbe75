import { defineConfig } from 'vitest/config';

/** What measures time or load while it runs, and so has the machine to itself. */
const ALONE = [
  'packages/mesh/test/hostile-peer.test.ts',
  'packages/host/test/mesh-floods.test.ts',
  'packages/host/test/node-faults.test.ts',
  'packages/adapters/src/tools/plugins/limits.test.ts',
  'packages/adapters/src/tools/mcp/hostile.test.ts',
  'packages/cli/test/demo.test.ts',
];

export default defineConfig({
  resolve: { conditions: ['skein-source'] },
  ssr: { resolve: { conditions: ['skein-source', 'node'] } },
  test: {
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What is waited for comes, or the test is red: how long it takes on a busy machine proves nothing.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['packages/*/{bin,src,test}/**/*.test.{ts,tsx}', 'scripts/*.test.ts', 'bench/src/*.test.ts'],
          exclude: ['**/node_modules/**', ...ALONE],
          // Most of them wait for processes and timers.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
  },
});
