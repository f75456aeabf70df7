import { readFileSync } from 'node:fs'
import path from 'node:path'
import { UserError, say } from './console.mjs'
import { root } from './paths.mjs'
import { run } from './processes.mjs'

const OLDEST_NODE = [20, 19]

/**
 * Makes node_modules what package-lock.json says, by `npm ci`; does nothing where it already is.
 * Uses nothing but Node itself, since it runs before anything is installed.
 */
export async function ensureDependencies() {
  checkNode()
  const missing = firstDifference()
  if (missing === undefined) return
  say(`Installing the dependencies with npm ci (${missing}) ...`)
  const { code } = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    // devDependencies are needed whatever the caller's environment is
    env: { NODE_ENV: undefined, npm_config_omit: undefined },
  })
  if (code !== 0) {
    throw new UserError(
      `npm ci failed with exit code ${code}. The lines above say why; a registry must be reachable.`,
    )
  }
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return
  throw new UserError(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is ${process.versions.node}.`)
}

/**
 * What is not installed as locked, or `undefined`. Compares the lock file with npm's own note of what it installed.
 * @returns {string | undefined}
 */
function firstDifference() {
  const locked = readPackages(path.join(root, 'package-lock.json'))
  if (!locked) throw new UserError('package-lock.json is missing or unreadable.')
  const installed = readPackages(path.join(root, 'node_modules/.package-lock.json'))
  if (!installed) return 'nothing is installed yet'
  for (const [folder, wanted] of Object.entries(locked)) {
    if (folder === '' || wanted.optional === true) continue
    const version = installed[folder]?.version
    if (version !== wanted.version) {
      const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
      return `${name}: ${version ?? 'missing'}, locked ${wanted.version}`
    }
  }
  return undefined
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }> | undefined}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return undefined
  }
}
