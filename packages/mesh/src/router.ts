import { type Method, type PeerId, SkeinError } from '@skein/protocol';

/** One request as its handler sees it. */
export interface CallContext<Part = unknown> {
  readonly method: Method;
  readonly peer: { readonly id: PeerId; readonly name: string };
  /** Fires when the caller stopped, the deadline passed or the peer left. Made when first asked for. */
  readonly signal: AbortSignal;
  /** Sends a part ahead of the result; resolves when the caller has room for more. */
  emit(part: Part): Promise<void>;
}

export type Handler<Params, Result, Part> = (params: Params, context: CallContext<Part>) => Promise<Result> | Result;

/** Wraps every handler; the first given is the outermost. It may refuse by throwing, never change who the caller is. */
export type Interceptor = (next: Handler<unknown, unknown, unknown>, method: Method) => Handler<unknown, unknown, unknown>;

/** The longest a call of a method may take here, whatever time its caller gives it. */
export interface CallLimit {
  /** Asked for with every call. */
  readonly timeoutMs: () => number;
  /** What says so, for the error of one that took longer: the configuration's key. */
  readonly setting: string;
}

export interface Route {
  readonly method: Method;
  readonly limit: CallLimit | undefined;
  readonly handle: Handler<unknown, unknown, unknown>;
}

/** Which handler answers which method. */
export class Router {
  readonly #interceptors: readonly Interceptor[];
  readonly #routes = new Map<string, Route>();

  constructor(interceptors: readonly Interceptor[] = []) {
    this.#interceptors = interceptors;
  }

  /** @throws SkeinError `conflict` when the method has a handler already. */
  serve<P, R, T>(method: Method<P, R, T>, handler: Handler<P, R, T>, options: { readonly limit?: CallLimit } = {}): void {
    if (this.#routes.has(method.name)) {
      throw new SkeinError(`The method ${method.name} is served already`, { code: 'conflict' });
    }
    // Proven: find() hands these out together with method.params, whose output is what the handler takes.
    const row = method as unknown as Method;
    let handle = handler as unknown as Handler<unknown, unknown, unknown>;
    for (const interceptor of this.#interceptors.toReversed()) handle = interceptor(handle, row);
    this.#routes.set(method.name, { method: row, limit: options.limit, handle });
  }

  /** @throws SkeinError `not-found` naming the method. */
  find(name: string): Route {
    const route = this.#routes.get(name);
    if (route === undefined) throw new SkeinError(`This peer has no method "${name.slice(0, 64)}"`, { code: 'not-found' });
    return route;
  }
}
