import { expect, test } from 'vitest';
import { nearestNames } from './nearest-names.ts';

test.each([
  ['strat', ['start', 'status'], 'start'],
  ['fra', ['far', 'us-monitor'], 'far'],
  ['--jsn', ['--dir', '--json'], '--json'],
  ['sytem_inf', ['shell_exec', 'system_info'], 'system_info'],
  ['disk', ['mon/disk', 'mon/memory'], 'mon/disk'],
  ['UPTIME', ['uptime'], 'uptime'],
])('%s is near %j: %s', (wanted, names, nearest) => {
  expect(nearestNames(wanted, names)[0]).toBe(nearest);
});

test.each([
  ['frobnicate', ['init', 'import', 'doctor']],
  ['--bogus', ['--dir', '--json', '--verbose']],
  ['rm', ['df', 'ps', 'id']],
  ['qqq', ['far', 'us']],
])('%s is near none of %j', (wanted, names) => {
  expect(nearestNames(wanted, names)).toEqual([]);
});
