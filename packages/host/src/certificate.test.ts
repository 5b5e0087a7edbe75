import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { createSelfSignedCertificate } from '@skein/testing';
import { expect, test } from 'vitest';
import { type Certificate, CertificateWatch, readCertificate } from './certificate.ts';

test('a certificate and its key are read as they are', () => {
  using files = makeFiles();
  expect(readCertificate(files).cert.toString()).toContain('BEGIN CERTIFICATE');
});

test.each<readonly [string, (files: Files) => void, string, string]>([
  ['a file that is not there', ({ cert }) => rmSync(cert), 'not-found', 'net.tls.cert'],
  ['a certificate that is none', ({ cert }) => writeFileSync(cert, 'hello'), 'invalid', 'cert.pem holds no certificate'],
  ['a key that is none', ({ key }) => writeFileSync(key, ''), 'invalid', 'key.pem holds no private key'],
  [
    'the key of another certificate',
    ({ key }) => writeFileSync(key, createSelfSignedCertificate().key),
    'invalid',
    'is not that of the certificate in',
  ],
])('%s is refused, and the file named', (_name, spoil, code, words) => {
  using files = makeFiles();
  spoil(files);
  const error = problemOf(() => readCertificate(files));
  expect(error.code).toBe(code);
  expect(error.message).toContain(words);
});

test('a renewal is noticed through the link that leads to it, and one that is no good is told of', async () => {
  using files = makeFiles();
  const next = Promise.withResolvers<Certificate | SkeinError>();
  const seen = [next, Promise.withResolvers<Certificate | SkeinError>()];
  const tell = (what: Certificate | SkeinError) => seen.shift()?.resolve(what);
  const [first, second] = seen.map(({ promise }) => promise);
  using watch = new CertificateWatch({ files, clock: systemClock, onChange: tell, onProblem: tell });
  const renewed = createSelfSignedCertificate('renewed');
  expect(watch.certificate.cert.toString()).not.toBe(renewed.cert);
  // In the same turn: nothing has been looked at since the watch began.
  files.replace(renewed);
  expect(await first).toMatchObject({ cert: Buffer.from(renewed.cert) });
  files.replace({ ...renewed, key: 'broken' });
  expect(await second).toMatchObject({ code: 'invalid' });
});

interface Files extends Disposable {
  readonly cert: string;
  readonly key: string;
  /** Puts others in their place at once, as a program does that renews them. */
  replace(pair: { readonly cert: string; readonly key: string }): void;
}

/** Links to a certificate and its key. */
function makeFiles(): Files {
  const root = mkdtempSync(path.join(tmpdir(), 'skein-certificate-'));
  let version = 0;
  const files = {
    cert: path.join(root, 'cert.pem'),
    key: path.join(root, 'key.pem'),
    replace(pair: { readonly cert: string; readonly key: string }) {
      version += 1;
      for (const part of ['cert', 'key'] as const) {
        const target = path.join(root, `${part}${version}.pem`);
        writeFileSync(target, pair[part], { mode: 0o600 });
        symlinkSync(target, path.join(root, 'link'));
        renameSync(path.join(root, 'link'), files[part]);
      }
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  };
  files.replace(createSelfSignedCertificate());
  return files;
}

function problemOf(run: () => unknown): SkeinError {
  try {
    run();
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error('It did not throw');
}
