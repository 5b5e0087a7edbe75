import { z } from 'zod';
import { networkGrant } from '../../sandbox/egress/host-grant.ts';

const paths = z.array(z.string().min(1)).max(64).default([]);

const allow = z.strictObject({
  network: networkGrant,
  read: paths.describe('Folders and files it may read, beside its own folder and the packages it imports.'),
  write: paths.describe('Folders and files it may read and change.'),
  env: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of a variable'))
    .max(64)
    .default([])
    .describe("Variables of the node's environment that it gets."),
  childProcess: z.boolean().default(false).describe('Start processes, which are held as it is.'),
});

/** A plug-in, or a folder of them, and what its code may do. */
export const pluginConfig = z.strictObject({
  path: z.string().min(1).describe('A .ts or .mjs file, or a folder of them.'),
  allow: allow.prefault({}).describe('What it may do.'),
});
export type PluginConfig = z.infer<typeof pluginConfig>;

/** `tools.plugins`: those besides the ones in the data directory, and those of them that may do more. */
export const pluginsConfig = z.array(z.union([z.string().min(1), pluginConfig])).max(256);

/** An entry in its long form. */
export function completePlugin(entry: string | PluginConfig): PluginConfig {
  return typeof entry === 'string' ? pluginConfig.parse({ path: entry }) : entry;
}
