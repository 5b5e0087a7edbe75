import { type Mesh, systemClock, type TrustStore } from '@skein/mesh';
import { dialUrl } from './authority.ts';
import type { NodeConfig } from './config/load-config.ts';
import { Dialers } from './dialers.ts';
import { DialectProbe } from './features/volenet/probe-dialect.ts';
import type { VoleFeature } from './features/volenet/vole-feature.ts';

const ONLY_RUNNING = 'it speaks VoleNet, which only a node that runs does: skein start';
const AT_NEXT_START = 'it speaks VoleNet, which this node takes up at its next start';

export interface NodeDialingParts {
  readonly mesh: Mesh;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly trust: TrustStore;
  /** Undefined for a node of a single command, and one that met no OpenVole node when it started: those speak our own protocol alone. */
  readonly vole: VoleFeature | undefined;
  /** It lives for one command. */
  readonly isBrief: boolean;
  readonly onProblem: (url: string, problem: string) => void;
  /** Ends all dialling. */
  readonly signal: AbortSignal;
}

/** Which addresses a node dials, and what is spoken at each. */
export class NodeDialing {
  readonly #parts: NodeDialingParts;
  readonly #dialers: Dialers;
  /** Of a node that speaks our own protocol alone: so that it says why it does not meet an OpenVole node. */
  readonly #probe: DialectProbe;

  constructor(parts: NodeDialingParts) {
    this.#parts = parts;
    this.#dialers = new Dialers({ mesh: parts.mesh, signal: parts.signal });
    this.#probe = new DialectProbe({
      clock: systemClock,
      random: Math.random,
      onKnown: () => this.refresh(),
      onProblem: (url, { message }) => parts.onProblem(url, message),
    });
    parts.signal.addEventListener('abort', () => this.#probe.close(), { once: true });
  }

  /** Dials the addresses of the configuration and of the trust file as they are now, and no others any more. */
  refresh(): void {
    const { vole, isBrief, onProblem } = this.#parts;
    const targets = this.#targets();
    const urls = new Set(targets.map(({ url }) => url));
    this.#probe.keep(urls);
    const spoken = targets.map(({ url, dialect }) => ({
      url,
      dialect: vole !== undefined ? vole.spoken(url, dialect) : dialect === 'auto' ? this.#probe.dialectOf(url) : dialect,
    }));
    const speaking = (wanted: 'skein' | 'volenet') => spoken.flatMap(({ url, dialect }) => (dialect === wanted ? [url] : []));
    this.#dialers.set(speaking('skein'));
    if (vole !== undefined) vole.setPeers(speaking('volenet'), urls);
    else for (const url of speaking('volenet')) onProblem(url, isBrief ? ONLY_RUNNING : AT_NEXT_START);
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
