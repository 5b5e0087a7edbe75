import type { Mesh, TrustStore } from '@skein/mesh';
import { dialUrl } from './authority.ts';
import type { NodeConfig } from './config/load-config.ts';
import { Dialers } from './dialers.ts';
import type { VoleFeature } from './features/volenet/vole-feature.ts';

export interface NodeDialingParts {
  readonly mesh: Mesh;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly trust: TrustStore;
  /** Undefined for a node of a single command, and one that met no OpenVole node when it started: those speak our own protocol alone. */
  readonly vole: VoleFeature | undefined;
  readonly onProblem: (url: string, problem: string) => void;
  /** Ends all dialling. */
  readonly signal: AbortSignal;
}

/** Which addresses a node dials, and what is spoken at each. */
export class NodeDialing {
  readonly #parts: NodeDialingParts;
  readonly #dialers: Dialers;

  constructor(parts: NodeDialingParts) {
    this.#parts = parts;
    this.#dialers = new Dialers({ mesh: parts.mesh, signal: parts.signal });
  }

  /** Dials the addresses of the configuration and of the trust file as they are now, and no others any more. */
  refresh(): void {
    const { vole, onProblem } = this.#parts;
    const targets = this.#targets();
    const spoken = targets.map(({ url, dialect }) => ({
      url,
      dialect: vole === undefined ? 'skein' : vole.spoken(url, dialect),
    }));
    const speaking = (wanted: 'skein' | 'volenet') => spoken.flatMap(({ url, dialect }) => (dialect === wanted ? [url] : []));
    for (const { url, dialect } of vole === undefined ? targets : []) {
      if (dialect === 'volenet') onProblem(url, 'it speaks VoleNet, which this node takes up at its next start');
    }
    this.#dialers.set(speaking('skein'));
    vole?.setPeers(speaking('volenet'), new Set(targets.map(({ url }) => url)));
  }

  #targets() {
    const { trust, net } = this.#parts;
    const { enabled, peers } = net();
    if (!enabled) return [];
    const recorded = trust.list().flatMap(({ url, revoked, kind }) => {
      if (url === undefined || revoked) return [];
      return [{ url, dialect: kind === 'vole' ? ('auto' as const) : ('skein' as const) }];
    });
    return [...peers, ...recorded].map(({ url, dialect }) => ({ url: dialUrl(url), dialect }));
  }
}
