// Loaded before a node's program: its wall clock is as far from the machine's as a file says, as somebody who sets the
// clock of a machine would have it. What measures how long something takes is not touched.
import { readFileSync } from 'node:fs';

const file = process.env.WALL_CLOCK_FILE ?? '';
const realNow = Date.now;
let offsetMs = Number(readFileSync(file, 'utf8'));
Date.now = () => Math.round(realNow() + offsetMs);
setInterval(() => {
  offsetMs = Number(readFileSync(file, 'utf8')) || offsetMs;
}, 20).unref();
