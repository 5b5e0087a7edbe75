import { Cron } from 'croner';
import { z } from 'zod';

/** Whether a run whose time passed while nobody could do it is made up for. */
export const catchUp = z.enum(['run-once', 'skip']);
export type CatchUp = z.infer<typeof catchUp>;

const cronPattern = z
  .string()
  .min(1)
  .max(200)
  .superRefine((text, context) => {
    try {
      // A date is no pattern, though the library would take one.
      if (text.includes(':')) throw new TypeError('expected five fields: minute, hour, day, month, weekday');
      new Cron(text, { mode: '5-part', paused: true });
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'no cron pattern' });
    }
  });

const timeZone = z.string().refine(
  (name) => {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
    } catch {
      return false; // Not a time zone is an answer here.
    }
  },
  { error: 'expected a time zone such as "Europe/Berlin" or "UTC"' },
);

const text = z.string().min(1).max(20_000);
const everyMinutes = z.int().min(1).max(43_200);
const scheduleName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"');

/** The name the heartbeat's schedule has; no other may have it. */
export const HEARTBEAT_NAME = 'heartbeat';
const HEARTBEAT_TEXT =
  'This is your heartbeat: nobody is asking. Look at what you remember and which tools you have, and do what is due. If nothing is, answer in one line.';

const schedule = z
  .strictObject({
    name: scheduleName.describe('What it is called; the same on every node that has it.').meta({ example: 'morning-report' }),
    cron: cronPattern
      .optional()
      .describe('When: minute, hour, day, month, weekday. Give this or everyMinutes.')
      .meta({ example: '0 8 * * 1-5' }),
    everyMinutes: everyMinutes
      .optional()
      .describe('Every so many minutes, counted from 1970, so that all nodes mean the same times.')
      .meta({ example: 30 }),
    timeZone: timeZone.default('UTC').describe('Whose clock the cron pattern means.'),
    text: text.describe('What the agent is asked.').meta({ example: 'Summarise what happened since yesterday.' }),
    session: z
      .string()
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,127}$/)
      .optional()
      .describe('The conversation it belongs to; absent, one of its own.'),
    catchUp: catchUp
      .default('run-once')
      .describe('After a time in which nobody could: run the last missed one late, or skip it.'),
    priority: z.enum(['urgent', 'normal', 'low']).default('normal').describe('Which tasks go before which.'),
  })
  .refine((entry) => (entry.cron === undefined) !== (entry.everyMinutes === undefined), {
    error: 'expected either "cron" or "everyMinutes"',
  });

/** The `schedules` of a node's configuration. */
export const schedulesConfig = z
  .array(schedule)
  .max(256)
  .superRefine((entries, context) => {
    const seen = new Set([HEARTBEAT_NAME]);
    for (const [index, { name }] of entries.entries()) {
      if (seen.has(name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${name}" is the name of another schedule` });
      }
      seen.add(name);
    }
  });
export type SchedulesConfig = z.infer<typeof schedulesConfig>;

/** The `heartbeat` of a node's configuration: a schedule with VoleNet's words. */
export const heartbeatConfig = z.strictObject({
  enabled: z.boolean().default(false).describe('Let the agent act now and then without being asked.'),
  intervalMinutes: everyMinutes.default(30).describe('How often, in minutes, where no cron pattern is given.'),
  cron: cronPattern.optional().describe('When: minute, hour, day, month, weekday, in UTC.').meta({ example: '0 * * * *' }),
  runOnStart: z.boolean().default(false).describe('Also once when the node has started and is the one that runs it.'),
  text: text.default(HEARTBEAT_TEXT).describe('What the agent is asked.'),
});
export type HeartbeatConfig = z.infer<typeof heartbeatConfig>;
