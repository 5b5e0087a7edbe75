import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { parsePostgresAddress } from './postgres-address.ts';

export const DATABASE_DEFAULTS = { write: false, maxRows: 200, maxBytes: 131_072, timeoutMs: 15_000 } as const;

/** A name of a database or server in the configuration; it becomes part of what tools take. */
export const sourceName = z
  .string()
  .regex(/^[a-zA-Z][a-zA-Z0-9_-]{0,31}$/, 'expected 1 to 32 letters, digits, "_" or "-", a letter first');

/** The name of an environment variable. */
export const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of an environment variable, not a secret');

const url = z.string().superRefine((text, context) => {
  if (text.startsWith('sqlite:') && text.length > 'sqlite:'.length) return;
  try {
    if (/^postgres(ql)?:/.test(text)) parsePostgresAddress(text);
    else context.addIssue({ code: 'custom', message: 'expected "sqlite:./file.db" or "postgres://user@host/database"' });
  } catch (error) {
    context.addIssue({ code: 'custom', message: SkeinError.from(error).message });
  }
});

/** One entry of `tools.databases`. */
export const databaseConfig = z.strictObject({
  url: url.describe('"sqlite:./shop.db", from the folder of tools.root, or "postgres://user@host:5432/database".'),
  passwordEnv: variableName.optional().describe('The environment variable that holds the password.'),
  write: z.boolean().default(DATABASE_DEFAULTS.write).describe('Let statements change it.'),
  maxRows: z.int().min(1).max(5_000).default(DATABASE_DEFAULTS.maxRows).describe('Rows of one result.'),
  maxBytes: z.int().min(1_024).max(524_288).default(DATABASE_DEFAULTS.maxBytes).describe('Bytes of one result.'),
  timeoutMs: z.int().min(1).max(600_000).default(DATABASE_DEFAULTS.timeoutMs).describe('For one statement.'),
});
export type DatabaseConfig = z.infer<typeof databaseConfig>;

/** `tools.databases`: each under the name that statements call it by. */
export const databasesConfig = z
  .record(sourceName, databaseConfig)
  .refine((databases) => Object.keys(databases).length <= 16, 'expected at most 16 databases');
