/** Words that say nothing about what is asked for. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about actually after again all also am an and any are as ask at be been being but by can check could currently did do
  does doing done each either else ever every everything fine for from gave get getting gets give going got had has have having
  he her here hers hey hi him his how however i id if im in into is it its ive just kindly know let lets like look looks
  looking many may maybe me might mine moment more much must my need needs now of off ok okay on once one ones only or our
  ours out over perhaps please pls plz quick quickly really right same see shall she should show showing so some still tell installed
  than thank thanks that thats the their theirs them then there these they thing things think this those to today too total installed
  try uh um us very want wants was we well were what whats when where which while who whos whose why will wish with would yet
  you your yours yourself display say says report wonder wondering curious idea able whether hello dear tells much
  happens happening altogether there's theres actual exactly moment point present currently anything something instead
  both across among amongst between enough overall oh sorry meant great nice good perfect alright`.split(/\s+/),
);

/** Words for a node: they say where, hardly ever what. */
export const MACHINE_WORDS: ReadonlySet<string> = new Set(
  `machine machines node nodes peer peers server servers computer computers box boxes worker workers agent agents host hosts
  device devices system systems`.split(/\s+/),
);

/**
 * Verbs that change or forbid something. A request holding one is never matched to an example that does not say it
 * too: "delete the file" must not become "read the file", nor "do not run that" a run.
 */
export const VETO_WORDS: ReadonlySet<string> = new Set(
  `not never dont don't doesn't avoid remove write create make set change edit update stop kill start restart reboot shutdown
  install uninstall format send move rename copy upload deploy disable enable block reset clear wipe forget refuse without
  shut turn encrypt decrypt unmount add buy pay post publish`.split(/\s+/),
);

const GROUPS: readonly (readonly [canonical: string, words: string])[] = [
  ['disk', 'disk disc drive storage space room filesystem hdd ssd partition volume'],
  ['memory', 'memory ram mem'],
  ['cpu', 'cpu processor core'],
  ['load', 'load loaded busy busyness workload'],
  ['uptime', 'up uptime booted rebooted restarted'],
  ['free', 'free available left remaining remain unused spare availability'],
  ['full', 'full used usage use using filled fill occupied utilisation utilization consumption consumed fullness'],
  ['run', 'run execute exec launch'],
  ['read', 'read cat open print view content'],
  ['list', 'list ls enumerate'],
  ['folder', 'folder directory dir'],
  ['fetch', 'fetch download retrieve http visit'],
  ['page', 'page website site url link webpage web'],
  ['remember', 'remember memorise memorize memorised note'],
  ['search', 'search find lookup recall query'],
  ['info', 'info information detail status overview summary stat statistic health'],
  ['remove', 'remove delete rm erase drop destroy'],
  ['platform', 'platform os operating distribution distro kernel'],
  ['hostname', 'hostname host_name'],
];

/** Different words for one thing, each mapped to the one that stands for all. */
export const SYNONYMS: ReadonlyMap<string, string> = new Map(
  GROUPS.flatMap(([canonical, words]) => words.split(' ').map((word) => [word, canonical] as const)),
);

/** Words for all there is of something: they count for an example that asks what something has, and against nothing. */
export const HAVING_WORDS: ReadonlySet<string> = new Set(['have', 'has', 'had', 'got', 'total', 'installed', 'altogether']);
