// Loaded before anything else into a process whose machine has its clock set wrong: `--import`, with the offset in the name.
const offsetMs = Number(new URL(import.meta.url).searchParams.get('ms'));
const RealDate = Date;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [RealDate.now() + offsetMs] : args, self),
  apply: () => new RealDate(RealDate.now() + offsetMs).toString(),
  get: (target, key) => (key === 'now' ? () => RealDate.now() + offsetMs : Reflect.get(target, key)),
});
