import { createPrivateKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { encryptKey } from './encrypted-key.ts';
import { createIdentity, formatEncryptedIdentity, parseIdentity } from './keys.ts';

const identity = createIdentity();

test('an encrypted key is what any reader of PKCS#8 opens, with its passphrase alone', () => {
  const pem = formatEncryptedIdentity(identity, 'correct horse battery');
  expect(createPrivateKey({ key: pem, passphrase: 'correct horse battery' }).equals(identity.privateKey)).toBe(true);
  expect(() => createPrivateKey({ key: pem, passphrase: 'correct horse batterx' })).toThrow();
  expect(pem).not.toContain(
    identity.privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-32).toString('base64').slice(0, 30),
  );
});

test('a key that other software encrypted is opened too', () => {
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'grüne Wiese' } as const;
  expect(parseIdentity(identity.privateKey.export(options).toString(), 'grüne Wiese').id).toBe(identity.id);
  expect(() => parseIdentity(identity.privateKey.export(options).toString())).toThrow(
    expect.objectContaining({ code: 'unauthenticated' }),
  );
});

test('the same key under the same passphrase is another text each time', () => {
  const der = identity.privateKey.export({ type: 'pkcs8', format: 'der' });
  expect(encryptKey(der, 'x')).not.toBe(encryptKey(der, 'x'));
});
