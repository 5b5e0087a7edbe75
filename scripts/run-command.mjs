import { spawn } from 'node:child_process';

const KEPT_OUTPUT_CHARACTERS = 200_000;

/**
 * Runs a command to its end and gives `{ code, output }`, output being the end of both its streams.
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
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output }),
    );
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
