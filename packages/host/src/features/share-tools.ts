import { DeltaRelay, Scope, type Tool, type ToolContext, type ToolSet, untilAborted } from '@skein/agent';
import type { Clock, Mesh, Peer, Router } from '@skein/mesh';
import {
  BODY_BYTES_MAX,
  BODY_DEPTH_MAX,
  BODY_VALUES_MAX,
  type Json,
  jsonValues,
  type PeerId,
  SkeinError,
  type ToolDescriptor,
  toolsCall,
  toolsChanged,
  toolsList,
} from '@skein/protocol';
import type { HostEvent } from '../events.ts';

/** Characters of partial output of one call that are passed on. */
const PARTIAL_OUTPUT_CHARS_MAX = 1_000_000;
/** When a peer that took nothing is told again. */
const ANNOUNCE_AGAIN_MS = 1_000;
/** What stands around the tools of a list: `{"tools":[` and `]}`. */
const AROUND_LIST = { bytes: 12, levels: 2, values: 2 } as const;

export interface ShareToolsParts {
  /** This node's own id. */
  readonly self: PeerId;
  readonly tools: ToolSet;
  /** Names of local tools that are for this node's own agent alone. */
  readonly keptBack: ReadonlySet<string>;
  readonly router: Router;
  readonly mesh: Mesh;
  /** Whether this peer may use this tool of ours, by its plain name. */
  readonly maySee: (peer: PeerId, tool: string) => boolean;
  /** What a peer is called here. */
  readonly nameOf: (peer: PeerId) => string;
  /** Told once of each tool that no longer fits into the list a peer is sent. */
  readonly onLeftOut?: (names: readonly string[]) => void;
  /** The number of calls being run for peers has changed. */
  readonly onRunning?: () => void;
  readonly onEvent: (event: HostEvent) => void;
  /** Told of each call that may have changed something, for the audit. */
  readonly onServed: (call: {
    readonly peer: PeerId;
    readonly name: string;
    readonly tool: string;
    readonly ok: boolean;
    readonly ms: number;
  }) => void;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** The longest one call may take: `agent.toolTimeoutMs`. */
  readonly toolTimeoutMs: () => number;
}

const SETTING = 'agent.toolTimeoutMs';

interface ToolsCall {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly key?: string | undefined;
  readonly onBehalfOf?: readonly PeerId[] | undefined;
}

interface CallerContext {
  readonly peer: { readonly id: PeerId; readonly name: string };
  readonly signal: AbortSignal;
  emit(part: { readonly delta: string }): Promise<void>;
}

/** Lets peers list and call this node's own tools, each as far as it was granted. */
export class ShareTools {
  readonly #parts: ShareToolsParts;
  readonly #local = new Map<string, Tool>();
  #running = 0;
  readonly #release: () => void;
  /** Peers that have yet to be told of a change. */
  readonly #untold = new Set<PeerId>();
  #releaseAgain: (() => void) | undefined;
  readonly #sizes = new WeakMap<ToolDescriptor, ListedSize>();
  readonly #toldLeftOut = new WeakSet<ToolDescriptor>();
  #closed = false;

  constructor(parts: ShareToolsParts) {
    this.#parts = parts;
    this.#collect();
    this.#release = parts.tools.onChange(() => this.#localChanged());
    const { router } = parts;
    router.serve(toolsList, (_params, { peer }) => ({ tools: [...this.listFor(peer.id)] }));
    router.serve(toolsCall, async (call, context) => ({ output: await this.#call(call, context) }), {
      limit: { timeoutMs: parts.toolTimeoutMs, setting: SETTING },
    });
  }

  /** The tools this peer may call, as far as one message takes them: it would refuse a list that is over a bound as a whole. */
  listFor(peer: PeerId): readonly ToolDescriptor[] {
    const listed: ToolDescriptor[] = [];
    const leftOut: ToolDescriptor[] = [];
    let { bytes, values }: ListedSize = AROUND_LIST;
    for (const { descriptor } of this.#sharedWith(peer)) {
      const size = this.#sizeOf(descriptor);
      if (bytes + size.bytes > BODY_BYTES_MAX || values + size.values > BODY_VALUES_MAX) leftOut.push(descriptor);
      else {
        bytes += size.bytes;
        values += size.values;
        listed.push(descriptor);
      }
    }
    this.#tellLeftOut(leftOut);
    return listed;
  }

  /**
   * Runs a tool for a peer that speaks another protocol than ours, for as long as one call may take.
   * @throws SkeinError `not-found`, `denied`, `deadline-exceeded`, and what the tool raises.
   */
  async call(call: ToolsCall, context: CallerContext): Promise<Json> {
    using scope = new Scope({
      parent: context.signal,
      timeoutMs: this.#parts.toolTimeoutMs(),
      what: call.tool,
      setting: SETTING,
    });
    const { peer } = context;
    const bounded = { peer, signal: scope.signal, emit: (part: { readonly delta: string }) => context.emit(part) };
    return await untilAborted(this.#call(call, bounded), scope.signal);
  }

  async #call(call: ToolsCall, context: CallerContext): Promise<Json> {
    const { tool: name, input, onBehalfOf } = call;
    const { clock } = this.#parts;
    const tool = this.#find(context.peer.id, name);
    this.#assertAllowed(onBehalfOf, name);
    const startedAtMs = clock.monotonicMs();
    const served = new ServedCall(call, context);
    let ok = false;
    this.#count(1);
    try {
      const output = await tool.run(input, served);
      await served.close();
      ok = true;
      return output ?? null;
    } finally {
      this.#count(-1);
      this.#told(context.peer, tool, ok, clock.monotonicMs() - startedAtMs);
    }
  }

  /** Calls being run for peers. */
  get running(): number {
    return this.#running;
  }

  /** Tells every peer that what it may use has changed. */
  announce(): void {
    for (const peer of this.#parts.mesh.peers.values()) this.#announceTo(peer);
  }

  close(): void {
    this.#closed = true;
    this.#release();
    this.#releaseAgain?.();
  }

  #announceTo(peer: Peer): void {
    try {
      peer.publish(toolsChanged, {});
      this.#untold.delete(peer.id);
    } catch {
      // It takes nothing just now, or is leaving; the others are told, and it lists the tools anew when it is back.
      this.#untold.add(peer.id);
      this.#announceAgain();
    }
  }

  #announceAgain(): void {
    if (this.#closed) return;
    this.#releaseAgain ??= this.#parts.clock.after(ANNOUNCE_AGAIN_MS, () => {
      this.#releaseAgain = undefined;
      const untold = [...this.#untold];
      this.#untold.clear();
      for (const peer of untold.flatMap((id) => this.#parts.mesh.peers.get(id) ?? [])) this.#announceTo(peer);
    });
  }

  #sizeOf(descriptor: ToolDescriptor): ListedSize {
    let size = this.#sizes.get(descriptor);
    if (size === undefined) {
      const text = JSON.stringify(descriptor);
      // With the comma before it.
      const bytes = Buffer.byteLength(text) + 1;
      size = { bytes, values: jsonValues(text, BODY_DEPTH_MAX - AROUND_LIST.levels, BODY_VALUES_MAX) };
      this.#sizes.set(descriptor, size);
    }
    return size;
  }

  #tellLeftOut(descriptors: readonly ToolDescriptor[]): void {
    const untold = descriptors.filter((descriptor) => !this.#toldLeftOut.has(descriptor));
    if (untold.length === 0) return;
    for (const descriptor of untold) this.#toldLeftOut.add(descriptor);
    this.#parts.onLeftOut?.(untold.map(({ name }) => name));
  }

  #told(peer: { readonly id: PeerId; readonly name: string }, tool: Tool, ok: boolean, ms: number): void {
    const { name, effect } = tool.descriptor;
    this.#parts.onEvent({ type: 'tool-served', id: peer.id, name: peer.name, tool: name, ok, ms });
    if (effect !== 'read') this.#parts.onServed({ peer: peer.id, name: peer.name, tool: name, ok, ms });
  }

