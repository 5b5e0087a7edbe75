export { readPassphraseFile } from '@skein/mesh';
export { describeConfig } from './config/describe-config.ts';
export { type LoadedConfig, type LoadOptions, loadConfig, type NodeConfig } from './config/load-config.ts';
export { type DataDir, dataDir } from './data-dir.ts';
export { createHost, Host, type HostOptions, type Ready } from './host.ts';
export { needsPassphrase } from './node-key.ts';
export * from './operations/index.ts';
export { claimRunning, connectToRunning, findRunning, type Running } from './running.ts';
export { VERSION } from './version.ts';
