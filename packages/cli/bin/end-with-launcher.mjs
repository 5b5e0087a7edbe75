// Loaded before a program whose launcher stays beside it: when the launcher is gone, however it ended, so is the program.
const at = process.execArgv.indexOf(`--import=${import.meta.url}`);
// What the program starts has a parent of its own.
if (at >= 0) process.execArgv.splice(at, 1);

process.once('disconnect', () => {
  // By hand where somebody listens: not every system has the signal.
  if (!process.emit('SIGTERM', 'SIGTERM')) process.kill(process.pid, 'SIGTERM');
});
// To listen must not keep a program that is done.
process.channel?.unref();
