/** A system call filter as the kernel takes it: instructions of classic BPF (linux/filter.h, seccomp(2)). */

/** What differs between processors: AUDIT_ARCH (linux/audit.h) and the numbers of system calls (asm/unistd.h). */
interface Architecture {
  readonly audit: number;
  /** From here up are calls of another ABI, which would get around the rest; absent where there is none. */
  readonly otherAbi?: number;
  readonly socket: number;
  readonly clone: number;
  readonly clone3: number;
  /** fork, vfork. */
  readonly forks: readonly number[];
  /** See `DENIED`; those that have the same number everywhere are there. */
  readonly denied: readonly number[];
}

/**
 * Calls no program needs that is held here, and that have been ways out: looking into other processes (ptrace, kcmp,
 * process_vm_*), mounts, namespaces, handles of files, kernel modules and images, keys, BPF, performance counters, the
 * clock, swap, the kernel's log. The numbers from 424 on are the same on all processors: pidfd_getfd, io_uring and mounts.
 */
const DENIED_EVERYWHERE = [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442];

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    otherAbi: 0x40000000,
    socket: 41,
    clone: 56,
    clone3: 435,
    forks: [57, 58],
    denied: [
      101, 103, 154, 155, 159, 163, 164, 165, 166, 167, 168, 169, 172, 173, 175, 176, 179, 212, 227, 246, 248, 249, 250, 272,
      298, 303, 304, 308, 310, 311, 312, 313, 320, 321, 323,
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    socket: 198,
    clone: 220,
    clone3: 435,
    forks: [],
    denied: [
      18, 39, 40, 41, 60, 89, 97, 104, 105, 106, 112, 116, 117, 142, 170, 171, 217, 218, 219, 224, 225, 241, 264, 265, 266, 268,
      270, 271, 272, 273, 280, 282, 294,
    ],
  },
};

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: others, AF_VSOCK above all, know no network namespace. */
const FAMILIES = [1, 2, 10, 16];
const CLONE_THREAD = 0x00010000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone(2)). */
const CLONE_NEW = 0x7e020000;

const RET_ALLOW = 0x7fff0000;
const RET_KILL = 0x80000000;
const EPERM = 0x00050000 | 1;
const ENOSYS = 0x00050000 | 38;
const EAFNOSUPPORT = 0x00050000 | 97;

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_FROM = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

/** Where struct seccomp_data has the call's number, its processor, and the low half of its first argument. */
const NUMBER = 0;
const AUDIT = 4;
const FIRST_ARGUMENT = 16;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** The filter for this processor; undefined for one that is not known here. */
export function createSeccompFilter(options: { readonly arch: string; readonly forks: boolean }): Buffer | undefined {
  const architecture = Object.hasOwn(ARCHITECTURES, options.arch) ? ARCHITECTURES[options.arch] : undefined;
  return architecture === undefined ? undefined : encode(instructions(architecture, options.forks));
}

function instructions(architecture: Architecture, mayFork: boolean): Instruction[] {
  const { audit, otherAbi, socket, clone, clone3, forks, denied } = architecture;
  const when = (number: number, then: readonly Instruction[]): Instruction[] => [[JUMP_EQUAL, 0, then.length, number], ...then];
  const answer = (value: number): Instruction => [RETURN, 0, 0, value];
  return [
    [LOAD, 0, 0, AUDIT],
    [JUMP_EQUAL, 1, 0, audit],
    answer(RET_KILL),
    [LOAD, 0, 0, NUMBER],
    ...(otherAbi === undefined ? [] : [[JUMP_FROM, 0, 1, otherAbi] as const, answer(RET_KILL)]),
    ...[...denied, ...DENIED_EVERYWHERE, ...(mayFork ? [] : forks)].flatMap((number) => when(number, [answer(EPERM)])),
    // Its flags are in memory, out of a filter's sight; the C library then takes clone, whose flags are not.
    ...when(clone3, [answer(ENOSYS)]),
    ...when(clone, [
      [LOAD, 0, 0, FIRST_ARGUMENT],
      [JUMP_ANY_BIT, 0, 1, CLONE_NEW],
      answer(EPERM),
      ...(mayFork ? [] : [[JUMP_ANY_BIT, 1, 0, CLONE_THREAD] as const, answer(EPERM)]),
      answer(RET_ALLOW),
    ]),
    ...when(socket, [
      [LOAD, 0, 0, FIRST_ARGUMENT],
      ...FAMILIES.flatMap((family): Instruction[] => [[JUMP_EQUAL, 0, 1, family], answer(RET_ALLOW)]),
      answer(EAFNOSUPPORT),
    ]),
    answer(RET_ALLOW),
  ];
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    const at = index * 8;
    bytes.writeUInt16LE(code, at);
    bytes.writeUInt8(ifTrue, at + 2);
    bytes.writeUInt8(ifFalse, at + 3);
    bytes.writeUInt32LE(value >>> 0, at + 4);
  }
  return bytes;
}
