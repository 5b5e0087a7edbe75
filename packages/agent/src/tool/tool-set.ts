import { nearestNames, parseName, SkeinError, toolName } from '@skein/protocol';
import type { OfferedTool } from '../brain/brain.ts';
import { matchesAny } from './name-pattern.ts';
import type { Tool } from './tool.ts';

const MAX_TOOLS_PER_OWNER = 256;
const MAX_OWNERS = 256;
const MAX_LISTENERS = 64;
/** Key of this node's own tools among the owners; no peer id is empty. */
const LOCAL = '';

/** A tool with the name it has in this set. */
export interface NamedTool {
  /** `tool` or `peer/tool`; `peer~id4/tool` should two peers have the same label, which then means neither of them. */
  readonly name: string;
  /** The label as it stands in the name; null for this node's own. */
  readonly peer: string | null;
  readonly tool: Tool;
}

export interface ToolSetParts {
  readonly local?: readonly Tool[];
  /** By the pattern of a plain name (`*` stands for any characters): the label of the peer it means; first match counts. */
  readonly routing?: () => Readonly<Record<string, string>>;
  /** This node's own label, as `routing` may name it. */
  readonly ownName?: string;
  /** How busy a peer is; of several that have a tool, the one with the least is taken. */
  readonly loadOf?: (peerId: string) => number;
}

/** Every tool an agent can use, local and remote, changing as peers come and go. */
export class ToolSet {
  readonly #routing: () => Readonly<Record<string, string>>;
  readonly #ownName: string | undefined;
  readonly #loadOf: (peerId: string) => number;
  /** Tools by owner: a peer's id, or LOCAL. */
  readonly #owners = new Map<string, readonly Tool[]>();
  readonly #listeners = new Set<() => void>();
  #named: ReadonlyMap<string, NamedTool> = new Map();

  constructor(parts: ToolSetParts = {}) {
    this.#routing = parts.routing ?? (() => ({}));
    this.#ownName = parts.ownName;
    this.#loadOf = parts.loadOf ?? (() => 0);
    this.replaceLocal(parts.local ?? []);
  }

  /** Adds one tool to its owner's. @throws SkeinError `conflict` when that owner has one of the name, `too-large`, `invalid`. */
  add(tool: Tool): void {
    const owner = tool.peer?.id ?? LOCAL;
    this.#set(owner, [...(this.#owners.get(owner) ?? []), tool]);
  }

  /** Removes a tool by its full name; false when there is none. */
  remove(name: string): boolean {
    const found = this.#named.get(name);
    if (found === undefined) return false;
    const owner = found.tool.peer?.id ?? LOCAL;
    this.#set(
      owner,
      (this.#owners.get(owner) ?? []).filter((tool) => tool !== found.tool),
    );
    return true;
  }

  /** Puts these in place of all of this node's own tools. */
  replaceLocal(tools: readonly Tool[]): void {
    if (tools.some((tool) => tool.peer !== undefined)) {
      throw new SkeinError('A local tool has no peer', { code: 'invalid' });
    }
    this.#set(LOCAL, tools);
  }

  /**
   * Puts these in place of all of a peer's tools; none takes the peer out.
   * @throws SkeinError `invalid` when one is not that peer's, `conflict` for two of one name, `too-large` over the bounds.
   */
  replacePeer(peerId: string, tools: readonly Tool[]): void {
    if (peerId === LOCAL || tools.some((tool) => tool.peer?.id !== peerId)) {
      throw new SkeinError(`A tool offered by ${peerId.slice(0, 8)} is not its own`, { code: 'invalid' });
    }
    this.#set(peerId, tools);
  }

