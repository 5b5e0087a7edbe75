import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, LaunchOptions } from 'playwright-core';

/** Where Debian's package puts the browser. */
export const CHROMIUM_PATH = '/usr/bin/chromium';

/** Null where the browser is installed; otherwise why its tests are left out and what installs it. */
export function chromiumMissing(): string | null {
  return existsSync(CHROMIUM_PATH) ? null : `no ${CHROMIUM_PATH}; install it with: apt-get install chromium`;
}

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface BrowserOptions {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** Host names and the addresses they shall have in this browser: what an attacker's DNS could answer. */
  readonly hosts?: Readonly<Record<string, string>>;
}

/** A real browser with an empty profile; disposing closes it and removes the profile. */
export interface TestBrowser extends AsyncDisposable {
  readonly context: BrowserContext;
}

/** Starts Chromium without a window. */
export async function launchBrowser(options: BrowserOptions = {}): Promise<TestBrowser> {
  const { chromium } = await import('playwright-core');
  const profile = await mkdtemp(join(tmpdir(), 'skein-browser-'));
  const rules = Object.entries(options.hosts ?? {}).map(([name, address]) => `MAP ${name} ${address}`);
  const launch: LaunchOptions = {
    executablePath: CHROMIUM_PATH,
    args: rules.length === 0 ? ARGS : [...ARGS, `--host-resolver-rules=${rules.join(',')}`],
  };
  const context = await chromium.launchPersistentContext(profile, {
    ...launch,
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.colorScheme ?? 'light',
  });
  return {
    context,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
