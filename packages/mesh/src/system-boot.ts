import { readFileSync } from 'node:fs';

/** What the system calls its present run: on Linux (random(4)), undefined where it has no such name. */
export function systemBoot(): string | undefined {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return /^[0-9a-f-]{36}$/.test(id) ? id : undefined;
  } catch {
    return undefined; // Another system, or none of it in this container.
  }
}