  /** Puts the labels that peers have now in place of those they had; undefined leaves a peer's as it is. */
  relabel(nameOf: (peerId: string) => string | undefined): void {
    const renamed = [...this.#owners].flatMap(([id, tools]) => {
      const name = id === LOCAL ? undefined : nameOf(id);
      if (name === undefined || tools[0]?.peer?.name === name) return [];
      return [[id, tools.map((tool): Tool => ({ ...tool, peer: { name: parseName(name), id } }))] as const];
    });
    if (renamed.length === 0) return;
    for (const [id, tools] of renamed) this.#owners.set(id, tools);
    this.#changed();
  }

  /** All tools under their full names, local ones first, then by name. */
  all(): readonly NamedTool[] {
    return [...this.#named.values()];
  }

  /** All tools as a brain is offered them. */
  offered(): readonly OfferedTool[] {
    return this.all().map(({ name, peer, tool }) => ({ ...tool.descriptor, name, ...(peer === null ? {} : { peer }) }));
  }

  /**
   * The tool of exactly this full name. A plain name means what `routing` says of it, else this node's own tool, else that
   * of the only peer that has it, else of the least busy one.
   * @throws SkeinError `not-found` that names the nearest ones, `unavailable` when routing leads to a peer without it.
   */
  find(name: string): NamedTool {
    const found = this.#routed(name) ?? this.#named.get(name);
    if (found !== undefined) return found;
    const [first, ...others] = this.all().filter((named) => named.tool.descriptor.name === name);
    if (first !== undefined) return this.#leastBusy(first, others);
    const nearest = nearestNames(name, this.#named.keys());
    const hint = nearest.length === 0 ? `there are ${listed([...this.#named.keys()])}` : `the nearest are ${listed(nearest)}`;
    throw new SkeinError(`There is no tool "${name.slice(0, 130)}"; ${hint}`, { code: 'not-found' });
  }

  /** Calls back after each change until the returned function is called. The listener must not throw. */
  onChange(listener: () => void): () => void {
    if (this.#listeners.size >= MAX_LISTENERS) {
      throw new SkeinError(`${MAX_LISTENERS} listeners watch the tools already`, { code: 'busy' });
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #routed(name: string): NamedTool | undefined {
    const route = Object.entries(this.#routing()).find(([pattern]) => matchesAny(name, [pattern]));
    if (route === undefined) return undefined;
    const [pattern, peer] = route;
    const full = peer === this.#ownName ? name : `${peer}/${name}`;
    const found = this.#named.get(full);
    if (found !== undefined) return found;
    // Never another's in its place: somebody decided where this is to run.
    throw new SkeinError(`${name} goes to ${peer} (net.routing, "${pattern}"), which is away or has no such tool`, {
      code: 'unavailable',
    });
  }

  #leastBusy(first: NamedTool, others: readonly NamedTool[]): NamedTool {
    const busyness = ({ tool }: NamedTool) => (tool.peer === undefined ? 0 : this.#loadOf(tool.peer.id));
    return others.reduce((least, other) => (busyness(other) < busyness(least) ? other : least), first);
  }

  #set(owner: string, tools: readonly Tool[]): void {
    validate(owner, tools);
    if (!this.#owners.has(owner) && this.#owners.size >= MAX_OWNERS) {
      throw new SkeinError(`Tools of ${MAX_OWNERS} peers are known, the most that are kept`, { code: 'too-large' });
    }
    if (tools.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, [...tools]);
    this.#changed();
  }

  #changed(): void {
    this.#named = nameAll(this.#owners);
    for (const listener of this.#listeners) listener();
  }
}

function validate(owner: string, tools: readonly Tool[]): void {
  if (tools.length > MAX_TOOLS_PER_OWNER) {
    throw new SkeinError(`${tools.length} tools of one peer are more than the ${MAX_TOOLS_PER_OWNER} taken`, {
      code: 'too-large',
    });
  }
  const label = tools[0]?.peer?.name;
  if (label !== undefined) parseName(label);
  const names = new Set<string>();
  for (const tool of tools) {
    const { name } = tool.descriptor;
    if (!toolName.safeParse(name).success) {
      throw new SkeinError(`"${name.slice(0, 70)}" is not a tool's name: use 1 to 64 letters, digits, "_" or "-"`, {
        code: 'invalid',
      });
    }
    if (tool.peer?.name !== label) {
      throw new SkeinError(`The tools of ${owner.slice(0, 8)} give it several names`, { code: 'invalid' });
    }
    if (names.has(name)) {
      throw new SkeinError(`${owner === LOCAL ? 'This node' : owner.slice(0, 8)} has two tools named "${name}"`, {
        code: 'conflict',
      });
    }
    names.add(name);
  }
}

function nameAll(owners: ReadonlyMap<string, readonly Tool[]>): Map<string, NamedTool> {
  const labels = new Map<string, string[]>();
  for (const [owner, [first]] of owners) {
    if (first?.peer !== undefined) labels.set(first.peer.name, [...(labels.get(first.peer.name) ?? []), owner]);
  }
  const named = [...owners].flatMap(([owner, tools]) =>
    tools.map((tool): NamedTool => {
      if (tool.peer === undefined) return { name: tool.descriptor.name, peer: null, tool };
      const peer = labelOf(owner, tool.peer.name, labels.get(tool.peer.name) ?? []);
      return { name: `${peer}/${tool.descriptor.name}`, peer, tool };
    }),
  );
  named.sort((left, right) => Number(left.peer !== null) - Number(right.peer !== null) || (left.name < right.name ? -1 : 1));
  return new Map(named.map((tool) => [tool.name, tool]));
}

/** The label, with as much of the id as tells peers of the same label apart: at least four characters. */
function labelOf(id: string, label: string, sharing: readonly string[]): string {
  const others = sharing.filter((other) => other !== id);
  if (others.length === 0) return label;
  let length = 4;
  while (length < id.length && others.some((other) => other.slice(0, length) === id.slice(0, length))) length += 1;
  return `${label}~${id.slice(0, length)}`;
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none at all';
  return names.slice(0, 12).join(', ') + (names.length > 12 ? `, … (${names.length} in all)` : '');
}
