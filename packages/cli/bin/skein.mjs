#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isNodeRecent, runProgram } from './run.mjs';

const built = new URL('../dist/main.js', import.meta.url);
const source = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const args = process.argv.slice(2);

if (!existsSync(source) && isNodeRecent()) {
  await import(built.href);
} else {
  await runProgram(existsSync(source) ? source : fileURLToPath(built), args, {
    cacheDir: fileURLToPath(new URL('../../../node_modules/.cache/skein', import.meta.url)),
    retry: ['skein', ...args].join(' '),
  });
}
