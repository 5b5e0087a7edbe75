import { SkeinError } from '@skein/protocol';

/** Where a PostgreSQL server is and who asks, taken out of an address. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: 'off' | 'verified' | 'unverified';
}

const TLS_MODES: Readonly<Record<string, PostgresAddress['tls']>> = {
  disable: 'off',
  require: 'verified',
  'verify-full': 'verified',
  'no-verify': 'unverified',
};

/**
 * Reads `postgres://user@host:port/database?sslmode=…`. Its messages never hold the address: a password may stand in it.
 * @throws SkeinError `invalid` saying what is wrong.
 */
export function parsePostgresAddress(text: string): PostgresAddress {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.hostname === '') {
    throw invalid('expected an address like "postgres://user@host:5432/database"');
  }
  const user = decoded(url.username);
  const database = decoded(url.pathname.slice(1));
  if (user === '' || database === '')
    throw invalid('the address must name a user and a database: postgres://user@host/database');
  const unknown = [...url.searchParams.keys()].find((key) => key !== 'sslmode');
  if (unknown !== undefined) throw invalid('of what may follow "?", only sslmode is known');
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  const tls = Object.hasOwn(TLS_MODES, mode) ? TLS_MODES[mode] : undefined;
  if (tls === undefined) throw invalid(`sslmode must be one of ${Object.keys(TLS_MODES).join(', ')}`);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    password: url.password === '' ? undefined : decoded(url.password),
    database,
    tls,
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid('a "%" in the address stands for nothing: write it as %25');
  }
}

function invalid(message: string): SkeinError {
  return new SkeinError(message, { code: 'invalid' });
}
