import { DeltaRelay, type Tool, type ToolSet } from '@skein/agent';
import type { Mesh, Router } from '@skein/mesh';
import { type PeerId, SkeinError, toolsCall, toolsChanged, toolsList } from '@skein/protocol';
import type { HostEvent } from '../events.ts';

/** Characters of partial output of one call that are passed on. */
const PARTIAL_OUTPUT_CHARS_MAX = 1_000_000;

export interface ShareToolsParts {
  readonly tools: ToolSet;
  /** Names of local tools that are for this node's own agent alone. */
  readonly keptBack: ReadonlySet<string>;
  readonly router: Router;
  readonly mesh: Mesh;
  /** Whether this peer may use this tool of ours, by its plain name. */
  readonly maySee: (peer: PeerId, tool: string) => boolean;
  readonly onEvent: (event: HostEvent) => void;
  /** Told of each call that may have changed something, for the audit. */
  readonly onServed: (call: {
    readonly peer: PeerId;
    readonly name: string;
    readonly tool: string;
    readonly ok: boolean;
    readonly ms: number;
  }) => void;
  readonly monotonicMs: () => number;
}

/** Lets peers list and call this node's own tools, each as far as it was granted. */
export class ShareTools {
  readonly #parts: ShareToolsParts;
  readonly #local = new Map<string, Tool>();
  readonly #release: () => void;

  constructor(parts: ShareToolsParts) {
    this.#parts = parts;
    this.#collect();
    this.#release = parts.tools.onChange(() => this.#localChanged());
    const { router } = parts;
    router.serve(toolsList, (_params, { peer }) => ({ tools: this.#sharedWith(peer.id).map((tool) => tool.descriptor) }));
    router.serve(toolsCall, async ({ tool: name, input }, context) => {
      const tool = this.#find(context.peer.id, name);
      const startedAtMs = parts.monotonicMs();
      let relay: DeltaRelay | undefined;
      let ok = false;
      try {
        const output = await tool.run(input, {
          get signal() {
            return context.signal;
          },
          caller: context.peer.id,
          emit(delta) {
            relay ??= new DeltaRelay({ send: (piece) => context.emit({ delta: piece }), maxChars: PARTIAL_OUTPUT_CHARS_MAX });
            return relay.emit(delta);
          },
        });
        await relay?.close();
        ok = true;
        return { output: output ?? null };
      } finally {
        this.#told(context.peer, tool, ok, parts.monotonicMs() - startedAtMs);
      }
    });
  }

  /** Tells every peer that what it may use has changed. */
  announce(): void {
    for (const peer of this.#parts.mesh.peers.values()) {
      try {
        peer.publish(toolsChanged, {});
      } catch {
        // It takes nothing just now, or is leaving; the others are told, and it lists the tools anew when it is back.
      }
    }
  }

  close(): void {
    this.#release();
  }

  #told(peer: { readonly id: PeerId; readonly name: string }, tool: Tool, ok: boolean, ms: number): void {
    const { name, effect } = tool.descriptor;
    this.#parts.onEvent({ type: 'tool-served', id: peer.id, name: peer.name, tool: name, ok, ms });
    if (effect !== 'read') this.#parts.onServed({ peer: peer.id, name: peer.name, tool: name, ok, ms });
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
