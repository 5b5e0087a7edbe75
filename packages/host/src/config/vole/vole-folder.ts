import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where an OpenVole node keeps what is its own, beside its configuration. */
export const VOLE_FOLDER = '.openvole';
/** Where its keys are unless `net.keyPath` says otherwise. */
const VOLE_KEY = path.join(VOLE_FOLDER, 'net', 'vole_key');

/** What of the folder has nothing in its place here. */
const LEFT_BEHIND: Readonly<Record<string, string>> = {
  'schedules.json': 'its schedules are left out; name them under "schedules" of skein.config.json',
  'vault.json': 'the vault is left out; put secrets into the environment, or into files of mode 0600',
  'HEARTBEAT.md': 'not read; put it into heartbeat.text of skein.config.json',
  'SOUL.md': 'not read; put it into agent.instructions of skein.config.json',
  'USER.md': 'not read; put it into agent.instructions of skein.config.json',
  'AGENT.md': 'not read; put it into agent.instructions of skein.config.json',
  'paws/paw-brain/BRAIN.md': 'not read; put it into agent.instructions of skein.config.json',
  'paws/paw-mcp/servers.json': 'not read; name its servers under tools.mcp of skein.config.json',
  'paws/paw-session': 'its conversations are left out',
  skills: 'its skills are left out; this version has none',
};

/** The places of an OpenVole node; relative where what it was made from is. */
export interface VolePlaces {
  readonly folder: string;
  readonly key: string;
  readonly authorizedVoles: string;
  /** What it remembers, as text. */
  readonly memory: string;
}

/** `keyPath` is that of `net`, from the folder of the configuration: only its folder counts. */
export function volePlaces(base: string, keyPath = VOLE_KEY): VolePlaces {
  const directory = path.dirname(keyPath);
  const inBase = (place: string) => path.resolve(base, place);
  return {
    folder: inBase(VOLE_FOLDER),
    key: inBase(path.join(directory, 'vole_key')),
    authorizedVoles: inBase(path.join(directory, 'authorized_voles')),
    memory: inBase(path.join(VOLE_FOLDER, 'paws', 'paw-memory', 'MEMORY.md')),
  };
}

/** What is in the folder and not taken over; one line each. */
export function leftBehind({ folder }: VolePlaces): readonly string[] {
  return Object.entries(LEFT_BEHIND).flatMap(([name, why]) =>
    existsSync(path.join(folder, name)) ? [`${VOLE_FOLDER}/${name}: ${why}`] : [],
  );
}
