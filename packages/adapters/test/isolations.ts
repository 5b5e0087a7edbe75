import { accessSync, constants } from 'node:fs';
import type { Isolation } from '../src/sandbox/sandbox.ts';

/** Why code cannot be held by namespaces here; undefined when it can. A bubblewrap that is there and fails is no reason. */
export const noBubblewrap =
  process.platform === 'linux' && isProgram('/usr/bin/bwrap') ? undefined : 'no bubblewrap here: apt-get install -y bubblewrap';

/** Every isolation, with why it cannot be had here. */
export const ISOLATIONS: readonly { readonly isolation: Isolation; readonly missing: string | undefined }[] = [
  { isolation: 'namespaces', missing: noBubblewrap },
  { isolation: 'permissions', missing: undefined },
];

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