  #count(change: 1 | -1): void {
    this.#running += change;
    this.#parts.onRunning?.();
  }

  /** Whoever the caller acts for must be allowed it too; this node itself is. */
  #assertAllowed(chain: readonly PeerId[] | undefined, name: string): void {
    const barred = chain?.find((id) => id !== this.#parts.self && !this.#parts.maySee(id, name));
    if (barred === undefined) return;
    throw new SkeinError(
      `The tool ${name} was asked for on behalf of ${this.#parts.nameOf(barred)}, which may not use it here itself: trust its key here (skein net trust), or ask from a node that may`,
      { code: 'denied' },
    );
  }

  #find(peer: PeerId, name: string): Tool {
    const tool = this.#local.get(name);
    // A tool that is not shared and one that does not exist look the same from outside.
    if (tool !== undefined && this.#parts.maySee(peer, name)) return tool;
    const shared = this.#sharedWith(peer).map(({ descriptor }) => descriptor.name);
    throw new SkeinError(`This node shares no tool "${name}" with you; it shares ${shared.join(', ') || 'none'}`, {
      code: shared.length === 0 ? 'denied' : 'not-found',
    });
  }

  #sharedWith(peer: PeerId): Tool[] {
    return [...this.#local.values()].filter((tool) => this.#parts.maySee(peer, tool.descriptor.name));
  }

  #localChanged(): void {
    const before = [...this.#local.values()];
    this.#collect();
    const after = [...this.#local.values()];
    if (before.length !== after.length || before.some((tool, index) => tool !== after[index])) this.announce();
  }

  #collect(): void {
    this.#local.clear();
    for (const { tool, peer } of this.#parts.tools.all()) {
      if (peer === null && !this.#parts.keptBack.has(tool.descriptor.name)) this.#local.set(tool.descriptor.name, tool);
    }
  }
}

/** What one tool adds to the list it stands in; Infinity values for one that is nested too deep. */
interface ListedSize {
  readonly bytes: number;
  readonly values: number;
}

/** What a tool of ours is given that runs for a peer. */
class ServedCall implements ToolContext {
  readonly caller: PeerId;
  readonly key?: string;
  readonly onBehalfOf?: readonly PeerId[];
  readonly #context: CallerContext;
  #relay: DeltaRelay | undefined;

  constructor({ key, onBehalfOf }: ToolsCall, context: CallerContext) {
    this.caller = context.peer.id;
    if (key !== undefined) this.key = key;
    if (onBehalfOf !== undefined) this.onBehalfOf = onBehalfOf;
    this.#context = context;
  }

  /**
   * Made when first asked for: most tools never do. It belongs to the class, since V8 gives each object with a getter of its
   * own a hidden class of its own too, which keeps the call alive until a major collection.
   */
  get signal(): AbortSignal {
    return this.#context.signal;
  }

  /** A tool may take it out of this object. */
  readonly emit = (delta: string): Promise<void> => {
    this.#relay ??= new DeltaRelay({
      send: (piece) => this.#context.emit({ delta: piece }),
      maxChars: PARTIAL_OUTPUT_CHARS_MAX,
    });
    return this.#relay.emit(delta);
  };

  /** Resolves when all that was emitted has left. */
  async close(): Promise<void> {
    await this.#relay?.close();
  }
}
