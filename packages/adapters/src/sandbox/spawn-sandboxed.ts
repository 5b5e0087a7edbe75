import { detectIsolation } from './detect-isolation.ts';
import type { Sandboxed, SandboxOptions } from './sandbox.ts';
import { planSandbox } from './sandbox-plan.ts';
import { startInNamespaces } from './start-in-namespaces.ts';
import { startWithPermissions } from './start-with-permissions.ts';

/**
 * Starts foreign code with pipes to it, in a process group and an environment of its own, and holds it to what it was
 * granted and to its limits. Whoever starts it reads both of its outputs, or it waits, and kills it in the end; it ends
 * with this process in any case (under `permissions`, on Linux with util-linux).
 * @throws SkeinError `invalid`, `not-found` or `denied` for a grant that is wrong, `unsupported` for what this machine
 * cannot hold, `unavailable` when it does not start.
 */
export async function spawnSandboxed(options: SandboxOptions): Promise<Sandboxed> {
  const isolation = options.isolation ?? (await detectIsolation()).isolation;
  const plan = await planSandbox(options);
  switch (isolation) {
    case 'namespaces':
      return startInNamespaces(plan);
    case 'permissions':
      return startWithPermissions(plan);
  }
}
