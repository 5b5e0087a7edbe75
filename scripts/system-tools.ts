import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Something outside npm that some tests need, and how to get it. */
export interface SystemTool {
  readonly name: string;
  readonly present: boolean;
  readonly install: string;
}

const FOLDERS = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/bin', '/usr/sbin', '/sbin'];

/** What tests may need of the system, and whether it is there. */
export function systemTools(): readonly SystemTool[] {
  return [
    { name: 'chromium', present: isProgram('chromium'), install: 'apt-get install -y chromium' },
    { name: 'nats-server', present: isProgram('nats-server'), install: 'apt-get install -y nats-server' },
    { name: 'bubblewrap', present: isProgram('bwrap'), install: 'apt-get install -y bubblewrap' },
    { name: 'postgresql', present: hasPostgres(), install: 'apt-get install -y postgresql' },
    { name: 'gcc', present: isProgram('gcc'), install: 'apt-get install -y gcc libc6-dev' },
    {
      name: 'network namespaces',
      present: isProgram('ip') && isProgram('iptables') && process.getuid?.() === 0,
      install: 'apt-get install -y iproute2 iptables, and run the tests as root',
    },
  ];
}

/** Debian keeps the server's programs out of the way of the path. */
function hasPostgres(): boolean {
  const root = '/usr/lib/postgresql';
  return existsSync(root) && readdirSync(root).some((version) => existsSync(path.join(root, version, 'bin', 'postgres')));
}

function isProgram(name: string): boolean {
  return FOLDERS.some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      // Not here; the next folder may have it.
      return false;
    }
  });
}
