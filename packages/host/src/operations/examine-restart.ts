import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { connectToRunning } from '../running.ts';
import { type Finding, ok } from './finding.ts';

/** What was changed in the file since the node that runs was started, and it cannot take up while it runs. */
export async function examineRestart({ config }: LoadedConfig, signal: AbortSignal): Promise<Finding> {
  const client = config.page.enabled ? connectToRunning(dataDir(config.dataDir)) : undefined;
  const { needRestart } = client === undefined ? { needRestart: [] } : await client.net({ signal });
  if (needRestart.length === 0) return ok('nothing waits for one');
  const text = `the node that runs still has another value of ${needRestart.join(', ')}`;
  return { state: 'warn', text, fix: 'stop it, and run: skein start' };
}
