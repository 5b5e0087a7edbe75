import type { Figure } from '../figure.ts';
import { measureFailover } from './failover.ts';
import { startIdleMeshes } from './idle-mesh.ts';

/** Networks of whole nodes: what they cost while nothing happens, and what they do when one of them goes. */
export const networks: Figure = {
  title: 'idle meshes and failover',
  async measure(pace) {
    // Side by side, as both mostly wait.
    await using idle = await startIdleMeshes(pace);
    const moved = await measureFailover(pace);
    return [...moved, ...(await idle.figures)];
  },
};
