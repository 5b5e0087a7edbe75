export * from './base32.ts';
export * from './errors.ts';
export * from './ids.ts';
export * from './json.ts';
export * from './keys.ts';
export * from './methods/method.ts';
export * from './methods/tools.ts';
