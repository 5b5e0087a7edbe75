export { checkPassphrase, readPassphraseFile } from '@skein/mesh';
export { describeConfig } from './config/describe-config.ts';
export { environmentVariables } from './config/environment.ts';
export {
  type LoadedConfig,
  type LoadOptions,
  type LocatedNode,
  loadConfig,
  locateNode,
  type NodeConfig,
} from './config/load-config.ts';
export { type DataDir, dataDir } from './data-dir.ts';
export { createHost, Host, type HostOptions, type Ready } from './host.ts';
export { needsPassphrase, ownIdsOf } from './node-key.ts';
export { overlookedPlugins, toolFolderProblem } from './node-tools.ts';
export * from './operations/index.ts';
export { claimRunning, connectToRunning, findRunning, pageOf, type Running } from './running.ts';
export { VERSION } from './version.ts';
