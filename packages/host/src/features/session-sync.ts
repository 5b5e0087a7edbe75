import { sessionOperations } from '@skein/protocol';
import { LogSync, type LogSyncParts } from './log-sync.ts';

/** Keeps conversations the same on all nodes that share them: who brings a message and who wrote it both need `sessions`. */
export function createSessionSync(parts: Omit<LogSyncParts, 'methods' | 'sharedBy'>): LogSync {
  return new LogSync({ ...parts, methods: sessionOperations, sharedBy: 'net.share.session' });
}
