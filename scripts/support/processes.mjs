import { spawn } from 'node:child_process'
import { root } from './paths.mjs'

/** For a log file: without the colours that some programs else insist on. */
const PLAIN = { NO_COLOR: '1', FORCE_COLOR: undefined }

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd] default: the project's root
 * @property {Record<string, string | undefined>} [env] added to this process's environment; `undefined` removes
 * @property {boolean} [quiet] keep the output back and return it; default: it goes to the terminal
 * @property {number} [timeoutMs] the process is killed after this long; default: never
 *
 * @typedef {object} RunResult
 * @property {number} code exit code; 127 where the program is not there, 124 where the time was up
 * @property {string} output stdout and stderr in order, where `quiet`
 */

/**
 * Runs a program to its end. Never rejects: what went wrong is in the result.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...(process.stdout.isTTY ? {} : PLAIN), ...options.env },
      stdio: ['ignore', options.quiet ? 'pipe' : 'inherit', options.quiet ? 'pipe' : 'inherit'],
      // npm is a batch file on Windows, which only a shell can start
      shell: process.platform === 'win32' && command === 'npm',
    })
    let output = ''
    let timedOut = false
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true
            child.kill('SIGKILL')
          }, options.timeoutMs)
    child.stdout?.on('data', (chunk) => (output += String(chunk)))
    child.stderr?.on('data', (chunk) => (output += String(chunk)))
    child.on('error', (error) => {
      clearTimeout(timer)
      resolve({ code: 127, output: `${output}${error.message}\n` })
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code: timedOut ? 124 : (code ?? 1), output })
    })
  })
}

/**
 * Runs a JavaScript file with this same Node.
 * @param {string} file path from the project's root
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 */
export function runNode(file, args, options) {
  return run(process.execPath, [file, ...args], options)
}
