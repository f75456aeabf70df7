/**
 * `npm test [-- --only check|unit|e2e]`: installs what is missing, a browser included, and runs the checks, the unit
 * and simulation tests, and the browser tests. Ends with the counts, and not with 0 if anything failed.
 *
 * `--full` (`npm run test:full`) sets GRAINMESH_FULL=1, which makes tests run all of what they otherwise sample, and
 * adds the parts `sim` and `bench`: simulations and measurements that fail where they miss what is promised. They
 * take hours, and want the machine for themselves.
 * GRAINMESH_SUMMARY names a file that takes the counts instead of the terminal.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBrowser } from './browser.mjs'
import { UserError, fail, heading, say } from './support/console.mjs'
import { ensureDependencies } from './support/dependencies.mjs'
import { root } from './support/paths.mjs'
import { runNode } from './support/processes.mjs'

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

const RESULTS = path.join(root, 'test-results')

/** @type {Record<string, () => Promise<Counts>>} */
const PARTS = { check: runCheck, unit: runUnitTests, e2e: runBrowserTests }

const SIM = ['scripts/run.mjs', 'src/testing/cli/sim.ts']
const DETECTION = [...SIM, '--scenario', 'detection', '--baseline', '0.05']

/**
 * Commands that prove a promise by their exit code. Each counts as one test.
 * @type {Record<string, string[][]>}
 */
const PROOFS = {
  sim: [
    [...SIM, '--nodes', '20', '--seeds', '1000'],
    [...SIM, '--nodes', '100', '--seeds', '1000', '--storm', '20'],
    [...SIM, '--nodes', '20', '--seeds', '1000', '--storm', '20', '--grains', 'available'],
    [...DETECTION, '--hours', '10.5', '--max-false', '0.01', '--max-p99', '4000'],
    [...DETECTION, '--hours', '10.5', '--throttled', '0.2', '--max-false', '0.1'],
    // whole processes that get one turn a second: stricter than what browsers do
    [...DETECTION, '--hours', '10.5', '--throttled', '0.2', '--throttle', 'slow', '--max-false', '0.1'],
  ],
  bench: [
    ['scripts/bench.mjs', 'loss'],
    ['scripts/bench.mjs', 'rejoin'],
    ['scripts/bench.mjs', 'link'],
    ['scripts/bench.mjs', 'mesh'],
    ['scripts/bench.mjs', 'grains'],
  ],
}
for (const [part, commands] of Object.entries(PROOFS)) PARTS[part] = () => runProofs(commands)

try {
  const parts = readArguments()
  await ensureDependencies()
  if (parts.includes('e2e')) say(`Browser: ${await ensureBrowser()}`)
  mkdirSync(RESULTS, { recursive: true })
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const part of parts) {
    const counts = await PARTS[part]?.()
    total.passed += counts?.passed ?? 0
    total.failed += counts?.failed ?? 0
    total.skipped += counts?.skipped ?? 0
  }
  summarize(total)
} catch (error) {
  fail(error)
}

/** @returns {string[]} the parts to run, in order */
function readArguments() {
  const names = Object.keys(PARTS)
  const usage = `Usage: npm test -- [--only ${names.join('|')}] [--full]`
  try {
    const { only, full } = parseArgs({
      options: { only: { type: 'string', multiple: true }, full: { type: 'boolean' } },
    }).values
    if (full) process.env['GRAINMESH_FULL'] = '1'
    const unknown = only?.find((name) => !names.includes(name))
    if (unknown !== undefined) throw new Error(`There is no part "${unknown}".`)
    return names.filter((name) => only?.includes(name) ?? (full || PROOFS[name] === undefined))
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
  }
}

/** The checks count as one failed test if any fails; they are no tests, so they add none that passed. */
async function runCheck() {
  heading('npm run check')
  const { code } = await runNode('scripts/check.mjs', ['--without-tests'])
  return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 }
}

async function runUnitTests() {
  heading('vitest')
  const file = freshResult('vitest.json')
  const { code } = await runNode('node_modules/vitest/vitest.mjs', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ])
  return readResult(file, code, (json) => {
    // a file that cannot even be loaded has no tests in it, and must count all the same
    const brokenFiles = json.testResults.filter(
      (/** @type {{ status: string, assertionResults: { status: string }[] }} */ result) =>
        result.status === 'failed' && result.assertionResults.every((test) => test.status !== 'failed'),
    )
    return {
      passed: json.numPassedTests,
      failed: json.numFailedTests + brokenFiles.length,
      skipped: json.numPendingTests + json.numTodoTests,
    }
  })
}

async function runBrowserTests() {
  heading('playwright')
  const file = freshResult('playwright.json')
  const { code } = await runNode('node_modules/@playwright/test/cli.js', ['test', '--reporter=list,json'], {
    // Playwright gives its workers FORCE_COLOR, and Node warns in each where both are set
    env: { PLAYWRIGHT_JSON_OUTPUT_NAME: file, NO_COLOR: undefined },
  })
  return readResult(file, code, ({ stats, errors }) => ({
    passed: stats.expected,
    failed: stats.unexpected + stats.flaky + errors.length,
    skipped: stats.skipped,
  }))
}

/** @param {string[][]} commands */
async function runProofs(commands) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [script = '', ...args] of commands) {
    heading(`node ${[script, ...args].join(' ')}`)
    const { code } = await runNode(script, args)
    if (code === 0) counts.passed++
    else counts.failed++
  }
  return counts
}

/** @param {string} name */
function freshResult(name) {
  const file = path.join(RESULTS, name)
  rmSync(file, { force: true })
  return file
}

/**
 * What a runner's report says. A runner that fails without a failed test, or without a report, counts as one.
 * @param {string} file
 * @param {number} code exit code of the runner
 * @param {(json: any) => Counts} count
 * @returns {Counts}
 */
function readResult(file, code, count) {
  /** @type {Counts} */
  let counts = { passed: 0, failed: 0, skipped: 0 }
  try {
    counts = count(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    say(`No usable report in ${path.relative(root, file)}: ${String(error)}`)
    return { ...counts, failed: 1 }
  }
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}

/** @param {Counts} total */
function summarize({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
  const file = process.env['GRAINMESH_SUMMARY']
  if (file === undefined) console.log(`\n${line}`)
  else writeFileSync(file, `${line}\n`)
  if (failed > 0) process.exitCode = 1
}
