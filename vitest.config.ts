import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['skein-source'] },
  ssr: { resolve: { conditions: ['skein-source', 'node'] } },
  test: {
    include: ['packages/*/{bin,src,test}/**/*.test.{ts,tsx}', 'bench/src/**/*.test.ts', 'scripts/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
