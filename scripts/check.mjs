/**
 * `npm run check`: everything that can be told without running the product. Format, lint, types, import graph, and the
 * library as a package. `--without-tests` leaves out the import graph, for a caller that runs all tests anyway.
 */
import os from 'node:os'
import path from 'node:path'
import { buildLibrary } from './library.mjs'
import { dim, fail, green, red, say } from './support/console.mjs'
import { ensureDependencies } from './support/dependencies.mjs'
import { cacheFolder, root } from './support/paths.mjs'
import { runNode } from './support/processes.mjs'

/** @typedef {{ code: number, output: string }} Result */

/** @type {readonly (readonly [name: string, run: () => Promise<Result>])[]} longest first */
const STEPS = [
  ['format', checkFormat],
  ['package', checkPackage],
  ['import graph', () => tool('vitest/vitest.mjs', 'run', '--reporter=dot', 'test/architecture.test.ts')],
  ['types of tests and tools', () => tool('typescript/bin/tsc', '-p', 'tsconfig.node.json')],
  ['types of library and demo', () => tool('typescript/bin/tsc', '-p', 'tsconfig.json')],
  ['types of core', () => tool('typescript/bin/tsc', '-p', 'src/core/tsconfig.json')],
  ['lint', () => tool('oxlint/bin/oxlint', '--deny-warnings')],
]

try {
  await ensureDependencies()
  const without = process.argv.includes('--without-tests') ? 'import graph' : undefined
  const failed = await runAll(STEPS.filter(([name]) => name !== without))
  if (failed.length > 0) {
    console.error(red(`check: failed: ${failed.join(', ')}`))
    process.exitCode = 1
  } else {
    say(green('check: all passed'))
  }
} catch (error) {
  fail(error)
}

/**
 * Runs the steps side by side, as many at a time as there are cores, and shows each one's output when it is done.
 * @param {readonly (readonly [string, () => Promise<Result>])[]} steps
 * @returns {Promise<string[]>} names of those that failed
 */
async function runAll(steps) {
  const waiting = [...steps]
  /** @type {string[]} */
  const failed = []
  const work = async () => {
    for (let step = waiting.shift(); step; step = waiting.shift()) {
      const [name, execute] = step
      const started = Date.now()
      const { code, output } = await execute()
      const seconds = ((Date.now() - started) / 1000).toFixed(1)
      say(`${code === 0 ? green('ok') : red('FAILED')}  ${name} ${dim(`${seconds} s`)}`)
      if (code !== 0) failed.push(name)
      if (code !== 0 || name === 'package') console.log(output.trimEnd().replaceAll(/^/gm, '        '))
    }
  }
  await Promise.all(Array.from({ length: Math.max(2, os.availableParallelism()) }, work))
  return failed
}

/**
 * Runs the program of an npm package.
 * @param {string} program its file under node_modules
 * @param {...string} args
 */
function tool(program, ...args) {
  return runNode(path.join(root, 'node_modules', program), args, { quiet: true })
}

function checkFormat() {
  const cache = [
    '--cache',
    '--cache-strategy=content',
    `--cache-location=${path.join(cacheFolder, 'prettier.json')}`,
  ]
  return tool('prettier/bin/prettier.cjs', '--check', '--log-level=warn', ...cache, '.')
}

/** The built library as a package: its manifest and its size. */
async function checkPackage() {
  try {
    await buildLibrary()
  } catch (error) {
    return { code: 1, output: error instanceof Error ? error.message : String(error) }
  }
  const publint = await tool('publint/src/cli.js', 'run', '--strict')
  const size = await runNode('scripts/size.mjs', [], { quiet: true })
  return {
    code: publint.code || size.code,
    output: `${publint.code === 0 ? '' : `${publint.output}\n`}${size.output}`,
  }
}
