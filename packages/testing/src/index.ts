export * from './browser.ts';
export * from './llm-server/script.ts';
export * from './llm-server/server.ts';
export * from './man-in-the-middle.ts';
export * from './network.ts';
export * from './scripted-backend.ts';
export * from './transport-suite.ts';
export * from './virtual-clock.ts';
