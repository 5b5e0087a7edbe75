export * from './assets.ts';
export * from './backend.ts';
export * from './call-events.ts';
export * from './client.ts';
export * from './gateway.ts';
export * from './limits.ts';
export * from './requests.ts';
