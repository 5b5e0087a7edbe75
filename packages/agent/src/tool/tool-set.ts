import { nearestNames, parseName, SkeinError, toolName } from '@skein/protocol';
import type { OfferedTool } from '../brain/brain.ts';
import type { Tool } from './tool.ts';

const MAX_TOOLS_PER_OWNER = 256;
const MAX_OWNERS = 256;
const MAX_LISTENERS = 64;
/** Key of this node's own tools among the owners; no peer id is empty. */
const LOCAL = '';

/** A tool with the name it has in this set. */
export interface NamedTool {
  /** `tool`, `peer/tool`, or `peer~id4/tool` when two peers have the same label. */
  readonly name: string;
  /** The label as it stands in the name; null for this node's own. */
  readonly peer: string | null;
  readonly tool: Tool;
}

/** Every tool an agent can use, local and remote, changing as peers come and go. */
export class ToolSet {
  /** Tools by owner: a peer's id, or LOCAL. */
  readonly #owners = new Map<string, readonly Tool[]>();
  readonly #listeners = new Set<() => void>();
  #named: ReadonlyMap<string, NamedTool> = new Map();

  constructor(parts?: { readonly local?: readonly Tool[] }) {
    this.replaceLocal(parts?.local ?? []);
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

  /** All tools under their full names, local ones first, then by name. */
  all(): readonly NamedTool[] {
    return [...this.#named.values()];
  }

  /** All tools as a brain is offered them. */
  offered(): readonly OfferedTool[] {
    return this.all().map(({ name, peer, tool }) => ({ ...tool.descriptor, name, ...(peer === null ? {} : { peer }) }));
  }

  /**
   * The tool of exactly this full name, or the only one of this plain name.
   * @throws SkeinError `not-found` that names the nearest ones, `invalid` when several peers have a tool of the name.
   */
  find(name: string): NamedTool {
    const exact = this.#named.get(name);
    if (exact !== undefined) return exact;
    const meant = this.all().filter((named) => named.tool.descriptor.name === name || withoutId(named.name) === name);
    const [only, ...others] = meant;
    if (only !== undefined && others.length === 0) return only;
    const shown = name.slice(0, 130);
    if (only !== undefined) {
      throw new SkeinError(`"${shown}" is a tool of several peers: say which, ${listed(meant.map((tool) => tool.name))}`, {
        code: 'invalid',
      });
    }
    const nearest = nearestNames(name, this.#named.keys());
    const hint = nearest.length === 0 ? `there are ${listed([...this.#named.keys()])}` : `the nearest are ${listed(nearest)}`;
    throw new SkeinError(`There is no tool "${shown}"; ${hint}`, { code: 'not-found' });
  }

  /** Calls back after each change until the returned function is called. The listener must not throw. */
  onChange(listener: () => void): () => void {
    if (this.#listeners.size >= MAX_LISTENERS) {
      throw new SkeinError(`${MAX_LISTENERS} listeners watch the tools already`, { code: 'busy' });
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(owner: string, tools: readonly Tool[]): void {
    validate(owner, tools);
    if (!this.#owners.has(owner) && this.#owners.size >= MAX_OWNERS) {
      throw new SkeinError(`Tools of ${MAX_OWNERS} peers are known, the most that are kept`, { code: 'too-large' });
    }
    if (tools.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, [...tools]);
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

function withoutId(name: string): string {
  return name.replace(/~[^/]*\//, '/');
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none at all';
  return names.slice(0, 12).join(', ') + (names.length > 12 ? `, … (${names.length} in all)` : '');
}
