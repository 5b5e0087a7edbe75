// The thread a page is taken apart in: what a page is made of may take any time and memory, and this one can be ended.
import { parentPort, workerData } from 'node:worker_threads';
import { type PageTextOptions, readPage } from './page-text.ts';

/** What the thread is started with. */
export interface PageWork extends PageTextOptions {
  readonly html: string;
}

// Proven: only page-reader.ts starts this thread, and hands it that.
const { html, ...options } = workerData as PageWork;
parentPort?.postMessage(readPage(html, options));
