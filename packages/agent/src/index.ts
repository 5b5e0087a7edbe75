export * from './brain/brain.ts';
export * from './events.ts';
export * from './tool/tool.ts';
