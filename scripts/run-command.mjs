import { spawn } from 'node:child_process';

const KEPT_OUTPUT_CHARACTERS = 200_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs a command to its end and gives `{ code, output }`, output being the end of both its streams.
 * A signal that ends this process ends the command first: left behind, it would work on in what the next start sets up.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string }} options
 * @returns {Promise<{ code: number, output: string }>}
 */
export function runCommand(command, args, { cwd }) {
  return new Promise((resolve, reject) => {
    // On Windows npm is a batch file, which only a shell runs.
    const shell = process.platform === 'win32' && command === 'npm';
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], shell });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output = (output + text).slice(-KEPT_OUTPUT_CHARACTERS);
      });
    }
    let stoppedBy;
    const passOn = (signal) => {
      stoppedBy = signal;
      child.kill(signal);
    };
    const forget = () => {
      for (const name of SIGNALS) process.off(name, passOn);
    };
    for (const name of SIGNALS) process.on(name, passOn);
    child.on('error', (error) => {
      forget();
      reject(error);
    });
    child.on('close', (code, signal) => {
      forget();
      // Nothing listens any more, so this is the end: a step that was stopped is not told as one that failed.
      if (stoppedBy !== undefined) process.kill(process.pid, stoppedBy);
      else resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output });
    });
  });
}

/**
 * Runs npm: the one that started this process if any, so that its version and settings stay.
 * @param {readonly string[]} args
 * @param {{ cwd: string }} options
 */
export function runNpm(args, options) {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  return script?.endsWith('.js') && node ? runCommand(node, [script, ...args], options) : runCommand('npm', args, options);
}
