import type { ProofRow } from '../packages/testing/src/sized.ts';

/** One figure to reach, and the tests that measure it. */
export interface ProofGoal {
  readonly row: ProofRow;
  /** In words. */
  readonly goal: string;
  /** Parts of the paths of its test files. */
  readonly files: readonly string[];
  /** Where not all tests of these files belong to it: what is in the titles of those that do. */
  readonly only?: RegExp;
  /** What must be reached: counts, added up over its tests, and peaks. */
  readonly atLeast: Readonly<Record<string, number>>;
  /** What no peak may be above. */
  readonly atMost?: Readonly<Record<string, number>>;
}

/** Every figure, in the order they are proven. */
export const PROOF_GOALS: readonly ProofGoal[] = [
  {
    row: 'kills',
    goal: '1,000 kills over all roles and 12 fail points: nothing accepted lost, nothing done twice, recovery p99 3 s',
    files: [
      'engine/src/sqlite/kill.test.ts',
      'agent/src/task/task-kill.test.ts',
      ...['sync-kills', 'tasks-faults', 'mesh-faults', 'http-fallback'].map((name) => `host/test/${name}.test.ts`),
    ],
    only: /kill|dies/,
    atLeast: { kills: 1_000, failPoints: 12 },
    atMost: { recoveryP99Ms: 3_000 },
  },
  {
    row: 'power-cuts',
    goal: '200 power cuts: nothing acknowledged lost, nothing corrupt',
    files: ['engine/src/sqlite/power-cut.test.ts', 'host/test/power-cuts.test.ts'],
    atLeast: { cuts: 200 },
  },
  {
    row: 'simulation',
    goal: '100,000 seeds: one leader a term, no acknowledgement lost, no effect twice, one order for all',
    files: ['mesh/test/election.test.ts', 'agent/src/task/task-model.test.ts', 'agent/src/sync/merge.test.ts'],
    only: /once the faults are over|as its model does|ends with the same|turns stay whole/,
    atLeast: { seeds: 100_000 },
  },
  {
    row: 'partitions',
    goal: '100 real ones among 5 processes in network namespaces, half one-way: no two leaders of a term, healed within 10 s',
    files: ['host/test/leader-partitions.test.ts', 'host/test/mesh-faults.test.ts'],
    only: /on a real network/,
    atLeast: { partitions: 100, oneWay: 50, betweenTwo: 36 },
    atMost: { noticedMs: 15_000, healedMs: 10_000 },
  },
  {
    row: 'failover',
    goal: 'p99 15 s after a kill, at most 30 s; under 1 s where the socket closes',
    files: ['mesh/test/election.test.ts', 'bench/src/bench.test.ts'],
    only: /another leads within a second|finding the leader dead|leaders that go are followed/,
    atLeast: { simulated: 4_000, killed: 40, silenced: 6 },
    atMost: { closedMs: 1_000, silentP99Ms: 15_000, silentMs: 30_000 },
  },
  {
    row: 'slow-peer',
    goal: 'at most 32 MiB growth while 1 GB is sent to a stopped peer; the sender is told',
    files: ['host/test/mesh-faults.test.ts'],
    only: /held still costs its sender/,
    atLeast: { offeredMiB: 954 },
    atMost: { growthMiB: 32 },
  },
  {
    row: 'providers',
    goal: '10,000 scripted faulty calls: all end by their deadline',
    files: ['adapters/src/brains/faults.test.ts'],
    atLeast: { calls: 10_000 },
  },
  {
    row: 'disk',
    goal: '500 corruptions and a full disk at each of 200 writes: found or harmless, never silently empty',
    files: [
      ...['damage', 'failing-disk', 'full-disk'].map((name) => `engine/src/sqlite/${name}.test.ts`),
      'host/test/failing-disk.test.ts',
    ],
    atLeast: { corruptions: 500, fullDiskWrites: 200 },
  },
  {
    row: 'sessions',
    goal: '10,000 sessions at once, at most 40 KiB each',
    files: ['bench/src/bench.test.ts'],
    only: /session that is idle/,
    atLeast: { sessions: 10_000 },
    atMost: { kibEach: 40 },
  },
  {
    row: 'fuzz',
    goal: '10,000,000 frames: no crash, no stall over 50 ms, at most 256 MiB',
    files: ['mesh/test/hostile-peer.test.ts', 'dialects/test/volenet/fuzz.test.ts'],
    only: /every type of message|put together at random|whatever a trusted peer may sign/,
    atLeast: { frames: 10_000_000 },
    atMost: { stallMs: 50, growthMiB: 256 },
  },
  {
    row: 'tampering',
    goal: 'every bit of 200 frames flipped, and 100,000 mutations: none accepted',
    files: ['protocol/src/frame.test.ts', 'protocol/src/handshake/attacks.test.ts', 'mesh/test/hostile-pipe.test.ts'],
    only: /flip|mutations|truncation/,
    atLeast: { frames: 200, mutations: 100_000 },
  },
  {
    row: 'replay',
    goal: '1,000,000 replays in 7 ways: none accepted',
    files: ['protocol/src/frame.test.ts', 'mesh/test/hostile-pipe.test.ts', 'mesh/test/replay.test.ts'],
    only: /replay|recorded/,
    atLeast: {
      ...{ replays: 1_000_000, atLaterPlaces: 1_000, inOtherSessions: 1_000, toOthers: 1_000, toTheirSender: 1_000 },
      ...{ onTheirSocket: 1_000, afterRestart: 1_000, overHttp: 1_000 },
    },
  },
  {
    row: 'permissions',
    goal: 'the whole matrix, and 100,000 random configurations as the reference model decides',
    files: ['host/test/grants-matrix.test.ts', 'host/test/grants-random.test.ts', 'mesh/src/trust/grants.test.ts'],
    atLeast: { configurations: 100_000, records: 100_000, cellsOfTheMatrix: 1, chains: 10_000 },
  },
  {
    row: 'obedient-model',
    goal: '1,000 injections with a model that obeys them: no effect; its own user is served',
    files: ['agent/src/turn/obedient-brain.test.ts'],
    atLeast: { scenarios: 1_000, benign: 20 },
  },
  {
    row: 'flood',
    goal: '25,000 junk frames/s before authentication: at least 99 % of trusted calls answered, p99 500 ms',
    files: ['host/test/mesh-floods.test.ts'],
    only: /flood a node with junk/,
    atLeast: { junkPerSecond: 25_000 },
    atMost: { unansweredPercent: 1, p99Ms: 500 },
  },
  {
    row: 'revocation',
    goal: 'effective within 2 s, socket closed',
    files: ['host/test/mesh-faults.test.ts', 'host/test/http-fallback.test.ts', 'host/test/revocations.test.ts'],
    only: /gets nothing more within 2 s|within two seconds/,
    atLeast: { revocations: 40 },
    atMost: { closedMs: 2_000, lastAnswerMs: 2_000 },
  },
  {
    row: 'loop-lag',
    goal: 'p99 50 ms with ten 30 s tools running',
    files: ['host/test/node-faults.test.ts', 'adapters/src/tools/plugins/limits.test.ts'],
    only: /ten tools|plug-in that|held up/,
    atLeast: { tools: 10 },
    atMost: { loopLagP99Ms: 50 },
  },
];
